"""The user of a simulation: creates, scales, updates, takes back, suspends and deletes, now and then foolishly.

`act` goes on until cancelled; `repair` makes sure that what is wished for can be had; `update_everything` rolls out
something new; `delete_everything` leaves. What there is to wish for, the themes say (`wishes/`); which of them a user
has, the scenario says. Where the API server is down, the wish is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kijabi.api.core.namespace import Namespace
from kijabi.api.core.pod import Pod
from kijabi.base import rand
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.client import Client
from kijabi.testing.wishes.autoscalers import Autoscalers
from kijabi.testing.wishes.basics import Basics
from kijabi.testing.wishes.budgets import Budgets
from kijabi.testing.wishes.claims import Claims
from kijabi.testing.wishes.clouds import Clouds, Pools
from kijabi.testing.wishes.controllers import ReplicationControllers
from kijabi.testing.wishes.daemonsets import DaemonSets
from kijabi.testing.wishes.deployments import Deployments
from kijabi.testing.wishes.gangs import Gangs
from kijabi.testing.wishes.hand import Hand, Theme, Wish
from kijabi.testing.wishes.jobs import CronJobs, Jobs
from kijabi.testing.wishes.statefulsets import StatefulSets
from kijabi.testing.wishes.zones import Zones

THEMES: tuple[Callable[[Hand], Theme], ...] = (
    Deployments,
    StatefulSets,
    DaemonSets,
    Jobs,
    CronJobs,
    ReplicationControllers,
    Budgets,
    Claims,
    Autoscalers,
    Zones,
    Gangs,
    Clouds,
    Pools,
)


class User:
    """See the module. say: told what is done, in words. themes: what it is about, beside the basics; most: things of a
    kind; pace: mean seconds between wishes."""

    def __init__(
        self,
        client: Client,
        say: Callable[[str], None],
        themes: Sequence[Callable[[Hand], Theme]] = THEMES,
        *,
        most: int = 6,
        pace: float = 2.5,
    ) -> None:
        self._say = say
        self._pace = pace
        self.hand = Hand(client, say, most)
        self.themes: list[Theme] = [Basics(self.hand), *(theme(self.hand) for theme in themes)]

    async def act(self) -> None:
        """Do one thing after another, until cancelled."""
        wishes = [one for theme in self.themes for one in theme.wishes()]
        weights = [weight for weight, _ in wishes]
        chance = rand.rng()
        for theme in self.themes:
            for _ in range(theme.first):
                await self._try(theme.wishes()[0][1])
        while True:
            await asyncio.sleep(chance.expovariate(1 / self._pace))
            await self._try(chance.choices(wishes, weights)[0][1])

    async def _try(self, wish: Wish) -> None:
        try:
            await wish()
        except (ApiError, ConnectionLost) as error:
            self._say(f"user: {type(error).__name__}: {error}")

    async def repair(self) -> None:
        """Make every wish one that can be granted."""
        for theme in self.themes:
            await theme.repair()

    async def update_everything(self) -> None:
        """Something new of each."""
        for theme in self.themes:
            await theme.update()

    async def delete_everything(self) -> None:
        """All namespaces but those of the system, what is in `default`, and what is in none."""
        for name in await self.hand.namespaces():
            if name != "default":
                await self.hand.client.delete(Namespace, name)
        kinds: dict[type[Any], None] = dict.fromkeys(kind for theme in reversed(self.themes) for kind in theme.kinds)
        last: tuple[type[Any], ...] = (Pod,)
        for cls in (*(kind for kind in kinds if kind is not Pod), *last):
            for obj in await self.hand.all(cls):
                if obj.metadata.namespace in ("default", ""):
                    await self.hand.delete(obj, rand.rng().choice(("Background", "Foreground")))
