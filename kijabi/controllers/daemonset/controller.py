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
from kijabi.controllers.daemonset.book import Book, Terms, group
from kijabi.controllers.daemonset.place import Plan, View, belongs, features, reach
from kijabi.controllers.daemonset.plan import plan, status_of
from kijabi.controllers.daemonset.pod import make_pod, target
from kijabi.controllers.owners import (
    CONTROLLER,
    adoptable,
    candidates,
    claim,
    controller_of,
    controller_ref,
    living,
    settle,
)
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
REACH = "reach"
MEANT = "meant"


class DaemonSets:
    """The controller; see the module. books: what it knows of each set's nodes, by the set's key."""

    name = "daemonset"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("daemonset-controller")
        self.sets = daemon_sets(context.informers)
        self.pods = pods(context.informers)
        self.nodes = nodes(context.informers)
        context.informers.of(DaemonSet, indexes={REACH: reach})
        context.informers.of(Pod, indexes={MEANT: _meant})
        self.revisions = Revisions(self.client, controller_revisions(context.informers))
        self.own = OwnWrites(self.client, self.pods)
        self.writes = PodWrites(self.client, self.recorder, self.own)
        self.failing = Backoff(FAILED_FIRST, FAILED_MOST)
        self.books: dict[str, Book] = {}

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.sets, self._keys_of_set),
            Source(self.pods, self._keys_of_pod),
            Source(self.nodes, self._keys_of_node),
            Source(self.revisions.informer, self._keys_of_dependent),
        )

    def _keys_of_set(self, old: DaemonSet | None, new: DaemonSet | None) -> Iterable[str]:
        """The set. With another spec its nodes are judged anew: until now events were weighed by the one before."""
        key = key_of(new if new is not None else old)
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            self.books.pop(key, None)
        return (key,)

    def _keys_of_dependent(self, old: Object | None, new: Object | None) -> Iterable[str]:
        return keys_of_owners(KIND, self.sets, selects, old, new)

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The sets that control the pod or may adopt it; its node is to be judged anew."""
        for pod in (old, new):
            owner = _owner(pod) if pod is not None else None
            if pod is not None and owner is not None:
                self._note(f"{pod.metadata.namespace}/{owner.name}", target(pod))
        return self._keys_of_dependent(old, new)

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """The sets for which the node's labels or taints make a difference, or that it comes or goes."""
        if old is not None and new is not None and _alike(old, new):
            return ()
        both = [node for node in (old, new) if node is not None]
        name = both[0].metadata.name
        near = {key_of(ds): ds for node in both for by in features(node) for ds in self.sets.index(REACH, by)}
        keys = {key for key, ds in near.items() if belongs(ds, old) != belongs(ds, new)}
        if old is None or new is None:
            meant = ((pod, _owner(pod)) for pod in self.pods.index(MEANT, name))
            keys |= {f"{pod.metadata.namespace}/{owner.name}" for pod, owner in meant if owner is not None}
        for key in keys:
            self._note(key, name)
        return keys

    def _note(self, key: str, node: str) -> None:
        if key in self.books:
            self.books[key].changed.add(node)

    async def reconcile(self, key: str) -> float | None:
        ds = self.sets.get(key)
        if ds is None:
            self.books.pop(key, None)
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
        history, code = await self._revision(ds, ref)
        view = self._view(ds, code)
        book = self._look(view, await self._claim(view, ref))
        todo = plan(view, book)
        failure = await self._carry_out(view, book, ref, todo)
        status = status_of(view, book, ds.metadata.generation)
        if status != ds.status:
            changed = codec.clone(ds)
            changed.status = status
            await self.client.update_status(changed)
        if failure is not None:
            raise failure
        hashes = {code for kind in book.kinds for code in kind.codes}
        live = {one.metadata.name for one in history.old if one.metadata.labels.get(HASH_LABEL) in hashes}
        limit = 10 if ds.spec.revisionHistoryLimit is None else ds.spec.revisionHistoryLimit
        for one in revisions.expired(history.old, live, limit):
            await self.revisions.delete(one)
        return todo.again

    def _view(self, ds: DaemonSet, code: str) -> View:
        now = clock.monotonic()
        return View(ds, code, clock.now(), lambda node: self.failing.wait(_failing_key(ds, node), now))

    def _known(self, view: View) -> Book | None:
        """The set's book, if it is good."""
        book = self.books.get(key_of(view.ds))
        return book if book is not None and book.good(view) else None

    def _mine(self, ds: DaemonSet, names: Iterable[str] | None) -> Iterable[Pod]:
        """The pods that the set controls: those meant for some nodes, or all."""
        if names is None:
            return self.pods.index(CONTROLLER, ds.metadata.uid)
        return [pod for name in names for pod in self.pods.index(MEANT, name) if _owned(pod, ds)]

    async def _claim(self, view: View, ref: OwnerReference) -> list[Pod]:
        """Release and adopt, as far as there is news; what was adopted just now."""
        ds, book, selector = view.ds, self._known(view), from_label_selector(view.ds.spec.selector)
        mine = self._mine(ds, None if book is None else book.changed)
        near = (*mine, *adoptable(self.pods, ds.metadata, selector))
        settled = await settle(self.client, ds, ref, claim(ds.metadata, selector.matches, near))
        return [pod for pod in settled if not _owned(pod, ds)]

    def _look(self, view: View, adopted: Sequence[Pod]) -> Book:
        """The set's book as of now. adopted: pods of its own that the cache may not yet show as such."""
        ds, book, matches = view.ds, self._known(view), from_label_selector(view.ds.spec.selector).matches
        meant = {target(pod) for pod in adopted}
        names = None if book is None else book.outdated(view.now) | meant
        mine = {pod.metadata.uid: pod for pod in (*adopted, *self._mine(ds, names)) if matches(pod.metadata.labels)}
        owned = group(mine.values())
        if book is None or names is None:
            book = self.books[key_of(ds)] = Book(Terms.of(view))
            names = {*owned, *(node.metadata.name for node in self.nodes.items())}
        book.judge(view, sorted(names), self.nodes.get, owned)
        book.changed |= meant  # until the cache shows them
        return book

    async def _revision(self, ds: DaemonSet, ref: OwnerReference) -> tuple[History, str]:
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
            await self._relabel(ds, ref, one.metadata.labels.get(HASH_LABEL, ""), code)
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

    async def _relabel(self, ds: DaemonSet, ref: OwnerReference, before: str, code: str) -> None:
        selector, patch = from_label_selector(ds.spec.selector), {"metadata": {"labels": {HASH_LABEL: code}}}
        near = candidates(self.pods, ds.metadata, selector)
        for pod in await settle(self.client, ds, ref, claim(ds.metadata, selector.matches, near)):
            if pod.metadata.labels.get(HASH_LABEL) == before:
                await self.client.patch(Pod, pod.metadata.name, patch, namespace=pod.metadata.namespace)

    async def _carry_out(self, view: View, book: Book, ref: OwnerReference, todo: Plan) -> KijabiError | None:
        ds = view.ds
        for pod in todo.failed:
            self.failing.next(_failing_key(ds, target(pod)), clock.monotonic())
            book.changed.add(target(pod))
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


def _owner(pod: Pod) -> OwnerReference | None:
    """The set that controls a pod, if one does."""
    ref = controller_of(pod.metadata)
    return ref if ref is not None and ref.kind == KIND else None


def _owned(pod: Pod, ds: DaemonSet) -> bool:
    ref = controller_of(pod.metadata)
    return ref is not None and ref.uid == ds.metadata.uid


def _meant(pod: Pod) -> tuple[str, ...]:
    """Index function: the daemon pods, by the node that they are meant for."""
    return (target(pod),) if _owner(pod) is not None else ()


def _alike(old: Node, new: Node) -> bool:
    """No set can tell the one from the other; a kubelet's reports change neither labels nor taints."""
    return old.metadata.labels == new.metadata.labels and old.spec.taints == new.spec.taints


def _failing_key(ds: DaemonSet, node: str) -> str:
    """A new template or a changed set starts afresh."""
    return f"{ds.metadata.uid}/{ds.status.observedGeneration}/{node}"
