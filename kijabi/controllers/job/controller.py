"""The Job controller: claims pods, writes the status, lets pods go, makes and deletes them.

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
from kijabi.controllers.job.plan import Plan, View, finished, plan
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
        if new is not None:
            return (key_of(new),)
        if old is None:
            return ()
        self.records.pop(old.metadata.uid, None)
        return [_POD + key_of(pod) for pod in self.pods.index(CONTROLLER, old.metadata.uid) if tracked(pod)]

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The jobs that control the pod or would adopt it; the pod itself if it is tracked and nobody has it."""
        keys = keys_of_owners(KIND, self.jobs, selects, old, new)
        if new is not None and tracked(new) and self._job_of(new) is None:
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
        record = self.records.get(job.metadata.uid, Record())
        todo = plan(View(job, owned, clock.now(), record))
        await self._write_status(job, todo)
        failure = await self._carry_out(job, ref, todo)
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
            try:
                self.own_status.wrote(key_of(job), await self.client.update_status(changed))
            except ConnectionLost:
                self.own_status.lost(key_of(job))
                raise
        self.records[job.metadata.uid] = todo.record
        for kind, reason, text in todo.events:
            self.recorder.event(job, kind, reason, text)

    async def _carry_out(self, job: Job, ref: OwnerReference, todo: Plan) -> KijabiError | None:
        released = await together(self._release(job, pod) for pod in (*todo.release, *todo.drop))
        if released is not None:
            return released
        deleted = await together(self.writes.delete(job, pod) for pod in (*todo.drop, *todo.delete))
        wanted = [
            make_pod(
                job, ref, generated(base_name(job, index)), index, None if index is None else todo.replaced.get(index)
            )
            for index in todo.create
        ]
        created = await growing([partial(self.writes.create, job, pod) for pod in wanted])
        return deleted or created

    async def _release(self, job: Job, pod: Pod) -> KijabiError | None:
        """Take the tracking finalizer off a pod that is counted, or need not be."""
        try:
            changed = await self._untrack(pod)
        except ConnectionLost as error:
            self.own.lost(key_of(job))
            return error
        except ApiError as error:
            return error
        if changed is not None:
            self.own.wrote(key_of(job), changed)
        return None

    async def _untrack(self, pod: Pod, unchanged: bool = False) -> Pod | None:
        """Take the finalizer off; None if the pod is gone, or is not as it was though it should be `unchanged`."""
        own = pod.metadata
        version = {"resourceVersion": own.resourceVersion} if unchanged else {}
        patch = {"metadata": {"uid": own.uid, **version, "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
        try:
            return await self.client.patch(Pod, own.name, patch, namespace=own.namespace, type="strategic")
        except (NotFound, Invalid, Conflict):  # Gone, or replaced by another of its name.
            return None

    async def _orphan(self, key: str) -> None:
        """Let a pod go whose job is gone, and which no other adopts: nobody will count it."""
        pod: Pod | None = self.pods.get(key)
        if pod is None or not tracked(pod) or self._job_of(pod) is not None:
            return
        ref = controller_of(pod.metadata)
        if ref is None:
            near = by_namespace(self.jobs, pod.metadata.namespace)
            spared = any(living(job.metadata) and not finished(job) and selects(job, pod) for job in near)
        else:
            spared = ref.kind == KIND and await self._exists(pod, ref)
        if not spared:
            await self._untrack(pod, unchanged=True)

    async def _exists(self, pod: Pod, ref: OwnerReference) -> bool:
        """Whether the server knows a job that the cache does not show (yet)."""
        try:
            live = await self.client.get(Job, ref.name, pod.metadata.namespace)
        except NotFound:
            return False
        return live.metadata.uid == ref.uid
