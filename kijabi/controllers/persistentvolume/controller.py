"""The volume binder's shell: looks claims and volumes up, writes what `plan.py` and `reclaim.py` decide.

Receives claims, volumes, storage classes and pods from the informers; writes claims and volumes, spec before status and
the volume before the claim, each guarded by the version that was judged. One worker, so that two claims never choose
one volume at once. There is no resync: `sources` says whom each change may concern.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.defaultclass import STORAGE, default_of
from kijabi.api.meta import Object
from kijabi.api.storage.matching import BIND_COMPLETED, claim_key, claimant, delays, has_class, volume_class
from kijabi.api.storage.storageclass import StorageClass
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import ownwrites
from kijabi.controllers.persistentvolume.known import CLAIMANT, VOLUME, WAITING, Known, is_free
from kijabi.controllers.persistentvolume.plan import Note, Plan, failed, freed, plan_claim, plan_volume
from kijabi.controllers.persistentvolume.reclaim import reclaim
from kijabi.controllers.persistentvolume.recycling import AGAIN, Recycling, volume_of
from kijabi.controllers.podclaims import CLAIM, by_claim, ended, indexed, standing
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import claims, pods

T = TypeVar("T", bound=Object)

_CLAIM, _VOLUME = "claim:", "volume:"
"""How keys begin; then the namespace and name of a claim, or the name of a volume."""


class VolumeBinder:
    """The controller; as a `View` it shows plans what there is."""

    name = "persistentvolume-binder"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("persistentvolume-controller")
        self.volumes = context.informers.of(PersistentVolume)
        self.claims = claims(context.informers)
        self.classes = context.informers.of(StorageClass)
        self.pods = indexed(pods(context.informers))
        self.known = Known()
        self.volumes.add_handler(self.known.saw_volume)
        self.claims.add_handler(self.known.saw_claim)
        self.recycling = Recycling(self.client, self.pods)

    # Who is concerned

    def sources(self) -> Sequence[Source]:
        first = (Source(self.volumes, self._of_volume), Source(self.claims, self._of_claim))
        return (*first, Source(self.classes, self._of_class), Source(self.pods, self._of_pod))

    def _of_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> Iterator[str]:
        """The volume, the claims that it names, and those that name it."""
        one = new if new is not None else old
        if one is None:
            return
        yield _VOLUME + one.metadata.name
        named = {claimant(each) for each in (old, new) if each is not None and each.spec.claimRef is not None}
        naming = self.known.claims.index(VOLUME, one.metadata.name)
        yield from (_CLAIM + key for key in named | {claim_key(claim) for claim in naming})

    def _of_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterator[str]:
        """The claim, and the volumes that are or were its."""
        one = new if new is not None else old
        if one is None:
            return
        yield _CLAIM + claim_key(one)
        own = {volume.metadata.name for volume in self.known.volumes.index(CLAIMANT, claim_key(one))}
        named = {each.spec.volumeName for each in (old, new) if each is not None and each.spec.volumeName}
        yield from (_VOLUME + name for name in own | named)

    def _of_class(self, old: StorageClass | None, new: StorageClass | None) -> Iterator[str]:
        """The claims that wait for something of the class, and those that wait for a default class."""
        one = new if new is not None else old
        if one is None:
            return
        waiting = self.known.claims.index(WAITING, one.metadata.name)
        unset = (claim for claim in self.known.claims.index(WAITING, "") if not has_class(claim))
        yield from (_CLAIM + claim_key(claim) for claim in (*waiting, *unset))

    def _of_pod(self, old: Pod | None, new: Pod | None) -> Iterator[str]:
        """The pod's claims if they wait for it, volumes that wait for it to end, and the one that it empties."""
        one = new if new is not None else old
        if one is None or (old is not None and new is not None and standing(old) == standing(new)):
            return
        if recycled := volume_of(one):
            yield _VOLUME + recycled
        for key in by_claim(one):
            claim = self.known.claims.objects.get(key)
            if claim is not None and not claim.spec.volumeName:
                yield _CLAIM + key
            for volume in self.known.volumes.index(CLAIMANT, key):
                if volume.spec.persistentVolumeReclaimPolicy == "Recycle":
                    yield _VOLUME + volume.metadata.name

    # What plans see

    def volume(self, name: str) -> PersistentVolume | None:
        """See View."""
        return self.known.volumes.objects.get(name)

    def match(self, claim: PersistentVolumeClaim, *, delay: bool) -> PersistentVolume | None:
        """See View."""
        return self.known.match(claim, delay=delay)

    def storage_class(self, name: str) -> StorageClass | None:
        """See View."""
        return self.classes.get(name)

    def default_class(self) -> str | None:
        """See View."""
        return default_of(self.classes.items(), STORAGE)

    def waiting_pods(self, claim: PersistentVolumeClaim) -> list[str]:
        """See View."""
        return sorted(pod.metadata.name for pod in self._users(claim_key(claim)) if not pod.spec.nodeName)

    def _users(self, key: str) -> Iterable[Pod]:
        return (pod for pod in self.pods.index(CLAIM, key) if not ended(pod))

    # Acting

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_CLAIM):
            claim = self.known.claims.objects.get(key.removeprefix(_CLAIM))
            if claim is not None:
                await self._settle_claim(claim)
            return None
        name = key.removeprefix(_VOLUME)
        volume = self.known.volumes.objects.get(name)
        if volume is not None:
            return await self._settle_volume(volume)
        await self.recycling.forget(name)
        return None

    async def _settle_claim(self, claim: PersistentVolumeClaim) -> None:
        plan = plan_claim(claim, await self._sure(claim))
        volume = self.volume(plan.volume.metadata.name) if plan.volume is not None else None
        await self._save(volume, plan.volume)
        await self._save(claim, plan.claim)
        self._tell(plan.notes)
        if plan.error:
            raise Conflict(plan.error)

    async def _sure(self, claim: PersistentVolumeClaim) -> VolumeBinder | _Also:
        """What a plan sees; before a claim is said to have lost its volume, the server is asked."""
        name = claim.spec.volumeName
        if BIND_COMPLETED not in claim.metadata.annotations or not name:
            return self
        known = self.volume(name)
        ref = known.spec.claimRef if known is not None else None
        if known is not None and (ref is None or ref.uid == claim.metadata.uid):
            return self
        return _Also(self, name, await self._live(PersistentVolume, name))

    async def _settle_volume(self, volume: PersistentVolume) -> float | None:
        plan = plan_volume(volume, await self._claim_of(volume))
        again = None
        if plan.released and plan.volume is not None:
            plan, again = await self._reclaim(volume, plan.volume)
        else:
            await self.recycling.forget(volume.metadata.name)
        now = await self._save(volume, plan.volume)
        self._tell(plan.notes)
        if plan.look and (claim := self.known.claims.objects.get(claimant(volume))) is not None:
            await self._settle_claim(claim)
        if not delays(self.storage_class(volume_class(now))):
            await self._offer(now)
        return again

    async def _offer(self, volume: PersistentVolume) -> None:
        """Bind claims that a free volume suits until it is taken; they may find an even better one."""
        while is_free(volume) and (claim := self.known.wanting(volume)) is not None:
            await self._settle_claim(claim)
            volume = self.known.volumes.objects.get(volume.metadata.name, volume)
            if self.known.claims.objects.get(claim_key(claim)) is claim:
                return

    async def _claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        """The claim that the volume names; asked of the server before the volume is said to have lost it."""
        ref = volume.spec.claimRef
        if ref is None or not ref.uid:
            return None
        claim = self.known.claims.objects.get(claimant(volume))
        if claim is not None and claim.metadata.uid == ref.uid:
            return claim
        if claim is None and volume.status.phase in ("Released", "Failed"):
            return None
        return await self._live(PersistentVolumeClaim, ref.name, ref.namespace)

    async def _live(self, cls: type[T], name: str, namespace: str = "") -> T | None:
        try:
            return await self.client.get(cls, name, namespace)
        except NotFound:
            return None

    async def _reclaim(self, before: PersistentVolume, volume: PersistentVolume) -> tuple[Plan, float | None]:
        """The plan for a released volume, and when to try again."""
        taken = claimant(volume) in self.known.claims.objects  # by another claim of that name, with another volume
        users = [] if taken else [key_of(pod) for pod in self._users(claimant(volume))]
        todo = reclaim(volume, users)
        if not todo.recycle:
            await self.recycling.forget(volume.metadata.name)
            return Plan(volume=todo.volume, notes=todo.notes), None
        if before.status.phase not in ("Released", "Failed"):
            return Plan(volume=volume), None  # That it is Released is written first, and wakes us again.
        done = await self.recycling.step(volume)
        if done is None:
            return Plan(volume=volume), ownwrites.AGAIN if self.recycling.lags(volume.metadata.name) else None
        if done:
            message = f"Recycle failed: {done}"
            notes = () if volume.status.phase == "Failed" else (_warn(volume, "VolumeFailedRecycle", message),)
            return Plan(volume=failed(volume, message), notes=notes), AGAIN
        note = Note(volume, "Normal", "VolumeRecycled", "Volume recycled")
        return Plan(volume=freed(volume), notes=(note,)), None

    async def _save(self, old: Any, new: Any) -> Any:
        """Write what differs, spec first; the object as it is then."""
        if old is None or new is None or new == old:
            return old
        now = old
        if (new.metadata, new.spec) != (old.metadata, old.spec):
            now = await self.client.update(new)
            self.known.wrote(now)
        if now.status != new.status:
            changed = codec.clone(now)
            changed.status = new.status
            now = await self.client.update_status(changed)
            self.known.wrote(now)
        return now

    def _tell(self, notes: Iterable[Note]) -> None:
        for note in notes:
            self.recorder.event(note.about, note.type, note.reason, note.message)


class _Also:
    """The binder's view with one volume as the server has it."""

    def __init__(self, view: VolumeBinder, name: str, volume: PersistentVolume | None) -> None:
        self._name, self._volume = name, volume
        self._view = view.volume
        self.match, self.storage_class = view.match, view.storage_class
        self.default_class, self.waiting_pods = view.default_class, view.waiting_pods

    def volume(self, name: str) -> PersistentVolume | None:
        """See View."""
        return self._volume if name == self._name else self._view(name)


def _warn(volume: PersistentVolume, reason: str, message: str) -> Note:
    return Note(volume, "Warning", reason, message)
