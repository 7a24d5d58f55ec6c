"""PodDisruptionBudgets, and those who ask for evictions: one pod at a time, or a whole node as kubectl drain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api import catalog, codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.policy.eviction import Eviction
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.base import rand
from kijabi.base.errors import ApiError
from kijabi.testing.wishes.hand import Hand, Wish, app_of

AMOUNTS = ({"minAvailable": 1}, {"minAvailable": "50%"}, {"maxUnavailable": 1}, {"maxUnavailable": "30%"})


class Budgets:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (PodDisruptionBudget,)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((4, self.create), (10, self.evict), (2, self.drain), (2, self.delete))

    async def create(self) -> None:
        """For the pods of a workload that has none."""
        chance = rand.rng()
        one = await self.hand.one(chance.choice((Deployment, Deployment, StatefulSet)))
        if one is None or await self.hand.full(PodDisruptionBudget):
            return
        spec = {"selector": {"matchLabels": {"app": app_of(one)}}, **chance.choice(AMOUNTS)}
        spec["unhealthyPodEvictionPolicy"] = chance.choice(("IfHealthyBudget", "AlwaysAllow"))
        await self.hand.create(PodDisruptionBudget, one.metadata.name, one.metadata.namespace, spec=spec)

    async def evict(self) -> None:
        """Ask for the eviction of a pod, most often of one that has a budget."""
        chance = rand.rng()
        pods = await self._covered() if chance.random() < 0.8 else await self.hand.all(Pod)
        if pods:
            await self._evict(chance.choice(pods))

    async def _covered(self) -> list[Pod]:
        """The pods that have budgets."""
        kept = await self.hand.living(PodDisruptionBudget)
        apps = {(one.metadata.namespace, one.spec.selector.matchLabels["app"]) for one in kept}
        pods = await self.hand.living(Pod)
        return [pod for pod in pods if (pod.metadata.namespace, pod.metadata.labels.get("app")) in apps]

    async def drain(self) -> None:
        """Let nothing new onto a node, and ask for the eviction of all that is there, once."""
        node = await self.hand.one(Node)
        if node is None:
            return
        await self.hand.change(node, {"spec": {"unschedulable": True}})
        for pod in await self.hand.all(Pod):
            daemon = any(ref.kind == "DaemonSet" for ref in pod.metadata.ownerReferences)
            if pod.spec.nodeName == node.metadata.name and not daemon:
                await self._evict(pod)

    async def _evict(self, pod: Pod) -> None:
        meta = pod.metadata
        body = codec.from_builtins(Eviction, {"metadata": {"name": meta.name, "namespace": meta.namespace}})
        try:
            pods = catalog.by_type(Pod)
            await self.hand.client.subresource("POST", pods, meta.name, meta.namespace, "eviction", body)
        except ApiError as error:
            self.hand.say(f"user: evict {meta.namespace}/{meta.name}: {type(error).__name__}")
            return
        self.hand.say(f"user: evict {meta.namespace}/{meta.name}")

    async def delete(self) -> None:
        """One of them."""
        await self.hand.delete(await self.hand.one(PodDisruptionBudget), "Background")

    async def repair(self) -> None:
        """Nothing to repair."""

    async def update(self) -> None:
        """Ask for the eviction of every pod that has a budget, one after the other."""
        for pod in await self._covered():
            await self._evict(pod)
