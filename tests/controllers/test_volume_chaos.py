"""Volumes and claims come and go by chance while the network fails; afterwards everything that can be bound is."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.storage.matching import claim_key, claimant, find_matching, has_modes
from kijabi.base import rand
from kijabi.base.errors import AlreadyExists, Conflict, Forbidden, NotFound
from kijabi.testing.faults import Faults
from tests.controllers.test_volume_stories import claim, user, volume
from tests.controllers.world import World, play

SIZES = ("1Gi", "2Gi", "5Gi")
POLICIES = ("Retain", "Delete", "Retain")
STEPS = 60


async def shake(world: World) -> None:
    """One change by chance."""
    chance = rand.rng()
    number, size = chance.randrange(8), chance.choice(SIZES)
    try:
        match chance.randrange(7):
            case 0 | 1:
                modes = chance.choice((["ReadWriteOnce"], ["ReadWriteOnce", "ReadOnlyMany"]))
                given: dict[str, Any] = {"persistentVolumeReclaimPolicy": chance.choice(POLICIES), "accessModes": modes}
                if chance.random() < 0.2:
                    given["claimRef"] = {"name": f"c{chance.randrange(8)}", "namespace": "ns"}
                await world.client.create(volume(f"v{number}", size, **given))
            case 2 | 3:
                named = {"volumeName": f"v{chance.randrange(8)}"} if chance.random() < 0.2 else {}
                await world.client.create(claim(f"c{number}", size, **named))
            case 4:
                await world.client.delete(PersistentVolumeClaim, f"c{number}", "ns")
            case 5:
                await world.client.delete(PersistentVolume, f"v{number}")
            case 6:
                await world.client.create(user(f"p{number}", f"c{number}"))
    except (AlreadyExists, NotFound, Conflict, Forbidden):  # a pod before its service account
        return


async def whole(world: World) -> str:
    """What is wrong with the bindings; empty if nothing."""
    volumes = {one.metadata.name: one for one in (await world.client.list(PersistentVolume)).items}
    claims = {claim_key(one): one for one in (await world.client.list(PersistentVolumeClaim)).items}
    for key, one in claims.items():
        mine = volumes.get(one.spec.volumeName)
        ref = mine.spec.claimRef if mine is not None else None
        if one.status.phase == "Bound" and (ref is None or ref.uid != one.metadata.uid):
            return f"{key} is bound to {one.spec.volumeName}, which is not its"
        waits = one.status.phase == "Pending" and not one.spec.volumeName
        fits = (v for v in volumes.values() if has_modes(v, one))
        if waits and (free := find_matching(one, fits)) is not None:
            return f"{key} waits, and {free.metadata.name} is free"
    for name, disk in volumes.items():
        holder, ref = claims.get(claimant(disk)), disk.spec.claimRef
        held = holder is not None and ref is not None and ref.uid == holder.metadata.uid
        if (disk.status.phase == "Bound") != held:
            return f"{name} is {disk.status.phase}, and its claim is {claimant(disk)!r}"
    return ""


def once(volumes: list[PersistentVolume]) -> bool:
    """No claim has two volumes that both say that they are bound to it."""
    bound = Counter(v.spec.claimRef.uid for v in volumes if v.spec.claimRef is not None and v.status.phase == "Bound")
    return all(count == 1 for count in bound.values())


@pytest.mark.parametrize("seed", range(1, 13))
def test_chaos_ends_in_whole_bindings(seed: int) -> None:
    async def story(world: World) -> None:
        for _ in range(STEPS):
            await shake(world)
            await asyncio.sleep(rand.rng().uniform(0, 3))
        world.network.heal()

        async def right() -> bool:
            return not await whole(world)

        try:
            await world.until(right, 1200)
        except AssertionError:
            raise AssertionError(await whole(world)) from None
        assert once(list((await world.client.list(PersistentVolume)).items))

    play(story, seed=seed, faults=Faults())
