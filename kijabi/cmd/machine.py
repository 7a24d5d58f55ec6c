"""What a cluster puts on the machine for its nodes: each node's containerd, pod network, control groups and rules.

The first node lives in the machine's own network, so that Services and node ports are reachable from here; the others
each in a network namespace of their own. The node agent calls `prepare`; `down` calls `remove`, which needs nothing but
the cluster's configuration, so it works after any crash.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from kijabi.cmd.config import ClusterConfig
from kijabi.kubelet.runtime import cni, containerd
from kijabi.kubelet.runtime.cni import Network
from kijabi.proxy import nft


class NodeSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One node's settings: its containerd, its pod network, its nftables table. netns: "" for the machine's own."""

    name: str
    containerd: containerd.Config
    network: Network
    table: str
    netns: str = ""


def node_setup(config: ClusterConfig, name: str) -> NodeSetup:
    """Everything about one node, from the cluster's configuration alone."""
    index = config.node_names().index(name)
    netns = ""
    home, run = config.node_dir(name), config.node_run(name)
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
        network=cni.network(config.hash, name, config.pod_cidr_of(index), home / "addresses", netns=netns),
        table=f"kijabi-{config.hash}",
        netns=netns,
    )


def cgroup_prefix(config: ClusterConfig, name: str) -> str:
    """The control groups of a node's pods."""
    return f"/kijabi-{config.hash}/{name}"


class Machine:
    """The nodes of a cluster, as far as they are on this machine."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config

    async def remove(self, *, keep_images: bool) -> None:
        """End and remove everything. Repeatable."""
        for name in self.config.node_names():
            setup = node_setup(self.config, name)
            await containerd.Containerd(setup.containerd).destroy(keep_images=keep_images)
            await cni.remove(setup.network)
            if not setup.netns:
                await nft.remove(setup.table)
        self._remove_groups()
        shutil.rmtree(self.config.run, ignore_errors=True)

    def _remove_groups(self) -> None:
        """The empty parent of the nodes' control groups."""
        root = Path("/sys/fs/cgroup")
        for place in (root, *root.iterdir()):
            group = place / f"kijabi-{self.config.hash}"
            if group.is_dir():
                group.rmdir()
