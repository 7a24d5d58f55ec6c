"""Chance belongs to the loop too: random numbers, uids and name suffixes.

A simulation's loop carries `rng`, a seeded `random.Random`; then everything drawn here replays with the seed.
"""

from __future__ import annotations

import asyncio
import random
import uuid as _uuid

_SYSTEM = random.SystemRandom()
# The alphabet of generated names: no vowels, no look-alikes (k8s.io/apimachinery `pkg/util/rand`).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def rng() -> random.Random:
    """The running loop's generator where it has one (simulation), else the machine's."""
    try:
        own = getattr(asyncio.get_running_loop(), "rng", None)
    except RuntimeError:
        own = None
    return own if isinstance(own, random.Random) else _SYSTEM


def generator() -> random.Random:
    """A generator of its own, seeded by the running loop's chance: for identifiers drawn often that guard nothing."""
    return random.Random(rng().getrandbits(128))


def uuid() -> str:
    """A random UUID, version 4, in the usual text form."""
    return str(_uuid.UUID(int=rng().getrandbits(128), version=4))


def suffix(length: int = 5) -> str:
    """A random name suffix as the API server appends to `generateName`."""
    chance = rng()
    return "".join(chance.choice(_SAFE) for _ in range(length))
