"""A cluster's cloud provider: whether it can be what was asked for, and what kubelets are told for its controllers."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from pathlib import Path
from typing import Any

from kijabi.api.core.balancing import NETWORKS
from kijabi.api.core.cloud import PROVIDED_IP, UNINITIALIZED
from kijabi.api.core.node import Taint
from kijabi.base import process
from kijabi.base.errors import ConfigError
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


def check(config: ClusterConfig) -> None:
    """ConfigError if there is no such provider, or the pool of addresses has some that others have."""
    from kijabi.controllers.cloud import providers
    from kijabi.controllers.cloud.bare.pool import Pool

    if config.external_cloud:
        providers.find(config.cloud_provider)
    if config.cloud_config and not Path(config.cloud_config).is_file():
        raise ConfigError(f"there is no file {config.cloud_config} for the cloud provider")
    pool = Pool(config.balancer_pool)
    for what, cidr in (("pods", config.pod_cidr), ("Services", config.service_cidr)):
        network = ipaddress.IPv4Network(cidr)
        if pool.overlaps(int(network[0]), int(network[-1])):
            raise ConfigError(f"the load balancer pool ({pool}) has addresses of the cluster's {what} ({cidr})")
    if config.load_balancer_pool:
        for address in asyncio.run(_own_addresses()):
            if address in pool:
                raise ConfigError(f"the load balancer pool ({pool}) has this machine's own address {address}")


async def _own_addresses() -> list[str]:
    links = json.loads(await process.run("ip", "-json", "-4", "address", "show"))
    return [one["local"] for link in links for one in link.get("addr_info", ())]
