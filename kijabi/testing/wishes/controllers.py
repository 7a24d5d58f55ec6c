"""ReplicationControllers: the old way to have so many pods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish
from kijabi.testing.wishes.templates import GOOD, plain, template


class ReplicationControllers:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (ReplicationController,)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((3, self.create), (5, self.scale), (2, self.delete))

    async def create(self) -> None:
        """In one of the namespaces."""
        if await self.hand.full(ReplicationController):
            return
        chance, name = rand.rng(), self.hand.name("old")
        spec = {"replicas": chance.randrange(5), "template": plain(template(name, chance.choice(GOOD), 1))}
        await self.hand.create(ReplicationController, name, await self.hand.namespace(), spec=spec)

    async def scale(self) -> None:
        """More or fewer pods."""
        rc = await self.hand.one(ReplicationController)
        if rc is not None:
            await self.hand.change(rc, {"spec": {"replicas": rand.rng().randrange(6)}})

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(ReplicationController))

    async def repair(self) -> None:
        """Nothing to repair."""

    async def update(self) -> None:
        """It has no rollout."""
