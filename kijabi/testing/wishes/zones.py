"""Nodes in zones, and Deployments that are spread over them and leave lost nodes soon. `trouble.py` loses the zones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.node import Node
from kijabi.base import rand
from kijabi.testing.safety.zones import LOST, ZONE
from kijabi.testing.wishes.hand import Hand, Wish, app_of

NAMES = ("a", "b")


class Zones:
    """See Theme."""

    kinds: tuple[type[Any], ...] = ()
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((1, self.divide), (6, self.spread), (2, self.hasten))

    async def divide(self) -> None:
        """Every node is in a zone; those that come back without are put into theirs."""
        for node in await self.hand.all(Node):
            number = int(node.metadata.name.rpartition("-")[2])
            if ZONE not in node.metadata.labels:
                await self.hand.change(node, {"metadata": {"labels": {ZONE: NAMES[number % len(NAMES)]}}})

    async def spread(self) -> None:
        """Let a Deployment have as many pods in the one zone as in the other, as far as may be."""
        d = await self.hand.one(Deployment)
        if d is not None:
            how = rand.rng().choice(("ScheduleAnyway", "DoNotSchedule"))
            labels = {"matchLabels": {"app": app_of(d)}}
            evenly = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": how, "labelSelector": labels}
            await self._pods(d, {"topologySpreadConstraints": [evenly]})

    async def hasten(self) -> None:
        """Let the pods of a Deployment leave a lost node after some seconds."""
        d = await self.hand.one(Deployment)
        if d is not None:
            seconds = rand.rng().choice((0, 5, 20))
            bears = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
            await self._pods(d, {"tolerations": [{"key": key, **bears} for key in LOST]})

    async def _pods(self, d: Deployment, change: dict[str, Any]) -> None:
        await self.hand.change(d, {"spec": {"template": {"spec": change}}})

    async def repair(self) -> None:
        """All nodes are in their zones."""
        await self.divide()

    async def update(self) -> None:
        """Nothing to roll out."""
