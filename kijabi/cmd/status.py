"""Gathers what `kijabi status` shows: the supervisor's components, and nodes and pods from the API server."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from kijabi import KUBERNETES_VERSION
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.cli.status import Cluster
from kijabi.client import kubeconfig
from kijabi.client.client import Client
from kijabi.cmd import control
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.supervisor import Status, components

PATIENCE = 5.0  # seconds for the API server to answer


async def gather(config: ClusterConfig) -> Cluster:
    """How the cluster is. One that is down is described as well, all components stopped."""
    try:
        answers = [answer async for answer in control.ask(config.path, "status")]
        states = answers[-1]
    except ConnectionLost:
        states = [Status(name=name) for name, _ in components(config)]
    cluster = Cluster(directory=config.dir, server=config.server, version=KUBERNETES_VERSION, components=states)
    if all(state.state == "stopped" for state in states):
        return replace(cluster, error="the cluster is not running: `kijabi up` starts it")
    transport = kubeconfig.transport(kubeconfig.load(config.kubeconfig))
    try:
        async with asyncio.timeout(PATIENCE):
            client = Client(transport, user_agent="kijabi-status")
            nodes, pods = await asyncio.gather(client.list(Node), client.list(Pod))
        return replace(cluster, nodes=nodes.items, pods=pods.items)
    except (ApiError, ConnectionLost, TimeoutError) as error:
        return replace(cluster, error=str(error) or f"no answer in {PATIENCE:g} s")
    finally:
        await transport.close()
