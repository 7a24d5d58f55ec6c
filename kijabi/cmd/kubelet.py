"""A node's kubelet with its own containerd: `kijabi kubelet`, and the greater part of the node process.

`start_runtime` starts or adopts containerd; `settings` is the kubelet of a node of a cluster on this machine. When the
process ends, containerd and the containers go on, and the next one adopts them; `kijabi down`, or `kijabi kubelet
--remove` for a node that joined another cluster, removes them.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

import click

from kijabi.base.errors import ConfigError
from kijabi.cmd import cloud, component
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.lifeline import Lifeline
from kijabi.cmd.machine import NodeSetup, cgroup_prefix, joined_setup, node_setup, remove_node
from kijabi.kubelet import app
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.runtime import cni
from kijabi.kubelet.runtime.containerd import Containerd
from kijabi.kubelet.runtime.cri import CriRuntime

JOINED = Path("/var/lib/kijabi-node")


def options() -> list[click.Parameter]:
    option = component.option
    return [
        component.data_dir(),
        component.kubeconfig(),
        option("--node-name", "Which node this is.  [default: with --kubeconfig, this machine's name]"),
        option("--root-dir", "With --kubeconfig: where the node keeps images, pods and logs.", default=str(JOINED)),
        option("--node-ip", "With --kubeconfig: where the node is reached.  [default: of the route to the server]"),
        option("--pod-cidr", "With --kubeconfig: the addresses of this node's pods.", default="10.244.0.0/24"),
        option("--cluster-dns", "With --kubeconfig: the DNS server that pods are told.", default="10.96.0.10"),
        option("--cluster-domain", "With --kubeconfig: the cluster's domain.", default="cluster.local"),
        option("--port", "With --kubeconfig and a certificate: of the HTTPS server for logs and exec.", default=10250),
        option("--tls-cert-file", "With --kubeconfig: the HTTPS server's certificate; none, no server."),
        option("--tls-private-key-file", "With --kubeconfig: its key."),
        option("--client-ca-file", "With --kubeconfig: the authority of those who may call the HTTPS server."),
        option("--remove", "With --kubeconfig: end and remove every container of the node, and leave.", is_flag=True),
    ]


def main(
    directory: Path,
    kubeconfig: Path | None,
    node_name: str | None,
    root_dir: str,
    node_ip: str | None,
    pod_cidr: str,
    cluster_dns: str,
    cluster_domain: str,
    port: int,
    tls_cert_file: str | None,
    tls_private_key_file: str | None,
    client_ca_file: str | None,
    remove: bool,
) -> None:
    if kubeconfig is None and not node_name:
        raise ConfigError("--node-name is needed: which of the cluster's nodes this is, such as node-1")
    name = node_name or socket.gethostname()
    place = component.place(directory, kubeconfig, name)
    if place.cluster is not None:
        setup = node_setup(place.cluster, name)
        setup.enter()
        config = settings(place.cluster, setup)
    else:
        setup = joined_setup(name, Path(root_dir).absolute(), pod_cidr)
        if remove:
            asyncio.run(remove_node(setup, keep_images=False))
            return
        certificate = bool(tls_cert_file and tls_private_key_file and client_ca_file)
        config = KubeletConfig(
            node=name,
            address=node_ip or _address_towards(place.identity.server),
            root=root_dir,
            port=port if certificate else 0,
            certificate=tls_cert_file or "",
            key=tls_private_key_file or "",
            client_ca=client_ca_file or "",
            cluster_dns=(cluster_dns,),
            cluster_domain=cluster_domain,
            cgroup_prefix=setup.containerd.cgroups,
        )
    component.run(f"{name}.kubelet", place.cluster, lambda lifeline: work(config, setup, place, lifeline))


def _address_towards(server: str) -> str:
    """This machine's address on the way to a server; nothing is sent."""
    url = urlsplit(server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((url.hostname or "", url.port or 443))
        except OSError as error:
            raise ConfigError(f"no route to {server} ({error}): give --node-ip") from error
        return str(probe.getsockname()[0])


def settings(cluster: ClusterConfig, setup: NodeSetup) -> KubeletConfig:
    """The kubelet of a node of a cluster on this machine, with the serving certificate that `keys` has made."""
    serving = cluster.pki / "nodes" / setup.name
    return KubeletConfig(
        node=setup.name,
        address=setup.address,
        root=str(cluster.node_dir(setup.name)),
        port=cluster.kubelet_port,
        certificate=str(serving / "kubelet-serving.crt"),
        key=str(serving / "kubelet-serving.key"),
        client_ca=str(cluster.pki / "ca.crt"),
        cluster_dns=(cluster.dns_ip,),
        cluster_domain=cluster.dns_domain,
        cgroup_prefix=cgroup_prefix(cluster, setup.name),
        **cloud.settings(cluster, setup.address, cluster.node_cidr if setup.netns else ""),
    )


async def start_runtime(setup: NodeSetup, tasks: asyncio.TaskGroup) -> CriRuntime:
    """Start containerd or find it running, keep it running in a task, and free what dead sandboxes held."""
    daemon = Containerd(setup.containerd)
    await daemon.start()
    tasks.create_task(daemon.supervise(), name="containerd")
    runtime = CriRuntime(setup.containerd.socket, setup.containerd.state)
    await runtime.wait_ready()
    cni.purge(setup.network, {sandbox.id for sandbox in await runtime.list_sandboxes()})
    return runtime


async def work(config: KubeletConfig, setup: NodeSetup, place: component.Place, lifeline: Lifeline) -> None:
    """Be a node's kubelet until cancelled; ready once the node is registered."""
    async with asyncio.TaskGroup() as tasks:
        await cni.prepare(setup.network, setup.containerd.cni_conf)
        runtime = await start_runtime(setup, tasks)
        tasks.create_task(app.run(config, place.client("kubelet"), runtime, ready=lifeline.ready), name="kubelet")
