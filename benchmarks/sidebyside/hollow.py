"""Many hollow nodes in one process: `python -m benchmarks.sidebyside.hollow DIR`, for the cluster in DIR.

Each node is the real kubelet over the fake runtime, with an identity and connections of its own, as a process of
`kijabi node` on the runtime `fake` is. Benchmarks that need a hundred nodes start this one process instead.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

import uvloop

from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.config import ClusterConfig, load
from kijabi.kubelet import app as kubelet
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.runtime.fake import FakeRuntime


async def node(cluster: ClusterConfig, index: int, name: str) -> None:
    """One node until cancelled."""
    settings = KubeletConfig(
        node=name, address=cluster.address, root=str(cluster.node_dir(name)), runtime_name="fake", fake=True
    )
    client = component.client(cluster.component_kubeconfig(name), "kubelet")
    runtime = FakeRuntime(pod_cidr=cluster.pod_cidr_of(index), node_ip=cluster.address)
    informers = Informers(client)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run(), name=f"informers of {name}")
        tasks.create_task(kubelet.run(settings, client, runtime, informers=informers), name=name)


async def nodes(cluster: ClusterConfig) -> None:
    """All nodes of the cluster."""
    async with asyncio.TaskGroup() as tasks:
        for index, name in enumerate(cluster.node_names()):
            tasks.create_task(node(cluster, index, name), name=name)


def main() -> None:
    gc.set_threshold(*component.GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(nodes(load(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
