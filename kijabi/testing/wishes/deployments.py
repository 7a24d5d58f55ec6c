"""Deployments, and the ReplicaSets under them: created, scaled, updated, rolled back, paused, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish, app_of, variant_of
from kijabi.testing.wishes.templates import BAD, GOOD, plain, template, variant

STRATEGIES: tuple[dict[str, Any], ...] = (
    {},
    {"type": "Recreate"},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "50%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 2}},
)


class Deployments:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (Deployment, ReplicaSet)
    first = 2

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            (6, self.create),
            (6, self.scale),
            (7, self.change),
            (3, self.roll_back),
            (3, self.pause),
            (3, self.delete),
            (2, self.delete_set),
        )

    async def create(self) -> None:
        """In one of the namespaces, most often one that can run."""
        if await self.hand.full(Deployment):
            return
        chance, name, what = rand.rng(), self.hand.name("web"), variant()
        spec = {
            "replicas": chance.randrange(5),
            "selector": {"matchLabels": {"app": name}},
            "template": plain(template(name, what, 1)),
            "strategy": chance.choice(STRATEGIES),
            "revisionHistoryLimit": chance.choice((0, 1, 10)),
            "minReadySeconds": chance.choice((0, 0, 0, 3)),
        }
        about = f"{what} x{spec['replicas']}"
        await self.hand.create(Deployment, name, await self.hand.namespace(), about, spec=spec)

    async def scale(self) -> None:
        """More or fewer pods."""
        d = await self.hand.one(Deployment)
        if d is not None:
            await self.hand.change(d, {"spec": {"replicas": rand.rng().randrange(7)}})

    async def change(self) -> None:
        """Another template."""
        d = await self.hand.one(Deployment)
        if d is not None:
            new = template(app_of(d), variant(), rand.rng().randrange(1, 5))
            await self.hand.change(d, {"spec": {"template": new}})

    async def roll_back(self) -> None:
        """The template of another of its revisions, as kubectl rollout undo."""
        d = await self.hand.one(Deployment)
        sets = [rs for rs in await self.hand.all(ReplicaSet) if d is not None and _owned(rs, d)]
        if d is not None and sets:
            old = codec.to_builtins(rand.rng().choice(sets).spec.template)
            old["metadata"]["labels"].pop("pod-template-hash", None)
            patch = [{"op": "replace", "path": "/spec/template", "value": old}]
            meta = d.metadata
            self.hand.say(f"user: roll back {meta.namespace}/{meta.name}")
            await self.hand.client.patch(Deployment, meta.name, patch, namespace=meta.namespace, type="json")

    async def pause(self) -> None:
        """Pause or resume."""
        d = await self.hand.one(Deployment)
        if d is not None:
            await self.hand.change(d, {"spec": {"paused": not d.spec.paused}})

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(Deployment))

    async def delete_set(self) -> None:
        """A ReplicaSet from under its Deployment, or one left behind."""
        await self.hand.delete(await self.hand.one(ReplicaSet))

    async def repair(self) -> None:
        """Templates that run, nothing paused."""
        for d in await self.hand.living(Deployment):
            what = variant_of(d.spec.template)
            better = template(app_of(d), what if what in GOOD else "plain", 5)
            await self.hand.change(d, {"spec": {"paused": None, "template": better}})
        for rs in await self.hand.all(ReplicaSet):
            if not rs.metadata.ownerReferences and variant_of(rs.spec.template) in BAD:
                await self.hand.delete(rs, "Background")

    async def update(self) -> None:
        """A new version of each."""
        for d in await self.hand.all(Deployment):
            await self.hand.change(d, {"spec": {"template": template(app_of(d), variant_of(d.spec.template), 6)}})


def _owned(rs: ReplicaSet, d: Deployment) -> bool:
    return any(ref.uid == d.metadata.uid for ref in rs.metadata.ownerReferences)
