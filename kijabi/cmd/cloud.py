"""What a cluster's kubelets are told for its cloud provider's controllers: pure, from the cluster's configuration."""

from __future__ import annotations

from typing import Any

from kijabi.api.core.balancing import NETWORKS
from kijabi.api.core.cloud import PROVIDED_IP, UNINITIALIZED
from kijabi.api.core.node import Taint
from kijabi.cmd.config import ClusterConfig


def settings(cluster: ClusterConfig, address: str, network: str = "") -> dict[str, Any]:
    """Part of a KubeletConfig. network: the only one that the node is on, "" where there may be more."""
    annotations = {NETWORKS: network} if network else {}
    if not cluster.external_cloud:
        return {"annotations": annotations}
    return {
        "annotations": {PROVIDED_IP: address, **annotations},
        "external_cloud": True,
        "taints": (Taint(key=UNINITIALIZED, value="true", effect="NoSchedule"),),
    }
