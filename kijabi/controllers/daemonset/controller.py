"""The DaemonSet controller: claims pods and revisions, carries out the plan, writes the status.

Receives DaemonSets, pods, nodes and ControllerRevisions from the informers. All decisions are in `plan.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from kijabi.api import codec
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import LabelSelector, Object, OwnerReference
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import Conflict, KijabiError
from kijabi.client.cache import key_of
from kijabi.controllers import revisions
from kijabi.controllers.backoff import Backoff
from kijabi.controllers.creation import generated, growing, together
from kijabi.controllers.daemonset.plan import Plan, View, belongs, group, plan, status_of
from kijabi.controllers.daemonset.pod import make_pod, target
from kijabi.controllers.owners import candidates, claim, controller_ref, living, settle
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.podwrites import PodWrites
from kijabi.controllers.revisions import HASH_LABEL, History, Revisions
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import (
    controller_revisions,
    daemon_sets,
    keys_of_owners,
    nodes,
    pods,
    selects,
)

KIND = "DaemonSet"
API_VERSION = "apps/v1"
FAILED_FIRST, FAILED_MOST = 1.0, 900.0  # seconds between replacements of a pod that keeps failing on a node


class DaemonSets:
    """The controller; see the module."""

    name = "daemonset"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("daemonset-controller")
        self.sets = daemon_sets(context.informers)
        self.pods = pods(context.informers)
        self.nodes = nodes(context.informers)
        self.revisions = Revisions(self.client, controller_revisions(context.informers))
        self.own = OwnWrites(self.client, self.pods)
        self.writes = PodWrites(self.client, self.recorder, self.own)
        self.failing = Backoff(FAILED_FIRST, FAILED_MOST)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.sets, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.pods, self._keys_of_dependent),
            Source(self.nodes, self._keys_of_node),
            Source(self.revisions.informer, self._keys_of_dependent),
        )

    def _keys_of_dependent(self, old: Object | None, new: Object | None) -> Iterable[str]:
        return keys_of_owners(KIND, self.sets, selects, old, new)

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """The sets for which the node's labels or taints make a difference."""
        if old is not None and new is not None:
            if old.metadata.labels == new.metadata.labels and old.spec.taints == new.spec.taints:
                return ()
            return (key_of(ds) for ds in self.sets.items() if belongs(ds, old) != belongs(ds, new))
        one = new if new is not None else old
        return (key_of(ds) for ds in self.sets.items() if one is not None and belongs(ds, one)[1])

    async def reconcile(self, key: str) -> float | None:
        ds = self.sets.get(key)
        if ds is None:
            return None
        if ds.spec.selector is None or ds.spec.selector == LabelSelector():
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self.recorder.event(ds, "Warning", "SelectingAll", text)
            return None
        if not living(ds.metadata):
            return None
        if not await self.own.visible(key):
            return AGAIN
        ref = controller_ref(ds, API_VERSION, KIND)
        owned = await self._claim(ds, ref)
        history, code = await self._revision(ds, ref, owned)
        view = self._view(ds, owned, code)
        todo = plan(view)
        failure = await self._carry_out(view, ref, todo)
        status = status_of(view, ds.metadata.generation)
        if status != ds.status:
            changed = codec.clone(ds)
            changed.status = status
            await self.client.update_status(changed)
        if failure is not None:
            raise failure
        hashes = {pod.metadata.labels.get(HASH_LABEL, "") for pod in owned}
        live = {one.metadata.name for one in history.old if one.metadata.labels.get(HASH_LABEL) in hashes}
        limit = 10 if ds.spec.revisionHistoryLimit is None else ds.spec.revisionHistoryLimit
        for one in revisions.expired(history.old, live, limit):
            await self.revisions.delete(one)
        return todo.again

    async def _claim(self, ds: DaemonSet, ref: OwnerReference) -> tuple[Pod, ...]:
        selector = from_label_selector(ds.spec.selector)
        near = candidates(self.pods, ds.metadata, selector)
        return await settle(self.client, ds, ref, claim(ds.metadata, selector.matches, near))

    def _view(self, ds: DaemonSet, owned: Iterable[Pod], code: str) -> View:
        now = clock.monotonic()
        every = sorted(self.nodes.items(), key=lambda node: node.metadata.name)
        return View(
            ds, every, group(owned), code, clock.now(), lambda node: self.failing.wait(_failing_key(ds, node), now)
        )

    async def _revision(
        self, ds: DaemonSet, ref: OwnerReference, owned: Iterable[Pod]
    ) -> tuple[History, str]:
        """The set's history, and the hash of its present revision, which is written where it is missing."""
        data = revisions.data_of(ds.spec.template)
        owned_revisions = await self.revisions.of(ds, ref, from_label_selector(ds.spec.selector))
        history = revisions.sort_out(owned_revisions, data)
        if not history.current:
            code = revisions.hash_of(data, ds.status.collisionCount)
            labels = revisions.labels_of(ds.spec.template, HASH_LABEL, code)
            wanted = revisions.make(ds, ref, data, code, labels, history.next_number)
            if await self.revisions.ensure(wanted) is None:
                await self._collision(ds, wanted.metadata.name)
            return history, code
        *surplus, kept = history.current
        code = kept.metadata.labels.get(HASH_LABEL, kept.metadata.name)
        for one in surplus:  # the same template twice, such as after adoption
            await self._relabel(owned, one.metadata.labels.get(HASH_LABEL, ""), code)
            await self.revisions.delete(one)
        if kept.revision < history.next_number:
            await self.revisions.renumber(kept, history.next_number)
        return history, code

    async def _collision(self, ds: DaemonSet, name: str) -> None:
        """Another template has this hash: count it, so that the next try gets another name."""
        changed = codec.clone(ds)
        changed.status.collisionCount = (ds.status.collisionCount or 0) + 1
        await self.client.update_status(changed)
        raise Conflict(f'revision "{name}" belongs to another template: collision {changed.status.collisionCount}')

    async def _relabel(self, owned: Iterable[Pod], before: str, code: str) -> None:
        patch = {"metadata": {"labels": {HASH_LABEL: code}}}
        for pod in owned:
            if pod.metadata.labels.get(HASH_LABEL) == before:
                await self.client.patch(Pod, pod.metadata.name, patch, namespace=pod.metadata.namespace)

    async def _carry_out(self, view: View, ref: OwnerReference, todo: Plan) -> KijabiError | None:
        ds = view.ds
        for pod in todo.failed:
            self.failing.next(_failing_key(ds, target(pod)), clock.monotonic())
            place = f"{pod.metadata.namespace}/{pod.metadata.name} on node {target(pod)}"
            text = f"Found failed daemon pod {place}, will try to kill it"
            self.recorder.event(ds, "Warning", "FailedDaemonPod", text)
        for pod in todo.succeeded:
            place = f"{pod.metadata.namespace}/{pod.metadata.name} on node {target(pod)}"
            text = f"Found succeeded daemon pod {place}, will try to delete it"
            self.recorder.event(ds, "Normal", "SucceededDaemonPod", text)
        name = ds.metadata.name
        wanted = [make_pod(ds, ref, node, view.code, generated(name)) for node in todo.create]
        created = await growing([partial(self.writes.create, ds, pod) for pod in wanted])
        deleted = await together(self.writes.delete(ds, pod) for pod in todo.delete)
        return created or deleted


def _failing_key(ds: DaemonSet, node: str) -> str:
    """A new template or a changed set starts afresh."""
    return f"{ds.metadata.uid}/{ds.status.observedGeneration}/{node}"
