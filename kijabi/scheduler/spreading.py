"""Which pods a pod is spread with that states no constraints: those of its Services and of its workload.

`plugins/podtopologyspread` asks through the node state. The system's constraints are soft: at most three more of the
same on a node, five in a zone. Source: KEP-1258, k8s.io/kubernetes `pkg/scheduler/framework/plugins/helper/spread.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.service import Service
from kijabi.api.meta import OwnerReference
from kijabi.api.selector import NOTHING, Requirement, Selector, from_label_selector, from_labels
from kijabi.scheduler.needs import Meant, Spread
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.storage import Source

DEFAULTS = (("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5))
MOST_REMEMBERED = 5_000
BY_NAMESPACE = "scheduler.namespace"

# A pod as far as its constraints depend on it: namespace, labels, workload.
_Place = tuple[str, frozenset[tuple[str, str]], tuple[str, str, str]]


def by_namespace(service: Service) -> Iterable[str]:
    """Index of Services: their namespace."""
    return (service.metadata.namespace,)


class Spreading:
    """The default constraints of pods; an answer is remembered until a Service or a workload changes.

    services: indexed `by_namespace`.
    """

    def __init__(
        self,
        services: Source[Service],
        controllers: Source[ReplicationController],
        replica_sets: Source[ReplicaSet],
        stateful_sets: Source[StatefulSet],
    ) -> None:
        self._services = services
        self._controllers = controllers
        self._replica_sets = replica_sets
        self._stateful_sets = stateful_sets
        self._known: dict[_Place, tuple[Spread, ...]] = {}

    def changed(self, old: Any, new: Any) -> None:
        """One of the objects has changed: what was remembered may be wrong, if its selector did."""
        if old is None or new is None or old.spec.selector != new.spec.selector:
            self._known.clear()

    def __call__(self, pod: PodInfo) -> Sequence[Spread]:
        """The pod's constraints; none for one that belongs to nothing."""
        owner = next((one for one in pod.pod.metadata.ownerReferences if one.controller), None)
        of = (owner.apiVersion, owner.kind, owner.name) if owner is not None else ("", "", "")
        place = (pod.kind[0], pod.kind[1], of)
        found = self._known.get(place)
        if found is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[place] = self._find(pod, owner)
        return found

    def _find(self, pod: PodInfo, owner: OwnerReference | None) -> tuple[Spread, ...]:
        namespace, labels = pod.kind[0], pod.pod.metadata.labels
        wanted: dict[str, str] = {}
        for service in self._services.index(BY_NAMESPACE, namespace):
            own = service.spec.selector
            if own and all(labels.get(key) == value for key, value in own.items()):
                wanted.update(own)
        more: tuple[Requirement, ...] = ()
        key = f"{namespace}/{owner.name}" if owner is not None else ""
        match (owner.apiVersion, owner.kind) if owner is not None else ("", ""):
            case ("v1", "ReplicationController"):
                controller = self._controllers.get(key)
                wanted.update((controller.spec.selector or {}) if controller is not None else {})
            case ("apps/v1", "ReplicaSet"):
                replica_set = self._replica_sets.get(key)
                more = from_label_selector(replica_set.spec.selector).requirements if replica_set is not None else ()
            case ("apps/v1", "StatefulSet"):
                stateful_set = self._stateful_sets.get(key)
                more = from_label_selector(stateful_set.spec.selector).requirements if stateful_set is not None else ()
        selector = Selector((*from_labels(wanted).requirements, *more))
        if selector.everything:
            return ()
        meant = Meant(frozenset((namespace,)), NOTHING, selector)
        return tuple(Spread(key=key, skew=skew, meant=meant) for key, skew in DEFAULTS)
