"""StatefulSets: ordered and parallel, rolled out in parts, by hand and several at a time, rolled back, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.pod import Pod
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish, app_of, variant_of
from kijabi.testing.wishes.templates import BAD, GOOD, plain, template, variant

REPLACE_BROKEN = "kijabi.dev/replace-broken"
CLAIMS = "volumeClaimTemplates"
STRATEGIES: tuple[dict[str, Any], ...] = (
    {},
    {"type": "OnDelete"},
    {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "partition": 0}},
)


class StatefulSets:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (StatefulSet, ControllerRevision)
    first = 2

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            (5, self.create),
            (5, self.scale),
            (7, self.change),
            (3, self.partition),
            (2, self.delete),
            (3, self.take_one),
        )

    def storage(self) -> dict[str, Any]:
        """What a set says of claims."""
        return {}

    async def create(self) -> None:
        """In one of the namespaces."""
        if await self.hand.full(StatefulSet):
            return
        chance, name, what = rand.rng(), self.hand.name("db"), variant()
        spec: dict[str, Any] = {
            "replicas": chance.randrange(5),
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": plain(template(name, what, 1)),
            "podManagementPolicy": chance.choice(("OrderedReady", "OrderedReady", "Parallel")),
            "updateStrategy": chance.choice(STRATEGIES),
            "revisionHistoryLimit": chance.choice((0, 1, 10)),
            "minReadySeconds": chance.choice((0, 0, 0, 3)),
            "ordinals": {"start": chance.choice((1, 4))} if chance.random() < 0.2 else None,
            **self.storage(),
        }
        names = [one["metadata"]["name"] for one in spec.get(CLAIMS, ())]
        mounts = [{"name": each, "mountPath": f"/{each}"} for each in names]
        spec["template"]["spec"]["containers"][0]["volumeMounts"] = mounts
        meta = {"annotations": {REPLACE_BROKEN: "true"}} if chance.random() < 0.4 else {}
        about = f"{what} x{spec['replicas']} {spec['podManagementPolicy']}"
        await self.hand.create(StatefulSet, name, await self.hand.namespace(), about, spec=spec, metadata=meta)

    async def scale(self) -> None:
        """More or fewer pods."""
        ss = await self.hand.one(StatefulSet)
        if ss is not None:
            await self.hand.change(ss, {"spec": {"replicas": rand.rng().randrange(6)}})

    async def change(self) -> None:
        """Another template, or one that it had."""
        ss = await self.hand.one(StatefulSet)
        if ss is not None:
            new = template(app_of(ss), variant(), rand.rng().randrange(1, 4))
            await self.hand.change(ss, {"spec": {"template": new}})

    async def partition(self) -> None:
        """Roll out to another part of it, where it is rolled out at all."""
        ss = await self.hand.one(StatefulSet)
        if ss is not None and ss.spec.updateStrategy.type == "RollingUpdate":
            rolling = {"partition": rand.rng().randrange(4)}
            await self.hand.change(ss, {"spec": {"updateStrategy": {"rollingUpdate": rolling}}})

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(StatefulSet))

    async def take_one(self) -> None:
        """Delete one of its pods, with its own grace."""
        mine = [pod for pod in await self.hand.all(Pod) if _of_a_set(pod)]
        if mine:
            pod = rand.rng().choice(mine)
            self.hand.say(f"user: delete pod {pod.metadata.namespace}/{pod.metadata.name} with its grace")
            await self.hand.client.delete(Pod, pod.metadata.name, pod.metadata.namespace)

    async def repair(self) -> None:
        """Templates that run, rolled out to all; broken pods of a set that does not replace them itself are deleted
        by hand, as Kubernetes asks for."""
        rolled = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
        sets = await self.hand.living(StatefulSet)
        for ss in sets:
            what = variant_of(ss.spec.template)
            better = template(app_of(ss), what if what in GOOD else "plain", 5)
            await self.hand.change(ss, {"spec": {"template": better, "updateStrategy": rolled}})
        patient = {ss.metadata.uid for ss in sets if REPLACE_BROKEN not in ss.metadata.annotations}
        for pod in await self.hand.living(Pod):
            broken = pod.metadata.annotations.get("variant") in BAD
            if broken and any(ref.uid in patient for ref in pod.metadata.ownerReferences):
                await self.hand.delete(pod, "Background")
            space, name = pod.metadata.namespace, pod.metadata.name.rpartition("-")[0]
            taken = any((ss.metadata.namespace, ss.metadata.name) == (space, name) for ss in sets)
            if taken and not pod.metadata.ownerReferences:  # Let go, it stands in the way of the next of its name.
                await self.hand.delete(pod, "Background")

    async def update(self) -> None:
        """A new version of each."""
        for ss in await self.hand.all(StatefulSet):
            await self.hand.change(ss, {"spec": {"template": template(app_of(ss), variant_of(ss.spec.template), 6)}})


def _of_a_set(pod: Pod) -> bool:
    return any(ref.kind == "StatefulSet" for ref in pod.metadata.ownerReferences)
