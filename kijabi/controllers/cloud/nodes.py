"""Which nodes take part in load balancing: asked by the service controller and by the announcer of the bare provider.

The rules are those of k8s.io/cloud-provider, `controllers/service` (its stable set of nodes), and of the label
node.kubernetes.io/exclude-from-external-load-balancers.
"""

from __future__ import annotations

from kijabi.api.core.node import Node

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"
# What Go's strconv.ParseBool takes for false; a label with any other value excludes.
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


def included(node: Node) -> bool:
    """It is not labelled for exclusion."""
    value = node.metadata.labels.get(EXCLUDED)
    return value is None or value in _FALSE


def balanced(node: Node) -> bool:
    """Load balancers may send to it. Whether it is ready is for the balancer's own checks to find out."""
    going = node.metadata.deletionTimestamp is not None
    return not going and included(node) and not any(taint.key == TO_BE_DELETED for taint in node.spec.taints)


def shown(nodes: list[Node]) -> frozenset[tuple[str, str]]:
    """What of a set of nodes concerns load balancers: names, and which machines they are."""
    return frozenset((node.metadata.name, node.spec.providerID) for node in nodes)
