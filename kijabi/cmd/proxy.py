"""A node's service proxy in a process of its own: `kijabi proxy`; `settings` is what the node process uses as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.addresses import layout
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.lifeline import Lifeline
from kijabi.cmd.machine import NodeSetup, node_setup
from kijabi.proxy import app
from kijabi.proxy.app import NodeNetwork
from kijabi.proxy.rules import ProxyConfig


def options() -> list[click.Parameter]:
    option = component.option
    return [
        component.data_dir(),
        component.kubeconfig(),
        option("--node-name", "Which node this is.", required=True),
        option("--cluster-cidr", "With --kubeconfig: the pod addresses of all nodes.", default="10.244.0.0/16"),
        option("--service-cidr", "With --kubeconfig: the Service addresses.", default="10.96.0.0/16"),
        option("--table", "With --kubeconfig: the name of the nftables table.", default="kijabi"),
    ]


def main(
    directory: Path, kubeconfig: Path | None, node_name: str, cluster_cidr: str, service_cidr: str, table: str
) -> None:
    place = component.place(directory, kubeconfig, "proxy")
    if place.cluster is not None:
        setup = node_setup(place.cluster, node_name)
        rules, network = settings(place.cluster, setup)
        setup.enter()
    else:
        rules = ProxyConfig(table=table, pod_cidr=cluster_cidr, service_cidr=service_cidr)
        network = NodeNetwork(node=node_name, bridge="", address="")
    component.run(f"{node_name}.proxy", place.cluster, lambda lifeline: work(rules, network, place, lifeline))


def settings(cluster: ClusterConfig, setup: NodeSetup) -> tuple[ProxyConfig, NodeNetwork]:
    """The proxy of a node of a cluster on this machine."""
    between = layout(cluster) if not setup.network.netns else None
    rules = ProxyConfig(
        table=setup.table,
        pod_cidr=cluster.pod_cidr,
        service_cidr=cluster.service_cidr,
        node_cidr=cluster.node_cidr if cluster.nodes > 1 else "",
        bridge=between.bridge if between is not None else "",
        bridge_mac=between.mac if between is not None else "",
    )
    gateway = str(setup.network.gateway.ip)
    alone = cluster.nodes == 1 and not cluster.load_balancer_pool
    routed = (cluster.balancer_cidr,) if alone else ()  # Several nodes have a network for it between them.
    return rules, NodeNetwork(node=setup.name, bridge=setup.network.bridge, address=gateway, routed=routed)


async def work(rules: ProxyConfig, network: NodeNetwork, place: component.Place, lifeline: Lifeline) -> None:
    """Proxy until cancelled; ready with the first ruleset in the kernel."""
    informers = Informers(place.client("kube-proxy"))
    programmed = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(rules, network, informers, programmed), name="proxy")
        await asyncio.sleep(0)  # the proxy has asked for its informers now
        tasks.create_task(informers.run(), name="informers")
        await programmed.wait()
        lifeline.ready()
