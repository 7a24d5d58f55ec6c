"""One node's process: containerd beside it; kubelet, proxy, DNS and the maker of local volumes inside it.

The parts start as early as they can: containerd while the API server comes up, the proxy before the first pod.
The kubelet asks the API server as the node, the proxy and DNS as themselves with a cache of their own that they share,
`localpath` as itself too.
When this process ends, containerd and the containers go on, and the next one adopts them; `down` removes them.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.client.informer import Informers
from kijabi.cmd import component, config
from kijabi.cmd.lifeline import Lifeline


def options() -> list[click.Parameter]:
    return [component.data_dir(), component.option("--node-name", "Which of the cluster's nodes.", required=True)]


def main(directory: Path, node_name: str) -> None:
    cluster = config.load(directory)
    if cluster.runtime == "fake":
        from kijabi.cmd.hollow import work as hollow

        component.run(node_name, cluster, lambda lifeline: hollow(cluster, node_name, lifeline))
        return
    from kijabi.cmd.machine import node_setup

    setup = node_setup(cluster, node_name)
    setup.enter()
    component.run(node_name, cluster, lambda lifeline: work(cluster, node_name, lifeline))


async def work(cluster: config.ClusterConfig, name: str, lifeline: Lifeline) -> None:
    """Be a node until cancelled."""
    from kijabi.cmd import dns, kubelet, localpath, proxy
    from kijabi.cmd.machine import node_setup
    from kijabi.dns import app as dns_app
    from kijabi.kubelet import app as kubelet_app
    from kijabi.kubelet.runtime import cni
    from kijabi.proxy import app as proxy_app

    setup = node_setup(cluster, name)
    informers = Informers(component.client(cluster.component_kubeconfig("proxy"), "kube-proxy"))
    programmed = asyncio.Event()
    lifeline.when_server_is_up(informers.retry)
    async with asyncio.TaskGroup() as tasks:
        await cni.prepare(setup.network, setup.containerd.cni_conf)
        rules, network = proxy.settings(cluster, setup)
        tasks.create_task(proxy_app.run(rules, network, informers, programmed), name="proxy")
        answering = component.client(cluster.component_kubeconfig("dns"), "kijabi-dns")
        tasks.create_task(dns_app.run(dns.settings(cluster, setup), answering, informers), name="dns")
        runtime = await kubelet.start_runtime(setup, tasks)
        await lifeline.wait_server()
        tasks.create_task(informers.run(), name="informers")
        await programmed.wait()
        agent = component.client(cluster.component_kubeconfig(name), "kubelet")
        own = Informers(agent)
        lifeline.when_server_is_up(own.retry)
        settings = kubelet.settings(cluster, setup)
        up = asyncio.Event()

        def ready() -> None:
            lifeline.ready()
            up.set()

        work = kubelet_app.run(settings, agent, runtime, informers=own, ready=ready)
        tasks.create_task(work, name="kubelet")
        tasks.create_task(own.run(), name="kubelet informers")
        tasks.create_task(localpath.serve(cluster, name, lifeline, up), name="local path")
