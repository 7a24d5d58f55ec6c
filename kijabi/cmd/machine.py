"""What a cluster puts on the machine for its nodes: each node's containerd, pod network, control groups and rules.

The first node lives in the machine's own network, so that Services and node ports are reachable from here; the others
each in a network namespace of their own. `up` calls `prepare`; `down` calls `remove`, which needs nothing but the
cluster's configuration, so it works after any crash.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec

from kijabi.cmd.addresses import layout
from kijabi.cmd.config import RUN, ClusterConfig
from kijabi.kubelet.runtime import cni, containerd, linux, network
from kijabi.kubelet.runtime.cni import Network
from kijabi.proxy import nft


class NodeSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One node's settings: its containerd, its pod network, its nftables table.

    address: where the node is reached. netns: its network namespace, "" for the machine's own.
    """

    name: str
    containerd: containerd.Config
    network: Network
    table: str
    address: str
    netns: str = ""

    def enter(self) -> None:
        """Move this process, before it has threads, into the node's network namespace."""
        if self.netns:
            linux.enter_netns(self.netns)


def node_setup(config: ClusterConfig, name: str) -> NodeSetup:
    """Everything about one node, from the cluster's configuration alone."""
    index = config.node_names().index(name)
    plan = layout(config)
    link = plan.node(name) if plan is not None else None
    netns = link.path if link is not None else ""
    home, run = config.node_dir(name), config.node_run(name)
    pods = cni.network(config.hash, name, config.pod_cidr_of(index), home / "addresses", netns=netns)
    return NodeSetup(
        name=name,
        containerd=containerd.Config(
            root=home / "containerd",
            state=run,
            shared=home / "pods",
            cni_conf=home / "cni",
            certs=config.path / "certs.d",
            log=config.logs / f"{name}.containerd.log",
            cgroups=cgroup_prefix(config, name),
            netns=netns,
        ),
        network=pods,
        table=f"kijabi-{config.hash}",
        address=link.address if link is not None else str(pods.gateway.ip),
        netns=netns,
    )


def cgroup_prefix(config: ClusterConfig, name: str) -> str:
    """The control groups of a node's pods."""
    return f"/kijabi-{config.hash}/{name}"


def joined_setup(name: str, root: Path, pod_cidr: str) -> NodeSetup:
    """A node of this machine that belongs to a cluster elsewhere; `kijabi proxy` has its own table."""
    mark = hashlib.sha256(str(root).encode()).hexdigest()[:8]
    return NodeSetup(
        name=name,
        containerd=containerd.Config(
            root=root / "containerd",
            state=RUN / mark,
            shared=root / "pods",
            cni_conf=root / "cni",
            certs=root / "certs.d",
            log=root / "logs" / "containerd.log",
            cgroups=f"/kijabi-{mark}",
        ),
        network=cni.network(mark, name, pod_cidr, root / "addresses"),
        table=f"kijabi-{mark}",
        address="",
    )


async def remove_node(setup: NodeSetup, *, keep_images: bool) -> None:
    """End and remove what one node has on the machine. Repeatable."""
    await containerd.Containerd(setup.containerd).destroy(keep_images=keep_images)
    await cni.remove(setup.network)
    if not setup.netns:
        await nft.remove(setup.table)


class Machine:
    """The nodes of a cluster, as far as they are on this machine."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config

    async def prepare(self) -> None:
        """Make the network between several nodes, or what is lacking of it."""
        plan = layout(self.config)
        if plan is not None:
            await network.create(plan)

    async def remove(self, *, keep_images: bool) -> None:
        """End and remove everything. Repeatable."""
        for name in self.config.node_names():
            setup = node_setup(self.config, name)
            await remove_node(setup, keep_images=keep_images)
        plan = layout(self.config)
        if plan is not None:
            await network.remove(plan)
        self._remove_groups()
        shutil.rmtree(self.config.run, ignore_errors=True)

    def _remove_groups(self) -> None:
        """The empty parent of the nodes' control groups."""
        root = Path("/sys/fs/cgroup")
        for place in (root, *root.iterdir()):
            group = place / f"kijabi-{self.config.hash}"
            if group.is_dir():
                group.rmdir()
