"""The StatefulSet controller: claims pods and revisions, carries out the plan, writes the status.

Receives StatefulSets, pods, claims and ControllerRevisions from the informers. All decisions are in `plan.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial

from kijabi.api import codec
from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.gotext import aggregate
from kijabi.api.meta import Object, OwnerReference
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import AlreadyExists, ApiError, Conflict, ConnectionLost, KijabiError, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers import revisions
from kijabi.controllers.creation import growing, in_order
from kijabi.controllers.owners import candidates, claim, controller_ref, settle
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.revisions import History, Revisions
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import claims, controller_revisions, keys_of_owners, pods, selects, stateful_sets
from kijabi.controllers.statefulset import claims as ownership
from kijabi.controllers.statefulset.identity import (
    claims_of,
    is_member,
    make_pod,
    matches,
    may_have,
    mounted,
    name_of,
    ordinal_of,
    repaired,
    revision_of,
)
from kijabi.controllers.statefulset.plan import (
    Create,
    Delete,
    Furnish,
    Own,
    Plan,
    Repair,
    Turn,
    View,
    plan,
    status_of,
)

log = logging.getLogger(__name__)

KIND = "StatefulSet"
API_VERSION = "apps/v1"
REVISION_LABEL = "controller.kubernetes.io/hash"


class StatefulSets:
    """The controller; see the module."""

    name = "statefulset"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("statefulset-controller")
        self.sets = stateful_sets(context.informers)
        self.pods = pods(context.informers)
        self.claims = claims(context.informers)
        self.revisions = Revisions(self.client, controller_revisions(context.informers))
        self.own = OwnWrites(self.client, self.pods)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.sets, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.pods, self._keys_of_dependent),
            Source(self.revisions.informer, self._keys_of_dependent),
            Source(self.claims, self._keys_of_claim),
        )

    def _keys_of_dependent(self, old: Object | None, new: Object | None) -> Iterable[str]:
        return keys_of_owners(KIND, self.sets, selects, old, new)

    def _keys_of_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterable[str]:
        """Who may wait for a claim to go, to make another of its name: nothing else would tell."""
        if old is None or (new is not None and new.metadata.uid == old.metadata.uid):
            return ()
        near = (f"{old.metadata.namespace}/{name}" for name in may_have(old))
        return [key for key in near if self.sets.get(key) is not None]

    async def reconcile(self, key: str) -> float | None:
        ss = self.sets.get(key)
        if ss is None:
            return None
        if not await self.own.visible(key):
            return AGAIN
        ref = controller_ref(ss, API_VERSION, KIND)
        owned = await self._claim(ss, ref)
        history = await self._history(ss, ref)
        update, collisions = await self._update_revision(ss, ref, history)
        known = {one.metadata.name: one for one in (*history.old, *history.current, update)}
        current = known.get(ss.status.currentRevision, update)
        space = ss.metadata.namespace
        view = View(ss, owned, current.metadata.name, update.metadata.name, clock.now(),
                    lambda name: self.claims.get(f"{space}/{name}"))  # fmt: skip
        failure, outdated = await self._carry_out(view, ref, plan(view), known)
        status = status_of(view, collisions, outdated)
        if status != ss.status:
            changed = codec.clone(ss)
            changed.status = status
            await self.client.update_status(changed)
        await self._forget(ss, history, {current.metadata.name, update.metadata.name, *map(revision_of, owned)})
        if failure is not None:
            raise failure
        running = (pod for pod in owned if pod.status.phase == "Running")
        return podlib.next_available(running, ss.spec.minReadySeconds, view.now)

    async def _claim(self, ss: StatefulSet, ref: OwnerReference) -> tuple[Pod, ...]:
        selector = from_label_selector(ss.spec.selector)
        near = candidates(self.pods, ss.metadata, selector)
        todo = claim(ss.metadata, selector.matches, near, partial(is_member, ss))
        return await settle(self.client, ss, ref, todo)

    async def _history(self, ss: StatefulSet, ref: OwnerReference) -> History:
        data = revisions.data_of(ss.spec.template)
        return revisions.sort_out(await self.revisions.of(ss, ref, from_label_selector(ss.spec.selector)), data)

    async def _update_revision(
        self, ss: StatefulSet, ref: OwnerReference, history: History
    ) -> tuple[ControllerRevision, int]:
        """The revision of the present template, made or renumbered if need be, and how often names clashed."""
        collisions = ss.status.collisionCount or 0
        if history.current:
            found = history.current[-1]
            if not history.up_to_date:
                found = await self.revisions.renumber(found, history.next_number)
            return found, collisions
        data = revisions.data_of(ss.spec.template)
        labels = revisions.labels_of(ss.spec.template, REVISION_LABEL, revisions.hash_of(data, collisions))
        while True:  # until a name is free; each clash gives another name
            code = revisions.hash_of(data, collisions)
            made = await self.revisions.ensure(revisions.make(ss, ref, data, code, labels, history.next_number))
            if made is not None:
                return made, collisions
            collisions += 1

    async def _forget(self, ss: StatefulSet, history: History, live: set[str]) -> None:
        limit = 10 if ss.spec.revisionHistoryLimit is None else ss.spec.revisionHistoryLimit
        unused = [one for one in (*history.old, *history.current) if one.metadata.name not in live]
        for one in revisions.expired(unused, (), limit):
            await self.revisions.delete(one)

    async def _carry_out(
        self, view: View, ref: OwnerReference, todo: Plan, known: dict[str, ControllerRevision]
    ) -> tuple[KijabiError | None, int]:
        """The first failure, and how many outdated pods were deleted."""
        ss = view.ss
        for phase in (todo.members, todo.owning, todo.surplus):
            turns = [partial(self._turn, ss, ref, turn, known) for turn in phase]
            failure = await (in_order(turns) if view.ordered else growing(turns))
            if failure is not None:
                return failure, 0
        for count, one in enumerate(todo.outdated):
            failure = await self._delete(ss, one.pod)
            if failure is not None:
                return failure, count
        return None, len(todo.outdated)

    async def _turn(
        self, ss: StatefulSet, ref: OwnerReference, turn: Turn, known: dict[str, ControllerRevision]
    ) -> KijabiError | None:
        """All that is done for one pod, until something fails."""
        failure: KijabiError | None = None
        for step in turn:
            match step:
                case Create():
                    failure = await self._create(ss, ref, step, known)
                case Delete(pod):
                    failure = await self._delete(ss, pod)
                case Furnish(pod):
                    failure = await self._make_claims(ss, ordinal_of(pod)) or await self._own_claims(ss, pod)
                case Repair():
                    failure = await self._repair(ss, step)
                case Own(pod):
                    failure = await self._own_claims(ss, pod, tell=False)
            if failure is not None:
                return failure
        return None

    async def _make_claims(self, ss: StatefulSet, ordinal: int) -> KijabiError | None:
        """Create the claims of one pod that do not exist; all failures as one."""
        name, failures = name_of(ss, ordinal), []
        for wanted in claims_of(ss, ordinal).values():
            own = wanted.metadata
            found = self.claims.get(f"{own.namespace}/{own.name}")
            if found is not None and found.metadata.deletionTimestamp is not None:
                failures.append(f"pvc {own.name} is being deleted")
            if found is not None:
                continue
            try:
                await self.client.create(wanted)
            except AlreadyExists:
                continue
            except (ApiError, ConnectionLost) as error:
                text = f"Create Claim {own.name} for Pod {name} in StatefulSet {ss.metadata.name} failed error: {error}"
                self.recorder.event(ss, "Warning", "FailedCreate", text)
                failures.append(f"failed to create PVC {own.name}: {error}")
                continue
            text = f"Create Claim {own.name} Pod {name} in StatefulSet {ss.metadata.name} success"
            self.recorder.event(ss, "Normal", "SuccessfulCreate", text)
        return Conflict(aggregate(failures)) if failures else None

    async def _own_claims(self, ss: StatefulSet, pod: Pod, *, tell: bool = True) -> KijabiError | None:
        """Give the pod's claims the owners that the retention policy asks for."""
        for wanted in claims_of(ss, ordinal_of(pod)).values():
            name = wanted.metadata.name
            found: PersistentVolumeClaim | None = self.claims.get(f"{ss.metadata.namespace}/{name}")
            if found is None:
                continue
            if ownership.conflicting(ss, pod, found):
                text = (
                    f"PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, "
                    "the retention policy is ignored for this claim"
                )
                self.recorder.event(ss, "Warning", "ConflictingController", text)
            owners = ownership.owners(ss, pod, found)
            if owners == found.metadata.ownerReferences:
                continue
            changed = codec.clone(found)
            changed.metadata.ownerReferences = owners
            try:
                await self.client.update(changed)
            except (ApiError, ConnectionLost) as error:
                failure = Conflict(f"could not update claim {name} for delete policy ownerRefs: {error}")
                if tell:
                    self._tell(ss, "Update", pod.metadata.name, failure)
                return failure
        return None

    async def _repair(self, ss: StatefulSet, step: Repair) -> KijabiError | None:
        pod = step.pod
        failure = None if mounted(ss, pod) else await self._make_claims(ss, ordinal_of(pod))
        if failure is not None:
            self._tell(ss, "Update", pod.metadata.name, failure)
            return failure
        failure = await self._own_claims(ss, pod) if step.own else None
        if failure is not None:
            return failure
        if not matches(ss, pod):
            try:
                await self.own.noted(key_of(ss), self.client.update(repaired(ss, pod)))
            except ConnectionLost as error:
                return error
            except ApiError as error:
                self._tell(ss, "Update", pod.metadata.name, error)
                return error
        self._tell(ss, "Update", pod.metadata.name)
        return None

    async def _create(
        self, ss: StatefulSet, ref: OwnerReference, wanted: Create, known: dict[str, ControllerRevision]
    ) -> KijabiError | None:
        failure = await self._make_claims(ss, wanted.ordinal)
        if failure is not None:
            self._tell(ss, "Create", name_of(ss, wanted.ordinal), failure)
            return failure
        template: PodTemplateSpec = revisions.template_in(known[wanted.revision])
        pod = make_pod(ss, ref, template, wanted.ordinal, wanted.revision)
        refused: ApiError | None = None
        try:
            await self.own.noted(key_of(ss), self.client.create(pod))
        except ConnectionLost as error:
            return error
        except ApiError as error:
            if namespace_terminating(error):
                return None
            if isinstance(error, AlreadyExists):
                return error
            refused = error
        failure = await self._own_claims(ss, pod)
        if failure is not None:
            return failure
        self._tell(ss, "Create", pod.metadata.name, refused)
        return refused

    async def _delete(self, ss: StatefulSet, pod: Pod) -> KijabiError | None:
        own = pod.metadata
        try:
            self.own.reached(key_of(ss), await self.client.delete(Pod, own.name, own.namespace, uid=own.uid))
        except Conflict:  # Replaced by another of its name.
            return None
        except NotFound:
            log.debug("gone already", extra={"pod": own.name})
        except ConnectionLost as error:
            self.own.lost(key_of(ss))
            return error
        except ApiError as error:
            self._tell(ss, "Delete", own.name, error)
            return error
        self._tell(ss, "Delete", own.name)
        return None

    def _tell(self, ss: StatefulSet, what: str, pod: str, error: KijabiError | None = None) -> None:
        where = f"{what} Pod {pod} in StatefulSet {ss.metadata.name}"
        if error is None:
            self.recorder.event(ss, "Normal", f"Successful{what}", f"{where} successful")
        else:
            self.recorder.event(ss, "Warning", f"Failed{what}", f"{where} failed error: {error}")
