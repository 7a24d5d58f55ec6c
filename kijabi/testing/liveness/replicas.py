"""What must come true of those who keep so many pods."""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import ENDED, pods_of, ready, sets_of


def deployment(d: Deployment, ledger: Ledger) -> Iterator[str]:
    """All pods of the present template are ready, of one set, and the status says so."""
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


def replica_set(rs: ReplicaSet | ReplicationController, ledger: Ledger) -> Iterator[str]:
    """As many pods as asked for, and the status says so."""
    live = [pod for pod in ledger.owned(Pod, rs.metadata.uid) if pod.status.phase not in ENDED]
    want, status = rs.spec.replicas, rs.status
    if len(live) != want:
        yield f"wants {want}, has {len(live)} pods"
    said = (status.replicas, status.readyReplicas, status.availableReplicas)
    if said != (want, want, want):
        yield f"wants {want}, says (replicas, ready, available) {said}"
    if status.observedGeneration != rs.metadata.generation:
        yield "generation not observed"


def stateful_set(ss: StatefulSet, ledger: Ledger) -> Iterator[str]:
    """Each identity has a ready pod of the present template, and the status says so."""
    status, want = ss.status, ss.spec.replicas
    if status.observedGeneration != ss.metadata.generation:
        yield "generation not observed"
    counts = {
        "replicas": status.replicas,
        "ready": status.readyReplicas,
        "available": status.availableReplicas,
        "updated": status.updatedReplicas,
        "current": status.currentReplicas,
    }
    if set(counts.values()) != {want}:
        yield f"wants {want}, says {counts}"
    if status.currentRevision != status.updateRevision:
        yield f"is at {status.currentRevision}, wants {status.updateRevision}"
    first = ss.spec.ordinals.start if ss.spec.ordinals is not None else 0
    names = {f"{ss.metadata.name}-{number}" for number in range(first, first + (want or 0))}
    pods = list(ledger.owned(Pod, ss.metadata.uid))
    if {pod.metadata.name for pod in pods if ready(pod)} != names or len(pods) != len(names):
        yield f"wants {sorted(names)}, has {sorted(pod.metadata.name for pod in pods)}"
    yield from _of_image(ss, pods)


def daemon_set(ds: DaemonSet, ledger: Ledger) -> Iterator[str]:
    """Each node has one ready pod of the present template, and the status says so."""
    status, nodes = ds.status, {node.metadata.name for node in ledger.of(Node)}
    counts = {
        "desired": status.desiredNumberScheduled,
        "current": status.currentNumberScheduled,
        "updated": status.updatedNumberScheduled,
        "ready": status.numberReady,
        "available": status.numberAvailable,
    }
    if set(counts.values()) != {len(nodes)} or status.numberMisscheduled or status.numberUnavailable:
        yield f"is wanted on {len(nodes)} nodes, says {counts}"
    if status.observedGeneration != ds.metadata.generation:
        yield "generation not observed"
    # Pods that the kubelet refused are taken away ever more slowly, as upstream does; while surging they pile up.
    pods = [pod for pod in ledger.owned(Pod, ds.metadata.uid) if pod.status.phase not in ENDED]
    if sorted(pod.spec.nodeName for pod in pods if ready(pod)) != sorted(nodes) or len(pods) != len(nodes):
        yield f"has pods on {sorted(pod.spec.nodeName for pod in pods)}"
    yield from _of_image(ds, pods)


def _of_image(one: StatefulSet | DaemonSet, pods: list[Pod]) -> Iterator[str]:
    image = one.spec.template.spec.containers[0].image
    if any(pod.spec.containers[0].image != image for pod in pods):
        yield f"not all pods have image {image}"
