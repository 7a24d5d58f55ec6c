"""A DNS server of a cluster in a process of its own: `kijabi dns`; `settings` is what the node process uses as well."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from kijabi.base.errors import ConfigError
from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.lifeline import Lifeline
from kijabi.cmd.machine import NodeSetup, node_setup
from kijabi.dns import app
from kijabi.dns.forward import read_resolv_conf, upstream_servers


def options() -> list[click.Parameter]:
    option = component.option
    return [
        component.data_dir(),
        component.kubeconfig(),
        option("--node-name", "Whose server this is; its address is published in the kube-dns Service."),
        option("--address", "Where to listen.  [default: the node's bridge; needed with --kubeconfig]"),
        option("--port", "Where to listen, UDP and TCP.", default=53),
        option("--domain", "The cluster's domain.  [default: the data directory's, or cluster.local]"),
        option("--service-ip", "With --kubeconfig and --node-name: the kube-dns Service's address."),
        option("--upstream", "Asked for all other names; may be repeated.  [default: /etc/resolv.conf]", multiple=True),
    ]


def main(
    directory: Path,
    kubeconfig: Path | None,
    node_name: str | None,
    address: str | None,
    port: int,
    domain: str | None,
    service_ip: str | None,
    upstream: tuple[str, ...],
) -> None:
    place = component.place(directory, kubeconfig, "dns")
    cluster = place.cluster
    if cluster is not None:
        setup = node_setup(cluster, node_name or cluster.node_names()[0])
        server = settings(cluster, setup, address=address or "", port=port, upstream=upstream)
        setup.enter()
    elif not address:
        raise ConfigError("--kubeconfig needs --address: where to listen")
    else:
        own = (address, service_ip or "")
        server = app.DnsConfig(
            domain=domain or "cluster.local",
            address=address,
            port=port,
            node=(node_name or "") if service_ip else "",
            service_ip=service_ip or "",
            upstream=upstream or upstream_servers(read_resolv_conf(), own),
        )
    component.run("dns", cluster, lambda lifeline: work(server, place, lifeline))


def settings(
    cluster: ClusterConfig, setup: NodeSetup, *, address: str = "", port: int = 53, upstream: tuple[str, ...] = ()
) -> app.DnsConfig:
    """The DNS server of a node of a cluster on this machine; it listens at the node's bridge."""
    address = address or str(setup.network.gateway.ip)
    found = upstream_servers(read_resolv_conf(), own=(address, cluster.dns_ip))
    if setup.netns:  # what listens on the machine's loopback is asked through the first node's server
        first = str(node_setup(cluster, cluster.node_names()[0]).network.gateway.ip)
        found = tuple(dict.fromkeys(first if server.startswith("127.") else server for server in found))
    return app.DnsConfig(
        domain=cluster.dns_domain,
        address=address,
        port=port,
        node=setup.name,
        service_ip=cluster.dns_ip,
        upstream=upstream or found,
    )


async def work(server: app.DnsConfig, place: component.Place, lifeline: Lifeline) -> None:
    """Answer until cancelled; ready once it listens with all names known."""
    client = place.client("kijabi-dns")
    informers = Informers(client)
    listening = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run(server, client, informers, listening), name="dns")
        await asyncio.sleep(0)  # it has asked for its informers now
        tasks.create_task(informers.run(), name="informers")
        await listening.wait()
        lifeline.ready()
