"""Several nodes on one machine: a network namespace for each, joined by a bridge, with routes to every node's pods.

`cmd` asks for the `layout` of a cluster (pure: names and addresses follow from its configuration), `create`s it before
the nodes start and `remove`s it when they are gone. The first node may live in the machine's own network; then it is
the bridge's address. Packets keep their source addresses: nobody translates between nodes.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Collection, Sequence

import msgspec

from kijabi.base import process
from kijabi.base.errors import ConfigError

NETNS = "/run/netns"


class NodeLink(msgspec.Struct, frozen=True, kw_only=True):
    """One node's place. netns: the name of its namespace, "" for the machine's. veth: its cable's end at the bridge."""

    name: str
    address: str
    pod_cidr: str
    netns: str = ""
    veth: str = ""

    @property
    def path(self) -> str:
        """The namespace as a file, "" for the machine's."""
        return f"{NETNS}/{self.netns}" if self.netns else ""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The network between a cluster's nodes. address: the bridge's, which is the nodes' way out."""

    bridge: str
    address: str
    prefix: int
    mac: str
    nodes: tuple[NodeLink, ...]

    def node(self, name: str) -> NodeLink:
        """One node's place; raises KeyError."""
        for link in self.nodes:
            if link.name == name:
                return link
        raise KeyError(name)


def layout(cluster: str, node_cidr: str, nodes: Sequence[tuple[str, str]], *, first_on_machine: bool = True) -> Layout:
    """Plan the network. cluster: eight characters that no other cluster here has; nodes: (name, pod CIDR)."""
    network = ipaddress.IPv4Network(node_cidr)
    if len(nodes) + 2 > network.num_addresses - 2:
        raise ConfigError(f"{len(nodes)} nodes do not fit into {node_cidr}")
    bridge_address = network.network_address + 1
    links = []
    for index, (name, pod_cidr) in enumerate(nodes):
        if index == 0 and first_on_machine:
            links.append(NodeLink(name=name, address=str(bridge_address), pod_cidr=pod_cidr))
            continue
        links.append(
            NodeLink(
                name=name,
                address=str(network.network_address + 10 + index),
                pod_cidr=pod_cidr,
                netns=f"kijabi-{cluster}-{name}",
                veth=f"k{cluster[:8]}v{index}",
            )
        )
    octets = ":".join(f"{byte:02x}" for byte in bridge_address.packed)
    return Layout(
        bridge=f"kin{cluster[:8]}",
        address=str(bridge_address),
        prefix=network.prefixlen,
        mac=f"0a:58:{octets}",
        nodes=tuple(links),
    )


async def create(plan: Layout) -> None:
    """Make bridge, namespaces, cables and routes, or what is lacking of them."""
    names = (plan.bridge, *(link.veth for link in plan.nodes if link.veth))
    await _batch(machine_commands(plan, present={name for name in names if _exists(name)}))
    for link in plan.nodes:
        if link.netns:
            await _batch(node_commands(plan, link), "-n", link.netns)


async def remove(plan: Layout) -> None:
    """Remove all of it; repeatable. Processes that still run in a namespace are cut off at once."""
    commands = [f"link delete {link.veth}" for link in plan.nodes if link.veth and _exists(link.veth)]
    commands += [f"netns delete {link.netns}" for link in plan.nodes if link.netns and _is_there(link.path)]
    if _exists(plan.bridge):
        commands.append(f"link delete {plan.bridge}")
    await _batch(commands)


def machine_commands(plan: Layout, *, present: Collection[str] = ()) -> list[str]:
    """What `ip` has to do in the machine's own network. present: the links that are there already."""
    commands = [] if plan.bridge in present else [f"link add {plan.bridge} address {plan.mac} type bridge"]
    commands += [f"address replace {plan.address}/{plan.prefix} dev {plan.bridge}", f"link set {plan.bridge} up"]
    for link in plan.nodes:
        if not link.netns:
            continue
        if link.veth not in present:
            commands += [
                f"netns add {link.netns}",
                f"link add {link.veth} type veth peer name eth0 netns {link.netns}",
            ]
        commands += [
            f"link set {link.veth} master {plan.bridge} up",
            # A node port of the machine may lead back to the node that asked: out through the port it came in by.
            f"link set {link.veth} type bridge_slave hairpin on",
            f"route replace {link.pod_cidr} via {link.address}",
        ]
    return commands


def node_commands(plan: Layout, link: NodeLink) -> list[str]:
    """What `ip` has to do inside a node's namespace: an address, the way out, the other nodes' pods."""
    commands = [
        "link set lo up",
        f"address replace {link.address}/{plan.prefix} dev eth0",
        "link set eth0 up",
        f"route replace default via {plan.address}",
    ]
    others = (other for other in plan.nodes if other is not link)
    return commands + [f"route replace {other.pod_cidr} via {other.address}" for other in others]


def _exists(link: str) -> bool:
    """Whether the machine's network has a link; /sys shows the network namespace that it was mounted in."""
    return os.path.exists(f"/sys/class/net/{link}")


def _is_there(path: str) -> bool:
    return os.path.exists(path)


async def _batch(commands: list[str], *options: str) -> None:
    if commands:
        await process.run("ip", *options, "-batch", "-", input="\n".join(commands) + "\n")
