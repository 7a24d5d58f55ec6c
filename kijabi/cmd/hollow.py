"""A node whose pods only pretend: `kijabi up --runtime fake`, to try controllers out without containers."""

from __future__ import annotations

import asyncio

from kijabi.client.informer import Informers
from kijabi.cmd import cloud, config, localpath
from kijabi.cmd.component import client as client_of
from kijabi.cmd.lifeline import Lifeline
from kijabi.kubelet import app as kubelet
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.runtime.fake import FakeRuntime


async def work(cluster: config.ClusterConfig, name: str, lifeline: Lifeline) -> None:
    """Be a hollow node until cancelled. Its pods begin anew with each start of this process."""
    index = cluster.node_names().index(name)
    settings = KubeletConfig(
        node=name,
        address=cluster.address,
        root=str(cluster.node_dir(name)),
        cluster_dns=(cluster.dns_ip,),
        cluster_domain=cluster.dns_domain,
        runtime_name="fake",
        fake=True,
        **cloud.settings(cluster, cluster.address),
    )
    client = client_of(cluster.component_kubeconfig(name), "kubelet")
    runtime = FakeRuntime(pod_cidr=cluster.pod_cidr_of(index), node_ip=cluster.address)
    informers = Informers(client)
    lifeline.when_server_is_up(informers.retry)
    await lifeline.wait_server()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informers.run(), name="informers")
        up = asyncio.Event()

        def ready() -> None:
            lifeline.ready()
            up.set()

        work = kubelet.run(settings, client, runtime, informers=informers, ready=ready)
        tasks.create_task(work, name="kubelet")
        tasks.create_task(localpath.serve(cluster, name, lifeline, up), name="local path")
