"""One node's process: containerd beside it; kubelet, proxy and DNS inside it.

The parts start as early as they can: containerd while the API server is still coming up, the proxy before the first pod.
The kubelet asks the API server as the node, the proxy and DNS as themselves with a cache of their own that they share.
When this process ends, containerd and the containers go on, and the next one adopts them; `down` removes them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import click

from kijabi.client.informer import Informers
from kijabi.cmd import component, config
from kijabi.cmd.control_plane import client_of
from kijabi.cmd.keys import make_keys
from kijabi.cmd.lifeline import Lifeline
from kijabi.cmd.machine import NodeSetup, cgroup_prefix, node_setup
from kijabi.dns import app as dns
from kijabi.dns.forward import read_resolv_conf, upstream_servers
from kijabi.kubelet import app as kubelet
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.runtime import cni
from kijabi.kubelet.runtime.containerd import Containerd
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.proxy import app as proxy
from kijabi.proxy.rules import ProxyConfig

log = logging.getLogger(__name__)


def options() -> list[click.Parameter]:
    return [component.data_dir(), component.option("--node-name", "Which of the cluster's nodes.", required=True)]


def main(directory: Path, node_name: str) -> None:
    cluster = config.load(directory)
    if cluster.runtime == "fake":
        from kijabi.cmd.hollow import work as hollow

        component.run(node_name, cluster, lambda lifeline: hollow(cluster, node_name, lifeline))
        return
    component.run(node_name, cluster, lambda lifeline: work(cluster, node_name, lifeline))


async def work(cluster: config.ClusterConfig, name: str, lifeline: Lifeline) -> None:
    """Be a node until cancelled."""
    setup = node_setup(cluster, name)
    daemon = Containerd(setup.containerd)
    informers = Informers(client_of(cluster.component_kubeconfig("proxy"), "kube-proxy"))
    programmed = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        await cni.prepare(setup.network, setup.containerd.cni_conf)
        tasks.create_task(_proxy(cluster, setup, informers, programmed), name="proxy")
        tasks.create_task(_dns(cluster, setup, informers), name="dns")
        await daemon.start()
        tasks.create_task(daemon.supervise(), name="containerd")
        runtime = CriRuntime(setup.containerd.socket, setup.containerd.state)
        await runtime.wait_ready()
        cni.purge(setup.network, {sandbox.id for sandbox in await runtime.list_sandboxes()})
        tasks.create_task(informers.run(), name="informers")
        await programmed.wait()
        tasks.create_task(_kubelet(cluster, setup, runtime, lifeline), name="kubelet")


async def _kubelet(cluster: config.ClusterConfig, setup: NodeSetup, runtime: CriRuntime, lifeline: Lifeline) -> None:
    address = node_address(cluster, setup)
    serving = make_keys(cluster).kubelet_serving(setup.name, (address, str(setup.network.gateway.ip), "127.0.0.1"))
    home = cluster.node_dir(setup.name)
    settings = KubeletConfig(
        node=setup.name,
        address=address,
        root=str(home),
        port=cluster.kubelet_port,
        certificate=str(serving.cert),
        key=str(serving.key),
        client_ca=str(cluster.pki / "ca.crt"),
        cluster_dns=(cluster.dns_ip,),
        cluster_domain=cluster.dns_domain,
        cgroup_prefix=cgroup_prefix(cluster, setup.name),
    )
    client = client_of(cluster.component_kubeconfig(setup.name), "kubelet")
    await kubelet.run(settings, client, runtime, ready=lifeline.ready)


def node_address(cluster: config.ClusterConfig, setup: NodeSetup) -> str:
    """Where the node is reached: its own address between the nodes, or the bridge's on a machine that is the node."""
    return str(setup.network.gateway.ip)


async def _proxy(
    cluster: config.ClusterConfig, setup: NodeSetup, informers: Informers, programmed: asyncio.Event
) -> None:
    rules = ProxyConfig(
        table=setup.table,
        pod_cidr=cluster.pod_cidr,
        service_cidr=cluster.service_cidr,
        node_cidr=cluster.node_cidr if cluster.nodes > 1 else "",
    )
    gateway = setup.network.gateway
    network = proxy.NodeNetwork(node=setup.name, bridge=setup.network.bridge, address=str(gateway.ip))
    await proxy.run(rules, network, informers, programmed)


async def _dns(cluster: config.ClusterConfig, setup: NodeSetup, informers: Informers) -> None:
    address = str(setup.network.gateway.ip)
    settings = dns.DnsConfig(
        domain=cluster.dns_domain,
        address=address,
        node=setup.name,
        service_ip=cluster.dns_ip,
        upstream=upstream_servers(read_resolv_conf(), own=(address, cluster.dns_ip)),
    )
    await dns.run(settings, client_of(cluster.component_kubeconfig("dns"), "kijabi-dns"), informers)


def enter_netns(path: str) -> None:
    """Move this process, before it has threads, into a node's network namespace."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.setns(descriptor, os.CLONE_NEWNET)  # type: ignore[attr-defined]
    finally:
        os.close(descriptor)
