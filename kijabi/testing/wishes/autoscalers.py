"""HorizontalPodAutoscalers over Deployments, and what their pods have to do: now more, now less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apps.deployment import Deployment
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish, app_of

TARGETS: tuple[dict[str, Any], ...] = (
    {"type": "Utilization", "averageUtilization": 50},
    {"type": "AverageValue", "averageValue": "15m"},
)
PACES: tuple[dict[str, Any] | None, ...] = (
    None,
    {"type": "Pods", "value": 1, "periodSeconds": 15},
    {"type": "Percent", "value": 50, "periodSeconds": 30},
)
LOADS = (0, 5, 12, 25, 60, 200)  # thousandths of a core


class Autoscalers:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (HorizontalPodAutoscaler,)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((5, self.create), (6, self.use), (3, self.bound), (2, self.delete))

    async def create(self) -> None:
        """For a Deployment, be there one already or not."""
        d = await self.hand.one(Deployment)
        if d is None or await self.hand.full(HorizontalPodAutoscaler):
            return
        chance = rand.rng()
        least = chance.choice((1, 1, 2))
        pace = chance.choice(PACES)
        down: dict[str, Any] = {"stabilizationWindowSeconds": chance.choice((0, 20, 60))}
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": chance.choice(TARGETS)}}
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": d.metadata.name},
            "minReplicas": least,
            "maxReplicas": least + chance.choice((0, 1, 3)),
            "metrics": [metric],
            "behavior": {"scaleDown": {**down, "policies": [pace] if pace is not None else None}},
        }
        await self.hand.create(HorizontalPodAutoscaler, d.metadata.name, d.metadata.namespace, str(spec), spec=spec)

    async def use(self) -> None:
        """Another load on the pods of a Deployment."""
        d = await self.hand.one(Deployment)
        if d is not None:
            load = self.hand.load[d.metadata.namespace, app_of(d)] = rand.rng().choice(LOADS)
            self.hand.say(f"user: load {load}m on {d.metadata.namespace}/{d.metadata.name}")

    async def bound(self) -> None:
        """Other bounds."""
        hpa = await self.hand.one(HorizontalPodAutoscaler)
        if hpa is not None:
            least = rand.rng().choice((1, 2, 3))
            most = least + rand.rng().choice((0, 2))
            await self.hand.change(hpa, {"spec": {"minReplicas": least, "maxReplicas": most}})

    async def delete(self) -> None:
        """One of them; what it scaled stays as it is."""
        await self.hand.delete(await self.hand.one(HorizontalPodAutoscaler), "Background")

    async def repair(self) -> None:
        """Nothing to repair."""

    async def update(self) -> None:
        """Another load on everything."""
        for d in await self.hand.all(Deployment):
            self.hand.load[d.metadata.namespace, app_of(d)] = rand.rng().choice(LOADS)
