"""Claims and their volumes: StatefulSets with claim templates, pods with claims, volumes made by hand and by the
local-path provisioner, bound at once and with their first pod, grown, kept, given back and emptied, deleted in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.matching import NO_PROVISIONER, claim_key, class_of, has_class, requested, reserved
from kijabi.api.storage.storageclass import StorageClass
from kijabi.base import rand
from kijabi.base.errors import AlreadyExists
from kijabi.testing.history import controller
from kijabi.testing.safety.facts import claims_of
from kijabi.testing.wishes.hand import Wish
from kijabi.testing.wishes.statefulsets import StatefulSets

HOSTNAME = "kubernetes.io/hostname"
PROVISIONER = "kijabi.dev/local-path"
WAITS, AT_ONCE = "WaitForFirstConsumer", "Immediate"
GROWS = {"allowVolumeExpansion": True}
# Beside local-path, which is there: what the user adds. The last is for volumes made by hand, which nobody makes grow,
# though nothing is said against it; in the one before, that is.
CLASSES: dict[str, dict[str, Any]] = {
    "quick": {"provisioner": PROVISIONER, "volumeBindingMode": AT_ONCE, "reclaimPolicy": "Delete", **GROWS},
    "kept": {"provisioner": PROVISIONER, "volumeBindingMode": WAITS, "reclaimPolicy": "Retain"},
    "byhand": {"provisioner": NO_PROVISIONER, "volumeBindingMode": WAITS, "reclaimPolicy": "Retain", **GROWS},
}
MADE, BY_HAND = (None, None, "quick", "kept"), ("byhand", "")
DISK = {"requests": {"storage": "1Gi"}}
HOLD = "example.com/hold"
TOO_MUCH = 2048  # GiB, more than any disk has
ENOUGH = 8  # volumes at most that the user makes


class Claims(StatefulSets):
    """See Theme. Its StatefulSets have claims."""

    kinds: tuple[type[Any], ...] = (StatefulSet, ControllerRevision, Pod, PersistentVolumeClaim, PersistentVolume)
    first = 2

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            *super().wishes(),
            (3, self.retain),
            (5, self.create_claim),
            (4, self.use_claim),
            (4, self.delete_claim),
            (2, self.hold),
            (3, self.create_volume),
            (2, self.delete_volume),
            (2, self.give_back),
            (5, self.grow),
            (8, self.pass_on),
        )

    def storage(self) -> dict[str, Any]:
        """Of each of the set's pods one claim or two, and what becomes of them."""
        chance = rand.rng()
        cls = chance.choice((*MADE, *BY_HAND))
        spec = {"accessModes": [_mode()], "resources": DISK, "storageClassName": cls}
        # Where nobody waits for the pod, two volumes may be on two nodes, and the pod on none.
        names = ("data", "log") if cls not in ("quick", "") and chance.random() < 0.3 else ("data",)
        templates = [{"metadata": {"name": name}, "spec": spec} for name in names]
        return {"volumeClaimTemplates": templates, "persistentVolumeClaimRetentionPolicy": _retention()}

    async def create(self) -> None:
        """A StatefulSet; the classes are there, and a volume that is passed on."""
        await self._classes()
        await super().create()
        await self.pass_on()

    async def _classes(self) -> None:
        for name, fields in CLASSES.items():
            try:
                await self.hand.create(StorageClass, name, "", **fields)
            except AlreadyExists:
                continue

    async def retain(self) -> None:
        """Decide anew what becomes of a set's claims."""
        ss = await self.hand.one(StatefulSet)
        if ss is not None and ss.spec.volumeClaimTemplates:
            await self.hand.change(ss, {"spec": {"persistentVolumeClaimRetentionPolicy": _retention()}})

    async def create_claim(self) -> None:
        """One that is nobody's."""
        if len(await self._own_claims()) < self.hand.most:
            await self._claim(rand.rng().choice((*MADE, *BY_HAND, *BY_HAND)))

    async def _claim(self, cls: str | None) -> None:
        spec = {"accessModes": [_mode()], "resources": DISK, "storageClassName": cls}
        await self._classes()
        name, space = self.hand.name("disk"), await self.hand.namespace()
        await self.hand.create(PersistentVolumeClaim, name, space, str(cls), spec=spec)

    async def use_claim(self) -> None:
        """A pod that uses a claim, or has one of its own."""
        chance, found = rand.rng(), await self._own_claims()
        if await self.hand.full(Pod) and chance.random() < 0.5:
            return
        claim = chance.choice(found) if found and chance.random() < 0.8 else None
        if claim is not None:
            space = claim.metadata.namespace
            source: dict[str, Any] = {"persistentVolumeClaim": {"claimName": claim.metadata.name}}
        else:
            space = await self.hand.namespace()
            spec = {"accessModes": ["ReadWriteOnce"], "resources": DISK}
            source = {"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
        container = {"name": "c", "image": "app:1", "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
        pod = {"containers": [container], "volumes": [{"name": "disk", **source}], "terminationGracePeriodSeconds": 5}
        await self.hand.create(Pod, f"user-{self.hand.number()}", space, str(source), spec=pod)

    async def delete_claim(self) -> None:
        """Whoever uses it."""
        await self.hand.delete(await self.hand.one(PersistentVolumeClaim), "Background")

    async def hold(self) -> None:
        """Keep a claim from going, as those who make snapshots do."""
        claim = await self.hand.one(PersistentVolumeClaim)
        if claim is not None:
            await self.hand.change(claim, {"metadata": {"finalizers": [HOLD]}})

    async def create_volume(self) -> None:
        """By hand: for any claim, or kept for one."""
        chance = rand.rng()
        claims = await self.hand.all(PersistentVolumeClaim)
        claim = chance.choice(claims) if claims and chance.random() < 0.3 else None
        nodes = await self.hand.all(Node) if chance.random() < 0.5 else []
        if claim is not None and not _alone(claim):  # Its pod's other claim may be on another node.
            nodes = []
        if len(await self.hand.all(PersistentVolume)) < ENOUGH:
            await self._volume(chance.choice(BY_HAND), claim, chance.choice(nodes) if nodes else None)

    async def _volume(
        self, cls: str, claim: PersistentVolumeClaim | None = None, node: Node | None = None, policy: str = ""
    ) -> None:
        """claim: the only one that it is for; node: where alone it can be reached."""
        chance = rand.rng()
        name = f"hand-{self.hand.number()}"
        spec: dict[str, Any] = {
            "capacity": {"storage": chance.choice(("1Gi", "2Gi"))},
            "accessModes": list(claim.spec.accessModes) if claim is not None else [_mode()],
            "persistentVolumeReclaimPolicy": policy or chance.choice(("Retain", "Delete", "Recycle")),
            "hostPath": {"path": f"/data/{name}"},
            "storageClassName": class_of(claim) if claim is not None else cls,
        }
        if node is not None:
            where = node.metadata.labels.get(HOSTNAME, "")
            term = {"key": HOSTNAME, "operator": "In", "values": [where]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
        if claim is not None:
            spec["claimRef"] = {"namespace": claim.metadata.namespace, "name": claim.metadata.name}
        await self.hand.create(PersistentVolume, name, "", str(spec), spec=spec)

    async def delete_volume(self) -> None:
        """Whatever it is bound to."""
        await self.hand.delete(await self.hand.one(PersistentVolume), "Background")

    async def pass_on(self) -> None:
        """A volume goes from claim to claim, emptied in between: who has it leaves it, or another one wants it."""
        found = [one for one in await self.hand.living(PersistentVolume) if _recycled(one)]
        has = {one.spec.volumeName: one for one in await self._own_claims() if one.metadata.deletionTimestamp is None}
        mine = [has[one.metadata.name] for one in found if one.metadata.name in has]
        if not found:
            node = await self.hand.one(Node) if rand.rng().random() < 0.7 else None
            await self._volume("", node=node, policy="Recycle")
        if mine and rand.rng().random() < 0.6:
            await self.hand.delete(rand.rng().choice(mine), "Background")
        elif len(has) <= self.hand.most:
            await self._claim("")

    async def give_back(self) -> None:
        """Let others have a volume whose claim has gone, as its reclaim policy leaves to people."""
        for volume in await self.hand.living(PersistentVolume):
            if _left(volume):
                await self.hand.change(volume, {"spec": {"claimRef": None}})
                return

    async def grow(self) -> None:
        """Ask for more, wherever that leads: once or twice in a row, and now and then for too much, or less again."""
        chance, claim = rand.rng(), await self.hand.one(PersistentVolumeClaim)
        if claim is None:
            return
        size = _size(claim) + chance.randrange(1, 4)
        for asked in chance.choice(((size,), (size,), (size, size + 1), (size, size - 1), (TOO_MUCH,))):
            await self._ask(claim, asked)

    async def _ask(self, claim: PersistentVolumeClaim, size: int) -> None:
        """For so many GiB."""
        await self.hand.change(claim, {"spec": {"resources": {"requests": {"storage": f"{size}Gi"}}}})

    async def _own_claims(self) -> list[PersistentVolumeClaim]:
        return [one for one in await self.hand.all(PersistentVolumeClaim) if _alone(one)]

    async def repair(self) -> None:
        """No claim is on its way out with a pod on it, none has lost its volume, and each has a volume to be had."""
        await super().repair()
        volumes = {one.metadata.name: one for one in await self.hand.all(PersistentVolume)}
        claims = await self.hand.all(PersistentVolumeClaim)
        doomed = [claim for claim in claims if _doomed(claim, volumes.get(claim.spec.volumeName))]
        for claim in doomed:
            await self.hand.delete(claim, "Background")
        gone = {claim_key(claim) for claim in doomed}
        there = {claim_key(claim) for claim in claims} - gone
        sets = {ss.metadata.uid: ss for ss in await self.hand.living(StatefulSet)}
        for pod in await self.hand.all(Pod):
            used, owner = claims_of(pod), controller(pod.metadata)
            lost = used - there if owner is None else set()
            ss = sets.get(owner.uid) if owner is not None else None
            # What a set adopted from another of its name has the volumes that it has: it must be made anew by hand.
            alien = ss is not None and len(used) != len(ss.spec.volumeClaimTemplates)
            if used & gone or lost or alien:
                await self.hand.delete(pod, "Background")
        staying = [one for one in volumes.values() if one.metadata.deletionTimestamp is None]
        for claim in claims:
            waits = claim.status.phase == "Pending" and class_of(claim) in BY_HAND and claim_key(claim) not in gone
            if waits and not any(reserved(one, claim) for one in staying):
                await self._volume(class_of(claim), claim)
        await self._spare(there)
        for claim in claims:
            if HOLD in claim.metadata.finalizers:
                await self.hand.change(claim, {"metadata": {"$deleteFromPrimitiveList/finalizers": [HOLD]}})
        await self._moderate()

    async def _moderate(self) -> None:
        """Who asks for too much asks for less; and who waits for more asks anew, for that nobody gives it may have been
        told in the storm, and not heard."""
        for claim in await self.hand.all(PersistentVolumeClaim):
            has = claim.status.capacity.get("storage")
            if claim.status.phase != "Bound" or has is None or requested(claim).cmp(has) <= 0:
                continue
            if _size(claim) >= TOO_MUCH:
                await self._ask(claim, (has.value() >> 30) + 1)
                await self._ask(claim, (has.value() >> 30) + 2)
            else:
                await self._ask(claim, _size(claim) + 1)

    async def update(self) -> None:
        """A new version of each set, more for each claim that may have more, and an end of those whose volumes are for
        the next ones."""
        await super().update()
        free = {one.metadata.name for one in await self.hand.all(StorageClass) if one.allowVolumeExpansion}
        for claim in await self.hand.living(PersistentVolumeClaim):
            if claim.status.phase == "Bound" and class_of(claim) in free:
                await self._ask(claim, _size(claim) + 1)
        used = {key for pod in await self.hand.all(Pod) for key in claims_of(pod)}
        passing = {one.metadata.name for one in await self.hand.living(PersistentVolume) if _recycled(one)}
        for claim in await self._own_claims():
            if claim.spec.volumeName in passing and claim_key(claim) not in used:
                await self.hand.delete(claim, "Background")

    async def _spare(self, there: set[str]) -> None:
        """Volumes for the claims that sets are going to make."""
        for ss in await self.hand.living(StatefulSet):
            space, first = ss.metadata.namespace, ss.spec.ordinals.start if ss.spec.ordinals is not None else 0
            for wanted in ss.spec.volumeClaimTemplates:
                names = (f"{wanted.metadata.name}-{ss.metadata.name}-{first + n}" for n in range(ss.spec.replicas or 0))
                for name in names:
                    if class_of(wanted) in BY_HAND and has_class(wanted) and f"{space}/{name}" not in there:
                        meta = ObjectMeta(name=name, namespace=space)
                        await self._volume(class_of(wanted), replace(wanted, metadata=meta))


def _left(volume: PersistentVolume) -> bool:
    """Its claim has gone, and what becomes of it is for people to say."""
    return volume.status.phase == "Released" and volume.spec.persistentVolumeReclaimPolicy == "Retain"


def _recycled(volume: PersistentVolume) -> bool:
    """It is for one claim after another, and for one that waits for no pod."""
    return volume.spec.persistentVolumeReclaimPolicy == "Recycle" and not volume.spec.storageClassName


def _doomed(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> bool:
    """It goes, or what it is bound to goes or has gone: with what uses it, it must go first."""
    if claim.metadata.deletionTimestamp is not None or claim.status.phase == "Lost":
        return True
    return claim.status.phase == "Bound" and (volume is None or volume.metadata.deletionTimestamp is not None)


def _alone(claim: PersistentVolumeClaim) -> bool:
    """It is none of a set's, so that no pod has others beside it."""
    return claim.metadata.name.startswith("disk-")


def _size(claim: PersistentVolumeClaim) -> int:
    """How many GiB it asks for."""
    return requested(claim).value() >> 30


def _mode() -> str:
    return "ReadWriteOncePod" if rand.rng().random() < 0.15 else "ReadWriteOnce"


def _retention() -> dict[str, str]:
    chance = rand.rng()
    return {"whenDeleted": chance.choice(("Retain", "Delete")), "whenScaled": chance.choice(("Retain", "Delete"))}
