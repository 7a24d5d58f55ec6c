"""The Job controller: claims pods, makes and deletes them, writes the status, lets pods go.

Receives Jobs and pods from the informers. All decisions are in `plan.py`. A key is a job's `namespace/name`, or
`pod:namespace/name` for a pod that waits to be let go though its job is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from kijabi.api import codec
from kijabi.api.batch.job import Job
from kijabi.api.core.pod import Pod
from kijabi.api.meta import OwnerReference
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, Invalid, KijabiError, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.creation import generated, growing, together
from kijabi.controllers.job.history import Record
from kijabi.controllers.job.plan import Plan, Undone, View, finished, plan
from kijabi.controllers.job.pod import TRACKING, base_name, make_pod, tracked
from kijabi.controllers.owners import CONTROLLER, claim, controller_of, controller_ref, living, orphans, settle
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.podwrites import PodWrites
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import by_namespace, jobs, keys_of_owners, pods, selects

KIND = "Job"
API_VERSION = "batch/v1"
OURS = "kubernetes.io/job-controller"
_POD = "pod:"


class Jobs:
    """The controller; see the module."""

    name = "job"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("job-controller")
        self.jobs = jobs(context.informers)
        self.pods = pods(context.informers)
        self.own = OwnWrites(self.client, self.pods)
        self.writes = PodWrites(self.client, self.recorder, self.own)
        self.own_status = OwnWrites(self.client, self.jobs)
        self.records: dict[str, Record] = {}

    def sources(self) -> Sequence[Source]:
        return (Source(self.jobs, self._keys_of_job), Source(self.pods, self._keys_of_pod))

    def _keys_of_job(self, old: Job | None, new: Job | None) -> Iterable[str]:
        """The job itself; of one that is over or gone, the pods that nobody will count any more."""
        keys = [key_of(new)] if new is not None else []
        if new is None and old is not None:
            self.records.pop(old.metadata.uid, None)
        if old is not None and (new is None or finished(new)):
            left = (pod for pod in self.pods.index(CONTROLLER, old.metadata.uid) if tracked(pod))
            keys += [_POD + key_of(pod) for pod in left]
        return keys

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The jobs that control the pod or would adopt it; the pod itself if it is tracked and nobody counts it."""
        keys = keys_of_owners(KIND, self.jobs, selects, old, new)
        if new is not None and tracked(new):
            job = self._job_of(new)
            if job is None or finished(job):
                keys.add(_POD + key_of(new))
        return keys

    def _job_of(self, pod: Pod) -> Job | None:
        """The job that controls a pod and still exists."""
        ref = controller_of(pod.metadata)
        if ref is None or ref.kind != KIND:
            return None
        job: Job | None = self.jobs.get(f"{pod.metadata.namespace}/{ref.name}")
        return job if job is not None and job.metadata.uid == ref.uid else None

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_POD):
            await self._orphan(key.removeprefix(_POD))
            return None
        job: Job | None = self.jobs.get(key)
        if job is None or job.spec.managedBy not in (None, OURS):
            return None
        if finished(job):
            self.records.pop(job.metadata.uid, None)
            return None
        if not (await self.own.visible(key) and await self.own_status.visible(key)):
            return AGAIN
        ref = controller_ref(job, API_VERSION, KIND)
        owned = await self._claim(job, ref)
        view = View(job, owned, clock.now(), self.records.get(job.metadata.uid, Record()))
        todo = plan(view)
        undone, failure = await self._move(job, ref, todo)
        if failure is not None:
            todo = plan(view._replace(undone=undone))
        await self._write_status(job, todo)
        failure = failure or await together(self.writes.delete(job, pod) for pod in todo.delete)
        failure = await together(self._release(job, pod) for pod in todo.release) or failure
        if failure is not None:
            raise failure
        return todo.again

    async def _claim(self, job: Job, ref: OwnerReference) -> tuple[Pod, ...]:
        uid, namespace = job.metadata.uid, job.metadata.namespace
        candidates = (*self.pods.index(CONTROLLER, uid), *self.pods.index(CONTROLLER, orphans(namespace)))
        matches = from_label_selector(job.spec.selector).matches
        todo = claim(job.metadata, matches, candidates)
        owned = await settle(self.client, job, ref, todo, finalizer=TRACKING)
        if not todo.adopt:
            return owned
        self.own.lost(key_of(job))  # what was adopted is seen with its finalizer before anything is counted
        raise Conflict(f"{len(todo.adopt)} pods adopted: they are counted when they are seen again")

    async def _write_status(self, job: Job, todo: Plan) -> None:
        """Write the status if it changes; only then may pods be let go."""
        if todo.status != job.status:
            changed = codec.clone(job)
            changed.status = todo.status
            await self.own_status.noted(key_of(job), self.client.update_status(changed))
            self.records[job.metadata.uid] = todo.record
        for kind, reason, text in todo.events:
            self.recorder.event(job, kind, reason, text)

    async def _move(self, job: Job, ref: OwnerReference, todo: Plan) -> tuple[Undone, KijabiError | None]:
        """Give up and make pods; what could not be done, and why."""
        kept: set[str] = set()
        made: list[str] = []

        async def drop(pod: Pod) -> KijabiError | None:
            failure = await self._release(job, pod, unchanged=True) if tracked(pod) else None
            failure = failure or await self.writes.delete(job, pod)
            if failure is not None:
                kept.add(pod.metadata.uid)
            return failure

        async def create(index: int | None) -> KijabiError | None:
            before = None if index is None else todo.replaced.get(index)
            pod = make_pod(job, ref, generated(base_name(job, index)), index, before)
            failure = await self.writes.create(job, pod)
            if failure is None:
                made.append(pod.metadata.name)
            return failure

        dropped = await together(drop(pod) for pod in todo.drop)
        created = await growing([partial(create, index) for index in todo.create])
        return Undone(frozenset(kept), len(todo.create) - len(made)), dropped or created

    async def _release(self, job: Job, pod: Pod, unchanged: bool = False) -> KijabiError | None:
        """Take the tracking finalizer off a pod that is counted, or need not be.

        unchanged: only if the pod is as it was; one that has ended meanwhile is to be counted.
        """
        try:
            changed = await self._untrack(pod, unchanged)
        except ConnectionLost as error:
            self.own.lost(key_of(job))
            return error
        except ApiError as error:
            return error
        if changed is not None:
            self.own.wrote(key_of(job), changed)
        return None

    async def _untrack(self, pod: Pod, unchanged: bool = False) -> Pod | None:
        """Take the finalizer off; None if the pod is gone. Raises Conflict if it changed and must not have."""
        own = pod.metadata
        version = {"resourceVersion": own.resourceVersion} if unchanged else {}
        patch = {"metadata": {"uid": own.uid, **version, "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        try:
            return await self.client.patch(Pod, own.name, patch, namespace=own.namespace, type="strategic")
        except (NotFound, Invalid):
            return None
        except Conflict:  # Replaced by another of its name, unless it was to be unchanged.
            if unchanged:
                raise
            return None

    async def _orphan(self, key: str) -> None:
        """Let a pod go whose job is gone or over, and which no other adopts: nobody will count it."""
        pod: Pod | None = self.pods.get(key)
        if pod is None or not tracked(pod):
            return
        ref, job = controller_of(pod.metadata), self._job_of(pod)
        if job is not None:
            spared = job.spec.managedBy not in (None, OURS) or not finished(job)
        elif ref is None:
            near = by_namespace(self.jobs, pod.metadata.namespace)
            spared = any(living(one.metadata) and not finished(one) and selects(one, pod) for one in near)
        else:
            spared = (ref.kind, ref.apiVersion) != (KIND, API_VERSION) or await self._exists(pod, ref)
        if not spared:
            await self._untrack(pod, unchanged=True)

    async def _exists(self, pod: Pod, ref: OwnerReference) -> bool:
        """Whether the server knows a job that the cache does not show (yet)."""
        try:
            live = await self.client.get(Job, ref.name, pod.metadata.namespace)
        except NotFound:
            return False
        return live.metadata.uid == ref.uid
