"""The informers that controllers share, each with all the indexes that any of them needs.

One place, so that a cache is built once and nobody reads the objects of others: pods by controller, node and
namespace, replica sets by controller and namespace, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice, service_of
from kijabi.api.meta import LabelSelector, Object
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import Selector, from_label_selector
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer, Informers
from kijabi.controllers.owners import CONTROLLER, controller_index, controller_of
from kijabi.controllers.pods import terminal

NAMESPACE = "namespace"
NODE = "node"
ENDED = "ended"
LABEL = "label"
SELECTOR = "selector"
SERVICE = "service"

Indexes = Mapping[str, Callable[[Any], Iterable[str]]]


def _namespace(obj: Object) -> tuple[str]:
    return (obj.metadata.namespace,)


def _node(pod: Pod) -> tuple[str]:
    """Pods without a node are indexed under the empty name."""
    return (pod.spec.nodeName,)


def _ended(pod: Pod) -> tuple[str, ...]:
    return (ENDED,) if terminal(pod) else ()


def labelled(namespace: str, key: str, value: str) -> str:
    """The index value of a namespace's objects with a label."""
    return f"{namespace}/{key}={value}"


def _labels(pod: Pod) -> tuple[str, ...]:
    return tuple(labelled(pod.metadata.namespace, *pair) for pair in pod.metadata.labels.items())


def _selector(service: Service) -> tuple[str, ...]:
    """One label that the service asks for is enough to find it."""
    return tuple(labelled(service.metadata.namespace, *pair) for pair in sorted(service.spec.selector.items())[:1])


def _first_label(obj: Any) -> tuple[str, ...]:
    """A label that a selector asks for is enough to find who selects; without such a one, the namespace."""
    selector, namespace = obj.spec.selector, obj.metadata.namespace
    if selector is None:
        return ()
    labels = selector.matchLabels if isinstance(selector, LabelSelector) else selector
    return (labelled(namespace, *min(labels.items())) if labels else namespace,)


_OWNED: Indexes = {CONTROLLER: controller_index, NAMESPACE: _namespace}
_PODS: Indexes = {**_OWNED, NODE: _node, LABEL: _labels, ENDED: _ended}
_NAMESPACED: Indexes = {NAMESPACE: _namespace}
_SELECTING: Indexes = {NAMESPACE: _namespace, SELECTOR: _first_label}
_SELECTING_OWNED: Indexes = {**_OWNED, **_SELECTING}


def pods(informers: Informers) -> Informer[Pod]:
    """All pods, by controller, namespace, node and label, and those that ended."""
    return informers.of(Pod, indexes=_PODS)


def replica_sets(informers: Informers) -> Informer[ReplicaSet]:
    """All ReplicaSets, by controller, namespace, and a label that their selector asks for."""
    return informers.of(ReplicaSet, indexes=_SELECTING_OWNED)


def replication_controllers(informers: Informers) -> Informer[ReplicationController]:
    """All ReplicationControllers, by controller, namespace, and a label that their selector asks for."""
    return informers.of(ReplicationController, indexes=_SELECTING_OWNED)


def daemon_sets(informers: Informers) -> Informer[DaemonSet]:
    """All DaemonSets, by namespace and a label that their selector asks for."""
    return informers.of(DaemonSet, indexes=_SELECTING)


def stateful_sets(informers: Informers) -> Informer[StatefulSet]:
    """All StatefulSets, by namespace and a label that their selector asks for."""
    return informers.of(StatefulSet, indexes=_SELECTING)


def jobs(informers: Informers) -> Informer[Job]:
    """All Jobs, by controller, namespace, and a label that their selector asks for."""
    return informers.of(Job, indexes=_SELECTING_OWNED)


def quotas(informers: Informers) -> Informer[ResourceQuota]:
    """All ResourceQuotas, by namespace."""
    return informers.of(ResourceQuota, indexes=_NAMESPACED)


def cron_jobs(informers: Informers) -> Informer[CronJob]:
    """All CronJobs."""
    return informers.of(CronJob)


def budgets(informers: Informers) -> Informer[PodDisruptionBudget]:
    """All PodDisruptionBudgets, by a label that their selector asks for."""
    return informers.of(PodDisruptionBudget, indexes={SELECTOR: _first_label})


def budgets_of(
    budgets: Informer[PodDisruptionBudget], namespace: str, labels: Mapping[str, str]
) -> list[PodDisruptionBudget]:
    """The budgets that select a pod with these labels."""
    near = may_select(budgets, namespace, labels)
    return [one for one in near if from_label_selector(one.spec.selector).matches(labels)]


def autoscalers(informers: Informers) -> Informer[HorizontalPodAutoscaler]:
    """All HorizontalPodAutoscalers."""
    return informers.of(HorizontalPodAutoscaler)


def claims(informers: Informers) -> Informer[PersistentVolumeClaim]:
    """All PersistentVolumeClaims."""
    return informers.of(PersistentVolumeClaim)


def controller_revisions(informers: Informers) -> Informer[ControllerRevision]:
    """All ControllerRevisions, by controller and namespace."""
    return informers.of(ControllerRevision, indexes=_OWNED)


def deployments(informers: Informers) -> Informer[Deployment]:
    """All Deployments, by namespace and a label that their selector asks for."""
    return informers.of(Deployment, indexes=_SELECTING)


def services(informers: Informers) -> Informer[Service]:
    """All Services, by a label that their selector asks for."""
    return informers.of(Service, indexes={SELECTOR: _selector})


def endpoint_slices(informers: Informers) -> Informer[EndpointSlice]:
    """All EndpointSlices, by the service they belong to (`namespace/name`)."""
    return informers.of(EndpointSlice, indexes={SERVICE: service_of})


def endpoints(informers: Informers) -> Informer[Endpoints]:
    """All Endpoints."""
    return informers.of(Endpoints)


def nodes(informers: Informers) -> Informer[Node]:
    """All nodes."""
    return informers.of(Node)


def by_namespace(informer: Informer[Any], namespace: str) -> Iterable[Any]:
    """The objects of one namespace, of an informer that is indexed so."""
    return informer.index(NAMESPACE, namespace)


def may_select(owners: Informer[Any], namespace: str, labels: Mapping[str, str]) -> Iterator[Any]:
    """Who of an informer, indexed by what selectors ask for, may select objects with these labels; few of those that
    do not.
    """
    for place in (namespace, *(labelled(namespace, *pair) for pair in labels.items())):
        yield from owners.index(SELECTOR, place)


def selected(pods: Informer[Pod], namespace: str, selector: Selector) -> list[Pod]:
    """The pods of a namespace that a selector matches, found by the rarest of the labels that it demands."""
    exact = [(one.key, value) for one in selector.requirements if (value := selector.exact(one.key)) is not None]
    near = [pods.index(LABEL, labelled(namespace, *pair)) for pair in exact] or [pods.index(NAMESPACE, namespace)]
    matches = selector.test()
    return [pod for pod in min(near, key=len) if matches(pod.metadata.labels)]


def unchanged(old: Object | None, new: Object) -> bool:
    """Labels and controller are as they were: nothing about who wants the object can have changed."""
    return (
        old is not None
        and old.metadata.labels == new.metadata.labels
        and controller_of(old.metadata) == controller_of(new.metadata)
    )


def keys_of_owners(
    kind: str, owners: Informer[Any], matches: Callable[[Any, Object], bool], old: Object | None, new: Object | None
) -> set[str]:
    """The keys of what controls a dependent, before and now; an orphan's candidates when its labels or owner changed.

    kind: of the owners, whose informer is indexed by what their selectors ask for. matches: whether an owner selects
    the dependent.
    """
    keys: set[str] = set()
    for obj in (old, new):
        ref = controller_of(obj.metadata) if obj is not None else None
        if obj is not None and ref is not None and ref.kind == kind:
            keys.add(f"{obj.metadata.namespace}/{ref.name}")
    if new is not None and controller_of(new.metadata) is None and not unchanged(old, new):
        near = may_select(owners, new.metadata.namespace, new.metadata.labels)
        keys.update(key_of(one) for one in near if matches(one, new))
    return keys


def selects(owner: Any, obj: Object) -> bool:
    """Whether the owner's LabelSelector, if it has one, matches the object's labels."""
    return owner.spec.selector is not None and from_label_selector(owner.spec.selector).matches(obj.metadata.labels)


def namespaces(informers: Informers) -> Informer[Namespace]:
    """All namespaces."""
    return informers.of(Namespace)


def active(namespace: Namespace) -> bool:
    """Objects may be made in it."""
    return namespace.status.phase != "Terminating" and namespace.metadata.deletionTimestamp is None


def namespace_of(obj: Object | None) -> tuple[str, ...]:
    """The namespace's name as the key to work on."""
    return (obj.metadata.namespace,) if obj is not None else ()
