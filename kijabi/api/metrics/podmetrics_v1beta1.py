"""PodMetrics as clients before Kubernetes 1.37 ask for it: the same under another version."""

from __future__ import annotations

from msgspec import structs

from kijabi.api.metrics import podmetrics


class PodMetrics(podmetrics.PodMetrics):
    """What a pod uses; see version v1."""


RESOURCE = structs.replace(podmetrics.RESOURCE, version="v1beta1", type=PodMetrics)
