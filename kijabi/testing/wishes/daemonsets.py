"""DaemonSets: on all nodes or some, rolled out by deletion, by surge and by hand, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish, app_of, variant_of
from kijabi.testing.wishes.templates import GOOD, plain, template, variant

STRATEGIES: tuple[dict[str, Any], ...] = (
    {},
    {"type": "OnDelete"},
    {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}},
)
EVERYWHERE = [{"operator": "Exists"}]


class DaemonSets:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (DaemonSet, ControllerRevision)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((3, self.create), (6, self.change), (2, self.choose), (2, self.delete))

    async def create(self) -> None:
        """On all nodes that let it, or whatever they say."""
        if len(await self.hand.all(DaemonSet)) >= min(2, self.hand.most):
            return
        chance, name, what = rand.rng(), self.hand.name("agent"), variant()
        pod = plain(template(name, what, 1))
        if chance.random() < 0.3:
            pod["spec"]["tolerations"] = EVERYWHERE
        spec = {
            "selector": {"matchLabels": {"app": name}},
            "template": pod,
            "updateStrategy": chance.choice(STRATEGIES),
            "minReadySeconds": chance.choice((0, 0, 3)),
            "revisionHistoryLimit": chance.choice((0, 1, 10)),
        }
        await self.hand.create(DaemonSet, name, await self.hand.namespace(), what, spec=spec)

    async def change(self) -> None:
        """Another template."""
        ds = await self.hand.one(DaemonSet)
        if ds is not None:
            new = template(app_of(ds), variant(), rand.rng().randrange(1, 4))
            await self.hand.change(ds, {"spec": {"template": new}})

    async def choose(self) -> None:
        """Other nodes: one of them, or all."""
        ds = await self.hand.one(DaemonSet)
        if ds is not None:
            where = rand.rng().choice((None, "node-1", "node-2"))
            chosen = {"kubernetes.io/hostname": where}
            await self.hand.change(ds, {"spec": {"template": {"spec": {"nodeSelector": chosen}}}})

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(DaemonSet))

    async def repair(self) -> None:
        """Templates that run, on all nodes, rolled out."""
        for ds in await self.hand.living(DaemonSet):
            what = variant_of(ds.spec.template)
            better = template(app_of(ds), what if what in GOOD else "plain", 5)
            better["spec"]["nodeSelector"] = None
            rolled = {"type": "RollingUpdate"}
            await self.hand.change(ds, {"spec": {"template": better, "updateStrategy": rolled}})

    async def update(self) -> None:
        """A new version of each."""
        for ds in await self.hand.all(DaemonSet):
            await self.hand.change(ds, {"spec": {"template": template(app_of(ds), variant_of(ds.spec.template), 6)}})
