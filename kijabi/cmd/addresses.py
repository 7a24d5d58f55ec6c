"""Where the nodes of a cluster are reached: pure, from the cluster's configuration alone.

`keys` puts the addresses into certificates, `machine` makes the networks that have them.
"""

from __future__ import annotations

import ipaddress

from kijabi.cmd.config import ClusterConfig
from kijabi.kubelet.runtime import network
from kijabi.kubelet.runtime.network import Layout


def layout(config: ClusterConfig) -> Layout | None:
    """The network between the nodes; None where there is one node, or none is real."""
    if config.nodes == 1 or config.runtime != "cri":
        return None
    nodes = [(name, config.pod_cidr_of(index)) for index, name in enumerate(config.node_names())]
    return network.layout(config.hash, config.node_cidr, nodes)


def of_node(config: ClusterConfig, name: str) -> tuple[str, ...]:
    """The addresses of a node's kubelet: from elsewhere (the one that its Node shows), from its pods, from itself."""
    index = config.node_names().index(name)
    gateway = str(ipaddress.ip_network(config.pod_cidr_of(index))[1])
    plan = layout(config)
    return (plan.node(name).address if plan is not None else gateway, gateway, "127.0.0.1")
