"""Liveness: what must come true, once nothing fails any more and nobody changes anything.

`problems` looks at all present objects (`history.Ledger`) and says in words what is not yet as it should be; the
simulation asks again and again until the list is empty. `leftovers` is the same after everything was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.event import Event
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.kubelet.runtime.fake import FakeRuntime
from kijabi.testing.checkers import ENDED, controller, pods_of, ready, sets_of
from kijabi.testing.history import Ledger

SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


def problems(ledger: Ledger, runtimes: Mapping[str, FakeRuntime]) -> list[str]:
    """What is not yet right."""
    found = [*_nodes(ledger), *_leaving(ledger), *_orphans(ledger), *_namespaces(ledger)]
    for d in ledger.of(Deployment):
        found += [f"deployment {d.metadata.namespace}/{d.metadata.name}: {text}" for text in _deployment(d, ledger)]
    for rs in ledger.of(ReplicaSet):
        found += [f"replica set {rs.metadata.namespace}/{rs.metadata.name}: {text}" for text in _set(rs, ledger)]
    for service in ledger.of(Service):
        if service.spec.selector:
            where = f"service {service.metadata.namespace}/{service.metadata.name}"
            found += [f"{where}: {text}" for text in _service(service, ledger)]
    found += _runtimes(ledger, runtimes)
    return found


def leftovers(ledger: Ledger, runtimes: Mapping[str, FakeRuntime]) -> list[str]:
    """What is still there though every namespace of the user and all workloads were deleted."""
    found = [*_leaving(ledger), *_orphans(ledger)]
    for cls in (Pod, ReplicaSet, Deployment):
        found += [f"{cls.__name__} {one.metadata.namespace}/{one.metadata.name} is left" for one in ledger.of(cls)]
    for kind in (Service, Endpoints, EndpointSlice):
        for other in ledger.of(kind):
            if other.metadata.name != "kubernetes":
                found.append(f"{kind.__name__} {other.metadata.namespace}/{other.metadata.name} is left")
    namespaces = {ns.metadata.name for ns in ledger.of(Namespace)}
    found += [f"namespace {name} is left" for name in sorted(namespaces - {"default", *SYSTEM})]
    for kind_of, obj in ledger.everything():
        if obj.metadata.namespace and obj.metadata.namespace not in namespaces:
            found.append(f"{kind_of} {obj.metadata.namespace}/{obj.metadata.name} is left of its namespace")
    found += _runtimes(ledger, runtimes)
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


def _deployment(d: Deployment, ledger: Ledger) -> Iterator[str]:
    status, want = d.status, d.spec.replicas
    if status.observedGeneration != d.metadata.generation:
        yield f"generation {d.metadata.generation} not observed, only {status.observedGeneration}"
    counts = {
        "replicas": status.replicas,
        "updated": status.updatedReplicas,
        "ready": status.readyReplicas,
        "available": status.availableReplicas,
    }
    if set(counts.values()) != {want} or status.unavailableReplicas:
        yield f"wants {want}, has {counts}, unavailable {status.unavailableReplicas}"
    live = [pod for pod in pods_of(d, ledger) if ready(pod)]
    if len(live) != want:
        yield f"wants {want}, {len(live)} pods are ready"
    image = d.spec.template.spec.containers[0].image
    if any(pod.spec.containers[0].image != image for pod in live):
        yield f"not all pods have image {image}"
    for kind in ("Available", "Progressing"):
        condition = next((c for c in status.conditions if c.type == kind), None)
        if condition is None or condition.status != "True":
            yield f"condition {kind} is {condition}"
    own = [rs for rs in sets_of(d, ledger) if rs.spec.replicas]
    if len(own) > (1 if want else 0):
        yield f"{len(own)} replica sets have replicas"


def _set(rs: ReplicaSet, ledger: Ledger) -> Iterator[str]:
    mine = [p for p in ledger.of(Pod) if (ref := controller(p.metadata)) and ref.uid == rs.metadata.uid]
    live = [pod for pod in mine if pod.status.phase not in ENDED]
    want, status = rs.spec.replicas, rs.status
    if len(live) != want:
        yield f"wants {want}, has {len(live)} pods"
    said = (status.replicas, status.readyReplicas, status.availableReplicas)
    if said != (want, want, want):
        yield f"wants {want}, says (replicas, ready, available) {said}"
    if status.observedGeneration != rs.metadata.generation:
        yield "generation not observed"


def _service(service: Service, ledger: Ledger) -> Iterator[str]:
    meta = service.metadata
    chosen = {
        pod.status.podIP
        for pod in ledger.of(Pod)
        if pod.metadata.namespace == meta.namespace
        and service.spec.selector.items() <= pod.metadata.labels.items()
        and ready(pod)
    }
    slices = [
        one
        for one in ledger.of(EndpointSlice)
        if one.metadata.namespace == meta.namespace and one.metadata.labels.get(SERVICE_NAME) == meta.name
    ]
    endpoints_ready = (one for part in slices for one in part.endpoints if one.conditions.ready)
    listed = [address for one in endpoints_ready for address in one.addresses]
    if sorted(listed) != sorted(chosen):
        yield f"its slices have {sorted(listed)}, its ready pods {sorted(chosen)}"
    endpoints = ledger.get(Endpoints, meta.name, meta.namespace)
    old = sorted(a.ip for subset in endpoints.subsets for a in subset.addresses) if endpoints is not None else None
    if old != sorted(chosen):
        yield f"its endpoints are {old}, its ready pods {sorted(chosen)}"


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
