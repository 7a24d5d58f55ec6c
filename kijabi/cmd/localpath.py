"""The agent of local-path volumes in a node's process: with the node's disk, or without one in a hollow node.

It starts once the kubelet is up, for nothing that starts a cluster waits for it, and a fault of it takes nothing down.
"""

from __future__ import annotations

import asyncio

from kijabi.base.tasks import guarded
from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.lifeline import Lifeline


async def serve(cluster: ClusterConfig, node: str, lifeline: Lifeline, kubelet_up: asyncio.Event) -> None:
    """Make and delete a node's volumes until cancelled."""
    from kijabi.kubelet.localpath.agent import Agent
    from kijabi.kubelet.localpath.disk import Directories, Disk, NullDisk

    await kubelet_up.wait()
    disk: Disk = NullDisk() if cluster.runtime == "fake" else Directories(cluster.node_dir(node) / "volumes")
    client = component.client(cluster.component_kubeconfig("local-path"), "kijabi-local-path")
    informers = Informers(client)
    lifeline.when_server_is_up(informers.retry)
    agent = Agent(node, client, informers, disk)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run(), name="local path informers")
        tasks.create_task(guarded(agent.run, name="local path"), name="local path")
