"""Pods that are to be placed together, in a cluster that has no room for all: gangs that are too large, more urgent
than others, displaced as a whole or singly, that grow, shrink, end and go; and single pods of some size among them.

They leave a little of each node to pods of other themes. The API server must serve groups (`SERVED`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.apiserver.app import Settings
from kijabi.apiserver.flags import parse
from kijabi.base import rand
from kijabi.base.errors import AlreadyExists
from kijabi.testing.wishes.hand import Hand, Wish
from kijabi.testing.wishes.templates import SCRIPT

SERVED = Settings(flags=parse(("feature-gates=GenericWorkload=true", "runtime-config=scheduling.k8s.io/v1beta1=true")))
CLASSES = {"lesser": 100, "greater": 200}
LABEL = "gang"
# How many of them a node takes, and what each asks for: nine tenths of a node of four CPUs in all.
SIZES = {1: "3600m", 2: "1800m", 3: "1200m"}
MODES = ("single", "all", "all")


class Gangs:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (PodGroup,)
    first = 2

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            (10, self.create),
            (5, self.join),
            (3, self.leave),
            (3, self.resize),
            (4, self.dissolve),
            (4, self.single),
        )

    async def create(self) -> None:
        """A group and its pods, in whatever order, as many as it needs or nearly so."""
        if await self.hand.full(PodGroup):
            return
        chance = rand.rng()
        share = chance.choice(tuple(SIZES))
        most = share * len(await self.hand.all(Node))
        least = chance.randrange(1, most + 2)
        await self._gang(least, least + chance.choice((-1, 0, 0, 0, 1)), share, chance.choice((None, *CLASSES)))

    async def _gang(self, least: int, pods: int, share: int, klass: str | None) -> None:
        chance, namespace = rand.rng(), await self.hand.namespace()
        await self._classes()
        name = f"gang-{self.hand.number()}"
        ends = chance.choice((None, None, None, None, '{"runFor": 5}'))
        spec = {
            "schedulingPolicy": {"gang": {"minCount": least}} if chance.random() < 0.9 else {"basic": {}},
            "disruptionMode": {chance.choice(MODES): {}},
            "priorityClassName": klass,
        }
        about = f"{pods} pods, 1/{share} of a node each: {spec}"
        last = chance.random() < 0.3
        if not last:
            await self.hand.create(PodGroup, name, namespace, about, spec=spec)
        for _ in range(pods):
            await self._pod(name, namespace, SIZES[share], klass, ends)
        if last:
            await self.hand.create(PodGroup, name, namespace, about, spec=spec)

    async def _classes(self) -> None:
        there = {one.metadata.name for one in await self.hand.all(PriorityClass)}
        for name, value in CLASSES.items():
            if name not in there:
                try:
                    await self.hand.create(PriorityClass, name, "", value=value)
                except AlreadyExists:
                    continue

    async def _pod(self, group: str, namespace: str, cpu: str, klass: str | None, ends: str | None = None) -> None:
        meta = {"annotations": {SCRIPT: ends, LABEL: cpu}, "labels": {LABEL: group or "none"}}
        spec = {
            "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}],
            "schedulingGroup": {"podGroupName": group} if group else None,
            "priorityClassName": klass,
            "restartPolicy": "Never" if ends else "Always",
            "terminationGracePeriodSeconds": rand.rng().choice((1, 10)),
        }
        name = f"{group or 'single'}-{self.hand.number()}"
        await self.hand.create(Pod, name, namespace, f"{cpu} {klass}", metadata=meta, spec=spec)

    async def single(self) -> None:
        """A pod in no group that takes room, or displaces others."""
        if sum(1 for pod in await self.hand.all(Pod) if pod.metadata.labels.get(LABEL) == "none") >= 3:
            return
        chance = rand.rng()
        await self._classes()
        klass = chance.choice((None, *CLASSES))
        await self._pod("", await self.hand.namespace(), chance.choice(tuple(SIZES.values())), klass)

    async def join(self) -> None:
        """One more pod, like those that a group has."""
        group = await self.hand.one(PodGroup)
        pods = await self._members(group) if group is not None else []
        if pods and len(pods) < 8:
            cpu = pods[0].metadata.annotations[LABEL]
            await self._pod(group.metadata.name, group.metadata.namespace, cpu, group.spec.priorityClassName or None)

    async def leave(self) -> None:
        """A pod of a group goes."""
        group = await self.hand.one(PodGroup)
        pods = await self._members(group) if group is not None else []
        if pods:
            await self.hand.delete(rand.rng().choice(pods), "Background")

    async def resize(self) -> None:
        """A gang needs more or fewer."""
        group = await self.hand.one(PodGroup)
        if group is not None and group.spec.schedulingPolicy.gang is not None:
            least = max(1, group.spec.schedulingPolicy.gang.minCount + rand.rng().choice((-2, -1, -1, 1)))
            await self.hand.change(group, {"spec": {"schedulingPolicy": {"gang": {"minCount": least}}}})

    async def dissolve(self) -> None:
        """A group goes, most often with its pods; else it stays until they have ended."""
        group = await self.hand.one(PodGroup)
        if group is None:
            return
        pods = await self._members(group)
        await self.hand.delete(group, "Background")
        if rand.rng().random() < 0.8:
            for pod in pods:
                await self.hand.delete(pod, "Background")

    async def _members(self, group: PodGroup) -> list[Pod]:
        named = (group.metadata.namespace, group.metadata.name)
        pods = await self.hand.all(Pod)
        return [pod for pod in pods if (pod.metadata.namespace, pod.metadata.labels.get(LABEL)) == named]

    async def repair(self) -> None:
        """No group waits for its pods to be gone."""
        for group in await self.hand.all(PodGroup):
            if group.metadata.deletionTimestamp is not None:
                for pod in await self._members(group):
                    await self.hand.delete(pod, "Background")

    async def update(self) -> None:
        """A gang that comes before all others, and one that is too large."""
        nodes = len(await self.hand.all(Node))
        await self._gang(2 * nodes + 1, 2 * nodes + 1, 2, "greater")
        await self._gang(nodes, nodes, 1, "greater")
