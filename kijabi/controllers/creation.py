"""Create a dependent exactly once, even when the reply is lost; create many without failing many times.

The API server draws a name for `generateName`, so a request that is repeated after a lost reply makes a
second object. Controllers therefore draw the name themselves, note it in their `Expectations`, and offer the
same name again until they know how it ended. `replicaset.py` and `endpointslice.py` create through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from kijabi.base import clock, rand
from kijabi.base.errors import AlreadyExists, ApiError, ConnectionLost, KijabiError
from kijabi.client.cache import key_of
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.controllers.expectations import Expectations

_NAME_BASE = 58
FIRST_BATCH = 1
"""Creations sent at first; each batch that succeeds whole doubles the next, so a bad template fails once."""

Sent = Coroutine[None, None, KijabiError | None]
"""A request under way; its result is why it failed, if it did."""


def generated(base: str) -> str:
    """A fresh name as the API server generates one from `generateName: base-` (63 characters at most)."""
    return f"{base}-"[:_NAME_BASE] + rand.suffix()


async def create_once(
    client: Client, informer: Informer[Any], expectations: Expectations, owner: str, obj: Any
) -> None:
    """Create `obj` (which has a name) for the owner with this uid; return when it exists.

    Raises what `create` raises; after ConnectionLost the name is offered again by
    `expectations.names(owner)`. AlreadyExists: the name belongs to somebody else.
    """
    name = obj.metadata.name
    expectations.created(owner, name, clock.monotonic())
    try:
        await client.create(obj)
    except AlreadyExists:
        if not await _ours(client, informer, expectations, owner, obj):
            raise
    except ConnectionLost:
        expectations.lost(owner, name)
        raise
    except ApiError:
        expectations.failed(owner, name=name)
        raise


async def _ours(client: Client, informer: Informer[Any], expectations: Expectations, owner: str, obj: Any) -> bool:
    """The object of this name is the owner's, from an earlier request."""
    name = obj.metadata.name
    cached = informer.get(key_of(obj))
    try:
        live = cached if cached is not None else await client.get(type(obj), name, obj.metadata.namespace)
    except (ApiError, ConnectionLost):
        expectations.lost(owner, name)
        raise
    ours = any(ref.uid == owner for ref in live.metadata.ownerReferences)
    if cached is not None or not ours:  # There is no event to wait for.
        expectations.failed(owner, name=name)
    return ours


async def together(requests: Iterable[Sent]) -> KijabiError | None:
    """Send requests at once and wait for all; the first that failed."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request) for request in requests]
    return next((error for task in tasks if (error := task.result()) is not None), None)


async def in_order(requests: Iterable[Callable[[], Sent]]) -> KijabiError | None:
    """Send requests one after the other until one fails, which ends it."""
    for send in requests:
        failure = await send()
        if failure is not None:
            return failure
    return None


async def growing(requests: Sequence[Callable[[], Sent]]) -> KijabiError | None:
    """Send requests in batches that double until one fails, which ends it; the first failure."""
    size, done = FIRST_BATCH, 0
    while done < len(requests):
        batch = requests[done : done + size]
        failure = await together(send() for send in batch)
        if failure is not None:
            return failure
        done, size = done + size, size * 2
    return None
