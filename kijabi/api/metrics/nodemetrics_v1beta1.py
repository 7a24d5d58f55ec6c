"""NodeMetrics as clients before Kubernetes 1.37 ask for it: the same under another version."""

from __future__ import annotations

from msgspec import structs

from kijabi.api.metrics import nodemetrics


class NodeMetrics(nodemetrics.NodeMetrics):
    """What a node uses; see version v1."""


RESOURCE = structs.replace(nodemetrics.RESOURCE, version="v1beta1", type=NodeMetrics)
