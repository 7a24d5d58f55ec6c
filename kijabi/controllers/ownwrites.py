"""A controller that plans from a cache must not plan from one that lags behind its own writes.

The Deployment controller counts the pods that its ReplicaSets may have; with a cache from before its last write it
would count some twice and go beyond maxSurge. So it remembers the version of what it wrote for each key, and waits
until the informer has come so far (resource versions can be compared: KEP-5504). After a write whose answer was lost
it asks the server how far history is. A key is remembered until the cache has caught up.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from kijabi.base.errors import ConnectionLost
from kijabi.client.client import Client
from kijabi.client.informer import Informer

T = TypeVar("T")

AGAIN = 1.0
"""Seconds until a key is looked at again whose cache lags; usually the awaited event comes first."""


class OwnWrites:
    """What a controller wrote to the objects of one informer, by the key on whose behalf it did."""

    def __init__(self, client: Client, informer: Informer[Any]) -> None:
        self._client = client
        self._informer = informer
        self._wrote: dict[str, int] = {}
        self._unsure: set[str] = set()

    def wrote(self, key: str, answer: Any) -> None:
        """The server answered a write with this object."""
        self.reached(key, int(answer.metadata.resourceVersion))

    def reached(self, key: str, version: int) -> None:
        """A write brought an object to this version (0: nobody knows, and there is nothing to wait for)."""
        self._wrote[key] = max(self._wrote.get(key, 0), version)

    async def noted(self, key: str, write: Awaitable[T]) -> T:
        """Do a write that answers with the object, and remember how far it came. Raises what the write raises."""
        try:
            answer = await write
        except ConnectionLost:
            self.lost(key)
            raise
        self.wrote(key, answer)
        return answer

    def lost(self, key: str) -> None:
        """The answer to a write was lost: perhaps it happened."""
        self._unsure.add(key)

    async def visible(self, key: str) -> bool:
        """Whether the informer shows all that was written for this key. Raises ApiError or ConnectionLost."""
        if key in self._unsure:
            # The versions of the objects, not that of the list: the informer may never hear of a later one.
            found = (await self._client.list(self._informer.cls, key.partition("/")[0])).items
            newest = max((int(obj.metadata.resourceVersion) for obj in found), default=0)
            self._unsure.discard(key)
            self._wrote[key] = max(self._wrote.get(key, 0), newest)
        if int(self._informer.version or 0) < self._wrote.get(key, 0):
            return False
        self._wrote.pop(key, None)
        return True
