"""What the checkers ask about pods and their owners."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.testing.history import Change, Ledger, controller

CONTROLLERS = "system:kube-controller-manager"
ADMIN = "kubernetes-admin"
SCHEDULER = "system:kube-scheduler"
LOCAL_PATH = "system:kijabi-local-path"
ENDED = ("Succeeded", "Failed")

Running = Callable[[str, str], bool]
"""Whether a container of a pod runs: (node, the pod's uid)."""
STALE = 60.0
"""Virtual seconds that a cache may lag, through hold-ups, partitions and waits before the next try together."""


def ready(pod: Pod) -> bool:
    """Its Ready condition is true and nobody asked for its end."""
    if pod.metadata.deletionTimestamp is not None or pod.status.phase in ENDED:
        return False
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def lives(pod: Pod) -> bool:
    """It has not ended, and nobody asked for its end."""
    return pod.status.phase not in ENDED and pod.metadata.deletionTimestamp is None


def disrupted(pod: Pod) -> bool:
    """It goes for a reason that is not its owner's: eviction, preemption, taints, a lost node (KEP-3329)."""
    return any(c.type == "DisruptionTarget" and c.status == "True" for c in pod.status.conditions)


def lost_its_node(pod: Pod, ledger: Ledger) -> bool:
    """Its node is not there any more, or is another of that name."""
    node = ledger.get(Node, pod.spec.nodeName)
    return node is None or ledger.born[node.metadata.uid].revision > ledger.born[pod.metadata.uid].revision


def claims_of(pod: Pod) -> set[str]:
    """The keys of the claims that a pod's volumes are of."""
    return {f"{pod.metadata.namespace}/{name}" for volume in pod.spec.volumes if (name := claim_of(pod, volume))}


def owner_kind(pod: Pod) -> str:
    """The kind of what controls a pod; empty if nothing does."""
    ref = controller(pod.metadata)
    return ref.kind if ref is not None else ""


def created(change: Change, kind: str) -> Pod | None:
    """The pod, if this write is its creation by the controllers on behalf of an owner of that kind, and not one that
    came when nobody expected it any more."""
    is_new = change.resource.type is Pod and change.old is None and change.actor == CONTROLLERS
    return change.new if is_new and owner_kind(change.new) == kind else None


def on_time(pods: Iterable[Pod], ledger: Ledger) -> bool:
    """None of them was made by a request that had been given up: for those nobody can answer."""
    return not any(pod.metadata.uid in ledger.late for pod in pods)


def sets_of(d: Deployment, ledger: Ledger) -> list[ReplicaSet]:
    """The ReplicaSets that a Deployment controls."""
    return list(ledger.owned(ReplicaSet, d.metadata.uid))


def pods_of(d: Deployment, ledger: Ledger) -> list[Pod]:
    """The pods of a Deployment's ReplicaSets."""
    return [pod for rs in sets_of(d, ledger) for pod in ledger.owned(Pod, rs.metadata.uid)]


def deployment_of(pod: Pod, ledger: Ledger) -> Deployment | None:
    """The Deployment that the pod belongs to through its ReplicaSet, both present."""
    rs = ledger.owner(ReplicaSet, pod)
    return ledger.owner(Deployment, rs) if rs is not None else None


def amount(value: int | str | None, of: int, *, up: bool) -> int:
    """A number, or a percentage of another (core IntOrString)."""
    if isinstance(value, str):
        product = int(value.rstrip("%")) * of
        return -(-product // 100) if up else product // 100
    return value or 0
