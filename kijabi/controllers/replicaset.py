"""ReplicaSet: keep exactly `spec.replicas` pods of its template. ReplicationController, its ancestor: the same.

Receives ReplicaSets and pods from the informers; creates and deletes pods, writes the ReplicaSet's status.
`plan`, `status_of` and `pod_of` decide, `ReplicaSets` acts (apps/v1 ReplicaSet; k8s.io/kubernetes
`pkg/controller/replicaset` for order, texts and batch sizes). Where it says set, a ReplicationController is meant too
(`replicationcontroller.py`): a `Flavor` holds what the two do not share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from kijabi.api import codec
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from kijabi.api.core.pod import Pod
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.core.replicationcontroller import ReplicationController, ReplicationControllerCondition
from kijabi.api.meta import ObjectMeta, OwnerReference, Time
from kijabi.api.selector import Selector, from_label_selector
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, KijabiError, NotFound
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer, Informers
from kijabi.controllers import pods as podlib
from kijabi.controllers.creation import create_once, generated, growing, together
from kijabi.controllers.expectations import Expectations
from kijabi.controllers.owners import CONTROLLER, candidates, claim, controller_of, controller_ref, living, settle
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import may_select, pods, replica_sets, selected, unchanged

Replicated = ReplicaSet | ReplicationController
BURST = 500
"""Pods created or deleted in one reconcile at most."""


class Flavor(NamedTuple):
    """One of the two kinds: what it is called, what it selects, and where its objects come from."""

    kind: str
    api_version: str
    selector: Callable[[Any], Selector]
    source: Callable[[Informers], Informer[Any]]


REPLICA_SET = Flavor("ReplicaSet", "apps/v1", lambda rs: from_label_selector(rs.spec.selector), replica_sets)


class Plan(NamedTuple):
    """How many pods to create, and which to delete; at most one of the two is anything."""

    create: int = 0
    delete: tuple[Pod, ...] = ()


def plan(replicas: int, active: Sequence[Pod], related: Sequence[Pod], now: datetime) -> Plan:
    """What brings the active pods to `replicas`; `related` are the pods of sets with the same owner.

    Related pods matter for spreading: the set gives up pods first on nodes that hold most of them.
    """
    surplus = len(active) - replicas
    if surplus < 0:
        return Plan(create=min(-surplus, BURST))
    if surplus == 0:
        return Plan()
    first = active if surplus == len(active) else podlib.deletion_order(active, related, now)
    return Plan(delete=tuple(first[: min(surplus, BURST)]))


def status_of(
    rs: Replicated, active: Sequence[Pod], terminating: int, failure: KijabiError | None, now: datetime
) -> Any:
    """The status that these pods amount to; `failure` is why pods could not be created or deleted, if so."""
    labels = template_of(rs).metadata.labels
    status: Any = type(rs.status)(
        replicas=len(active),
        fullyLabeledReplicas=sum(labels.items() <= pod.metadata.labels.items() for pod in active),
        readyReplicas=sum(podlib.ready(pod) for pod in active),
        availableReplicas=sum(podlib.available(pod, rs.spec.minReadySeconds, now) for pod in active),
        observedGeneration=rs.metadata.generation,
        conditions=_conditions(rs, len(active), failure, now),
    )
    if isinstance(status, ReplicaSetStatus):
        status.terminatingReplicas = terminating
    return status


def _conditions(rs: Replicated, active: int, failure: KijabiError | None, now: datetime) -> tuple[Any, ...]:
    """ReplicaFailure as long as creating or deleting fails; the first failure's reason and text stay."""
    before = rs.status.conditions
    if failure is None:
        return tuple(c for c in before if c.type != "ReplicaFailure")
    if any(c.type == "ReplicaFailure" for c in before):
        return before
    make = ReplicaSetCondition if isinstance(rs, ReplicaSet) else ReplicationControllerCondition
    creating = active < replicas_of(rs)
    failed = make(
        type="ReplicaFailure",
        status="True",
        lastTransitionTime=Time.of(now),
        reason="FailedCreate" if creating else "FailedDelete",
        message=str(failure) if creating else f"unable to delete pods: {failure}",
    )
    return (*before, failed)


def replicas_of(rs: Replicated) -> int:
    """`spec.replicas`, 1 where it is absent."""
    return 1 if rs.spec.replicas is None else rs.spec.replicas


def template_of(rs: Replicated) -> PodTemplateSpec:
    """The template of its pods, which validation makes sure of."""
    return rs.spec.template or PodTemplateSpec()


def pod_of(template: PodTemplateSpec, owner: OwnerReference, namespace: str, name: str) -> Pod:
    """A pod of the template, controlled by `owner`, named `name` as if generated from the owner's name."""
    meta = template.metadata
    return Pod(
        metadata=ObjectMeta(
            name=name,
            generateName=f"{owner.name}-",
            namespace=namespace,
            labels=meta.labels,
            annotations=meta.annotations,
            finalizers=meta.finalizers,
            ownerReferences=(owner,),
        ),
        spec=codec.clone(template.spec),
    )


def _owner(pod: Pod) -> str:
    """The uid of the pod's controller; empty if it has none."""
    ref = controller_of(pod.metadata)
    return ref.uid if ref is not None else ""


class ReplicaSets:
    """The controller: claims pods, carries out the plan, writes the status."""

    name = "replicaset"
    workers = WORKERS
    flavor = REPLICA_SET

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder(f"{self.name}-controller")
        self.sets: Informer[Any] = self.flavor.source(context.informers)
        self.pods = pods(context.informers)
        self.expectations = Expectations()

    def sources(self) -> Sequence[Source]:
        return (Source(self.sets, self._keys_of_set), Source(self.pods, self._keys_of_pod))

    def _keys_of_set(self, old: Replicated | None, new: Replicated | None) -> Iterable[str]:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.expectations.drop(old.metadata.uid)
        one = new if new is not None else old
        return (key_of(one),) if one is not None else ()

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The sets that control the pod, before and now; an orphan's candidates when its labels or owner
        changed.
        """
        keys: set[str] = set()
        for pod in (old, new):
            if pod is None or (ref := controller_of(pod.metadata)) is None or ref.kind != self.flavor.kind:
                continue
            meta = pod.metadata
            going = new is None or meta.uid != new.metadata.uid or not living(meta) or _owner(new) != ref.uid
            self.expectations.seen(ref.uid, meta.name, meta.uid, going=going)
            keys.add(f"{meta.namespace}/{ref.name}")
        if new is not None and controller_of(new.metadata) is None and not unchanged(old, new):
            keys.update(
                key_of(rs)
                for rs in may_select(self.sets, new.metadata.namespace, new.metadata.labels)
                if self.flavor.selector(rs).matches(new.metadata.labels)
            )
        return keys

    async def reconcile(self, key: str) -> float | None:
        rs = self.sets.get(key)
        if rs is None:
            return None
        uid = rs.metadata.uid
        # Before the cache is read: what is seen only afterwards is not in the count.
        wait = self.expectations.wait(uid, clock.monotonic())
        selector = self.flavor.selector(rs)
        ref = controller_ref(rs, self.flavor.api_version, self.flavor.kind)
        todo = claim(rs.metadata, selector.matches, filter(podlib.active, candidates(self.pods, rs.metadata, selector)))
        active = await settle(self.client, rs, ref, todo)
        ending = sum(
            podlib.terminating(pod) and selector.matches(pod.metadata.labels)
            for pod in self.pods.index(CONTROLLER, uid)
        )
        failure = None
        if not wait and rs.metadata.deletionTimestamp is None:
            failure = await self._manage(rs, ref, self._plan(rs, active))
        now = clock.now()
        status = status_of(rs, active, ending, failure, now)
        if status != rs.status:
            changed = codec.clone(rs)
            changed.status = status
            await self.client.update_status(changed)
        if failure is not None:
            raise failure
        soon = podlib.next_available(active, rs.spec.minReadySeconds, now)
        return min((seconds for seconds in (soon, wait) if seconds), default=None)

    def _plan(self, rs: Replicated, active: Sequence[Pod]) -> Plan:
        size = replicas_of(rs)
        return plan(size, active, self._related(rs) if size < len(active) else (), clock.now())

    def _related(self, rs: Replicated) -> list[Pod]:
        """The pods that sets of the same controller (a deployment's revisions) select, this one's included; none if
        nobody controls the set, and none for a ReplicationController.
        """
        ref = controller_of(rs.metadata) if isinstance(rs, ReplicaSet) else None
        siblings = self.sets.index(CONTROLLER, ref.uid) if ref is not None else ()
        found = {
            pod.metadata.uid: pod
            for sibling in siblings
            for pod in selected(self.pods, sibling.metadata.namespace, self.flavor.selector(sibling))
        }
        return list(found.values())

    async def _manage(self, rs: Replicated, ref: OwnerReference, todo: Plan) -> KijabiError | None:
        """Create in growing batches until one fails, or delete all at once; the first failure is returned."""
        if todo.delete:
            return await together(self._delete(rs, pod) for pod in todo.delete)
        retry = list(self.expectations.names(rs.metadata.uid))[: todo.create]
        names = retry + [generated(rs.metadata.name) for _ in range(todo.create - len(retry))]
        return await growing([partial(self._create, rs, ref, name) for name in names])

    async def _create(self, rs: Replicated, ref: OwnerReference, name: str) -> KijabiError | None:
        meta = rs.metadata
        pod = pod_of(template_of(rs), ref, meta.namespace, name)
        try:
            await create_once(self.client, self.pods, self.expectations, meta.uid, pod)
        except ApiError as error:
            if namespace_terminating(error):
                return None
            self.recorder.event(rs, "Warning", "FailedCreate", f"Error creating: {error}")
            return error
        except ConnectionLost as error:
            return error
        self.recorder.event(rs, "Normal", "SuccessfulCreate", f"Created pod: {name}")
        return None

    async def _delete(self, rs: Replicated, pod: Pod) -> KijabiError | None:
        uid, name = rs.metadata.uid, pod.metadata.name
        self.expectations.deleted(uid, pod.metadata.uid, clock.monotonic())
        try:
            await self.client.delete(Pod, name, pod.metadata.namespace, uid=pod.metadata.uid)
        except (NotFound, Conflict):  # Gone, or replaced by another of its name.
            self.expectations.failed(uid, uid=pod.metadata.uid)
            return None
        except (ApiError, ConnectionLost) as error:
            self.expectations.failed(uid, uid=pod.metadata.uid)
            self.recorder.event(rs, "Warning", "FailedDelete", f"Error deleting: {error}")
            return error
        self.recorder.event(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        return None
