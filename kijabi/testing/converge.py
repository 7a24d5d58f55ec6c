"""Liveness: what must come true, once nothing fails any more and nobody changes anything.

`problems` looks at all present objects (`history.Ledger`) and says in words what is not yet as it should be; the
simulation asks again and again until the list is empty. What each kind must come to, `liveness/` says. `leftovers` is
the same after everything was deleted.
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
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.event import Event
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.secret import Secret
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.kubelet.runtime.fake import FakeRuntime
from kijabi.testing.history import Ledger
from kijabi.testing.liveness import autoscaling, gangs, jobs, replicas, services, storage
from kijabi.testing.safety.facts import ENDED

SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
KINDS: tuple[tuple[type[Any], Callable[[Any, Ledger], Iterator[str]]], ...] = (
    (Deployment, replicas.deployment),
    (ReplicaSet, replicas.replica_set),
    (ReplicationController, replicas.replica_set),
    (StatefulSet, replicas.stateful_set),
    (DaemonSet, replicas.daemon_set),
    (Job, jobs.job),
    (CronJob, jobs.cron_job),
    (Service, services.service),
    (PodDisruptionBudget, services.budget),
    (HorizontalPodAutoscaler, autoscaling.autoscaler),
    (PersistentVolumeClaim, storage.claim),
    (PersistentVolume, storage.volume),
    (PodGroup, gangs.group),
)
NO_DISKS: Mapping[str, NullDisk] = {}
# What a user deletes, and what goes with it.
WORKLOADS: tuple[type[Any], ...] = (*(cls for cls, _ in KINDS), ControllerRevision, Endpoints, EndpointSlice, Pod)


def problems(
    ledger: Ledger, runtimes: Mapping[str, FakeRuntime], disks: Mapping[str, NullDisk] = NO_DISKS
) -> list[str]:
    """What is not yet right. disks: of the nodes that make volumes."""
    found = [*_nodes(ledger), *_leaving(ledger), *_orphans(ledger), *_namespaces(ledger)]
    for cls, wrong in KINDS:
        for one in ledger.of(cls):
            where = f"{cls.__name__} {one.metadata.namespace}/{one.metadata.name}"
            found += [f"{where}: {text}" for text in wrong(one, ledger)]
    found += _runtimes(ledger, runtimes)
    found += storage.disks(ledger, disks)
    return found


def leftovers(
    ledger: Ledger, runtimes: Mapping[str, FakeRuntime], disks: Mapping[str, NullDisk] = NO_DISKS
) -> list[str]:
    """What is still there though every namespace of the user and all workloads were deleted."""
    found = [*_leaving(ledger), *_orphans(ledger)]
    for cls in WORKLOADS:
        left = (one.metadata for one in ledger.of(cls) if one.metadata.name != "kubernetes")
        found += [f"{cls.__name__} {meta.namespace}/{meta.name} is left" for meta in left]
    namespaces = {ns.metadata.name for ns in ledger.of(Namespace)}
    found += [f"namespace {name} is left" for name in sorted(namespaces - {"default", *SYSTEM})]
    for kind_of, obj in ledger.everything():
        if obj.metadata.namespace and obj.metadata.namespace not in namespaces:
            found.append(f"{kind_of} {obj.metadata.namespace}/{obj.metadata.name} is left of its namespace")
    found += _runtimes(ledger, runtimes)
    found += storage.disks(ledger, disks)
    return found


def unrecorded(ledger: Ledger, pods: Iterable[Pod], deployments: Iterable[Deployment]) -> list[str]:
    """What should have been told by an event and was not. pods, deployments: those of which nothing was lost."""
    told = {(event.involvedObject.uid, event.reason) for event in ledger.of(Event)}
    found = []
    for pod in pods:
        for reason in ("Scheduled", "Created", "Started"):
            if (pod.metadata.uid, reason) not in told:
                found.append(f"no event {reason} of pod {pod.metadata.namespace}/{pod.metadata.name}")
    for d in deployments:
        if (d.metadata.uid, "ScalingReplicaSet") not in told:
            found.append(f"no event ScalingReplicaSet of deployment {d.metadata.namespace}/{d.metadata.name}")
    return found


def _nodes(ledger: Ledger) -> Iterator[str]:
    for node in ledger.of(Node):
        if not any(c.type == "Ready" and c.status == "True" for c in node.status.conditions):
            yield f"node {node.metadata.name} is not ready"
        if node.spec.taints:
            yield f"node {node.metadata.name} has taints {[taint.key for taint in node.spec.taints]}"


def _leaving(ledger: Ledger) -> Iterator[str]:
    for kind, obj in ledger.everything():
        meta = obj.metadata
        if meta.deletionTimestamp is not None:
            yield f"{kind} {meta.namespace}/{meta.name} is still being deleted (finalizers {meta.finalizers})"


def _orphans(ledger: Ledger) -> Iterator[str]:
    present = {obj.metadata.uid for _, obj in ledger.everything()}
    for kind, obj in ledger.everything():
        refs = obj.metadata.ownerReferences
        if refs and not any(ref.uid in present for ref in refs):
            yield f"{kind} {obj.metadata.namespace}/{obj.metadata.name} has outlived its owner {refs[0].name}"


def _namespaces(ledger: Ledger) -> Iterator[str]:
    for namespace in ledger.of(Namespace):
        name = namespace.metadata.name
        if ledger.get(ServiceAccount, "default", name) is None:
            yield f"namespace {name} has no default service account"
        if ledger.get(ConfigMap, "kube-root-ca.crt", name) is None:
            yield f"namespace {name} has no root certificate"
    names = {namespace.metadata.name for namespace in ledger.of(Namespace)}
    for cls in (Pod, ConfigMap, Secret, Service):
        for obj in ledger.of(cls):
            if obj.metadata.namespace not in names:
                yield f"{cls.__name__} {obj.metadata.namespace}/{obj.metadata.name} has no namespace"


def _runtimes(ledger: Ledger, runtimes: Mapping[str, FakeRuntime]) -> Iterator[str]:
    """What runs is what should run: a live pod's containers, and nothing of pods that are gone."""
    wanted: dict[str, int] = {}
    for pod in ledger.of(Pod):
        if pod.status.phase not in ENDED:
            wanted[pod.metadata.uid] = len(pod.spec.containers)
            if pod.spec.nodeName and not runtimes[pod.spec.nodeName].alive(pod.metadata.uid):
                yield f"pod {pod.metadata.namespace}/{pod.metadata.name} has no running container"
    for node, runtime in runtimes.items():
        for uid in runtime.pods():
            if uid not in wanted and runtime.alive(uid):
                yield f"{node} still runs pod {uid}, which is gone or over"
