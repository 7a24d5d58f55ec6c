"""Rules for claims, volumes and the data behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.matching import claim_key, claimant, node_matches
from kijabi.controllers.persistentvolume.recycling import volume_of
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.kubelet.localpath.plan import NODE_LABEL
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import ADMIN, CONTROLLERS, ENDED, Running, claims_of


class ClaimsKeepTheirVolumes:
    """A claim and a volume are bound to one another and to nobody else (core/v1 PersistentVolumeSpec.claimRef; "a
    one-to-one mapping"): a claim that is Bound names a volume that is reserved for it, and as long as it is there the
    volume stays and stays its own, but for what the administrator does by hand. `judged` counts bindings.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.actor == ADMIN or change.late:
            return None
        if change.resource.type is PersistentVolumeClaim:
            return self._claim(change, ledger)
        if change.resource.type is PersistentVolume and change.old is not None:
            return self._volume(change, ledger)
        return None

    def _claim(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        if new is None or new.status.phase != "Bound" or (old is not None and old.status.phase == "Bound"):
            return None
        self.judged += 1
        name = new.spec.volumeName
        volume = ledger.get(PersistentVolume, name)
        ref = volume.spec.claimRef if volume is not None else None
        if ref is None or ref.uid != new.metadata.uid:
            there = claimant(volume) or "nobody" if volume is not None else None
            return f"bound to {name}, which is {there}'s" if there else f"bound to {name}, which is not there"
        for other in ledger.of(PersistentVolumeClaim):
            same = other.spec.volumeName == name and other.status.phase == "Bound"
            if same and other.metadata.uid != new.metadata.uid:
                return f"bound to {name}, as {claim_key(other)} is"
        return None

    def _volume(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        before, after = old.spec.claimRef, new.spec.claimRef if new is not None else None
        if before is None or (after is not None and after.uid == before.uid):
            return None
        claim = ledger.get(PersistentVolumeClaim, before.name, before.namespace)
        if claim is None or claim.metadata.uid != before.uid or claim.status.phase != "Bound":
            return None
        if claim.spec.volumeName != old.metadata.name:
            return None
        return f"{'given up' if new is not None else 'removed'}, though {claim_key(claim)} is bound to it"


class ClaimsInUseStay:
    """A claim is not removed while a container runs in a pod that has it (KEP-498, protection of storage objects in
    use), but by the administrator's hand. running: see PodsEndFirst. `judged` counts claims that pods had.
    """

    def __init__(self, running: Running) -> None:
        self.judged = 0
        self._running = running

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not PersistentVolumeClaim or change.new is not None or change.actor == ADMIN:
            return None
        self.judged += 1
        pod = next(users(claim_key(change.old), ledger, self._running), None)
        return f"removed while {pod.metadata.name} runs with it" if pod is not None else None


def users(claim: str, ledger: Ledger, running: Running) -> Iterator[Pod]:
    """The pods of the ledger that run with a claim of this key."""
    for pod in ledger.of(Pod):
        here = pod.spec.nodeName and pod.status.phase not in ENDED and claim in claims_of(pod)
        if here and running(pod.spec.nodeName, pod.metadata.uid):
            yield pod


class VolumesReclaimed:
    """Only what is to be deleted is deleted: the components ask for the end of a volume only if its policy is Delete
    and its claim is not bound to it any more (core/v1 PersistentVolumeReclaimPolicy). `judged` counts ends that they
    asked for.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not PersistentVolume or old is None or change.actor == ADMIN:
            return None
        if old.metadata.deletionTimestamp is not None or (new is not None and new.metadata.deletionTimestamp is None):
            return None
        self.judged += 1
        if old.spec.persistentVolumeReclaimPolicy != "Delete":
            return f"deleted, with policy {old.spec.persistentVolumeReclaimPolicy}"
        return f"deleted, though {claimant(old)} has it" if bound(old, ledger) else None


def bound(volume: PersistentVolume, ledger: Ledger) -> PersistentVolumeClaim | None:
    """The claim that a volume belongs to, if it is there and has this volume or none yet."""
    ref = volume.spec.claimRef
    claim = ledger.get(PersistentVolumeClaim, ref.name, ref.namespace) if ref is not None else None
    mine = claim is not None and ref is not None and claim.metadata.uid == ref.uid
    return claim if mine and claim is not None and claim.spec.volumeName == volume.metadata.name else None


class EmptiedForTheNext:
    """A volume with policy Recycle that a claim had is given to others only after a pod emptied it
    (core/v1 PersistentVolumeReclaimPolicy); such a pod is made when no claim has the volume and no container runs with
    it, and it empties the volume where that is. running: see PodsEndFirst. `judged` counts volumes that were emptied.
    """

    def __init__(self, running: Running) -> None:
        self.judged = 0
        self._running = running
        self._used: dict[str, str] = {}  # by the uid of a volume: the claim whose data is on it
        self._pods: dict[str, str] = {}  # by the uid of a pod: the uid of the volume that it empties

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        kind = change.resource.type
        if kind is Pod and (name := volume_of(change.obj)) and change.new is not None:
            volume = ledger.get(PersistentVolume, name)
            if volume is not None and change.old is None and change.actor == CONTROLLERS:
                return self._begins(change.new, volume, ledger)
            if volume is not None and change.old is not None:
                return self._ends(change, volume, ledger)
        if kind is PersistentVolumeClaim and change.new is not None and change.new.status.phase == "Bound":
            volume = ledger.get(PersistentVolume, change.new.spec.volumeName)
            if volume is not None and volume.spec.persistentVolumeReclaimPolicy == "Recycle":
                self._used[volume.metadata.uid] = claim_key(change.new)
        if kind is PersistentVolume and change.old is not None and change.new is not None:
            return self._freed(change)
        return None

    def _begins(self, pod: Pod, volume: PersistentVolume, ledger: Ledger) -> str | None:
        self._pods[pod.metadata.uid] = volume.metadata.uid
        if (claim := bound(volume, ledger)) is not None:
            return f"empties {volume.metadata.name}, which {claim_key(claim)} has"
        there = ledger.get(PersistentVolumeClaim, *reversed(claimant(volume).split("/"))) if claimant(volume) else None
        user = next(users(claimant(volume), ledger, self._running), None) if there is None else None
        return f"empties {volume.metadata.name}, with which {user.metadata.name} runs" if user is not None else None

    def _ends(self, change: Change, volume: PersistentVolume, ledger: Ledger) -> str | None:
        pod, own = change.new, volume.metadata
        if self._pods.get(pod.metadata.uid) != own.uid or pod.status.phase != "Succeeded":
            return None
        if change.old.status.phase == "Succeeded":
            return None
        node = ledger.get(Node, pod.spec.nodeName)
        if node is not None and not node_matches(volume, node.metadata.labels):
            return f"emptied {own.name} on {pod.spec.nodeName}, where it is not"
        self._used.pop(own.uid, None)
        return None

    def _freed(self, change: Change) -> str | None:
        before, after, own = change.old.spec.claimRef, change.new.spec.claimRef, change.new.metadata
        if change.new.spec.persistentVolumeReclaimPolicy != "Recycle" or before is None or not before.uid:
            return None
        if after is not None and after.uid == before.uid:
            return None
        left = self._used.pop(own.uid, "")
        self.judged += not left
        return f"is to be had, as {left} left it" if left and change.actor != ADMIN else None


class ClaimsOfSetsRetained:
    """The components delete a StatefulSet's claim only if its retention policy says so (KEP-1847): with the set, if
    whenDeleted is Delete; if whenScaled is, those of pods that were beyond the replicas. What it was at any time
    counts, for caches lag. `judged` counts claims of sets that were deleted.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._go_with_set: set[tuple[str, str]] = set()  # (namespace, name) of sets whose claims went with them once
        self._beyond: set[tuple[str, str]] = set()  # of claims that may go, as far as scaling is concerned
        self._sets: set[tuple[str, str]] = set()

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is StatefulSet and change.new is not None:
            self._note(change.new, ledger)
        elif change.resource.type is PersistentVolumeClaim and change.actor.startswith(CONTROLLERS):
            return self._claim(change, ledger)
        return None

    def _note(self, ss: StatefulSet, ledger: Ledger) -> None:
        stated, meta = ss.spec.persistentVolumeClaimRetentionPolicy, ss.metadata
        self._sets.add((meta.namespace, meta.name))
        if stated is None:
            return
        if stated.whenDeleted == "Delete":
            self._go_with_set.add((meta.namespace, meta.name))
        if stated.whenScaled == "Delete":
            first = ss.spec.ordinals.start if ss.spec.ordinals is not None else 0
            wanted = range(first, first + (ss.spec.replicas or 0))
            for claim in ledger.of(PersistentVolumeClaim):
                of, ordinal = _set_of(claim)
                if (claim.metadata.namespace, of) == (meta.namespace, meta.name) and ordinal not in wanted:
                    self._beyond.add((meta.namespace, claim.metadata.name))

    def _claim(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        if old is None or old.metadata.deletionTimestamp is not None:
            return None
        if new is not None and new.metadata.deletionTimestamp is None:
            return None
        space, name = old.metadata.namespace, old.metadata.name
        namespace = ledger.get(Namespace, space)
        if (space, _set_of(old)[0]) not in self._sets or namespace is None or namespace.metadata.deletionTimestamp:
            return None
        self.judged += 1
        if (space, _set_of(old)[0]) in self._go_with_set or (space, name) in self._beyond:
            return None
        return f"it is deleted, and {_set_of(old)[0]} retains its claims"


def _set_of(claim: PersistentVolumeClaim) -> tuple[str, int]:
    """The name of the StatefulSet that a claim is of, by its own, and the number of the pod; ("", -1) if of none."""
    rest, _, number = claim.metadata.name.partition("-")[2].rpartition("-")
    return (rest, int(number)) if rest and number.isdigit() else ("", -1)


class WatchedDisk(NullDisk):
    """A simulated node's disk whose data goes only when nobody has it: the volume's policy is Delete, no claim is
    bound to it, and no container runs in a pod with its claim (core/v1 PersistentVolumeReclaimPolicy, KEP-498).

    broken: told what is wrong.
    """

    def __init__(self, node: str, ledger: Ledger, running: Running, broken: Callable[[str], None]) -> None:
        super().__init__()
        self.judged = 0
        self._node = node
        self._ledger = ledger
        self._running = running
        self._broken = broken

    async def remove(self, name: str) -> None:
        """See Disk."""
        await super().remove(name)
        self.judged += 1
        if wrong := self._wrong(name):
            self._broken(f"DataStays: the data of {name} was deleted, though {wrong}")

    async def discard(self, name: str) -> None:
        """See Disk: what was made has not been used."""
        await super().discard(name)
        volume = self._volume(name)
        if volume is not None and (claim := bound(volume, self._ledger)) is not None:
            self._broken(f"DataStays: {name} was taken for unused, though {claim_key(claim)} has it")

    def _volume(self, name: str) -> PersistentVolume | None:
        """The volume behind a directory, if it is this node's."""
        volume = self._ledger.get(PersistentVolume, name)
        return volume if volume is not None and volume.metadata.labels.get(NODE_LABEL) == self._node else None

    def _wrong(self, name: str) -> str:
        volume = self._volume(name)
        if volume is None:
            return ""
        if volume.spec.persistentVolumeReclaimPolicy != "Delete":
            return f"its policy is {volume.spec.persistentVolumeReclaimPolicy}"
        if (claim := bound(volume, self._ledger)) is not None:
            return f"{claim_key(claim)} is bound to it"
        for pod in self._ledger.of(Pod):
            where = pod.spec.nodeName
            if where and claimant(volume) in claims_of(pod) and self._running(where, pod.metadata.uid):
                claim = self._ledger.get(PersistentVolumeClaim, *reversed(claimant(volume).split("/")))
                if claim is None:
                    return f"{pod.metadata.name} runs with it"
        return ""
