"""A node's pod network: the CNI configuration that containerd reads, and the bridge it plugs pods into.

`Network` says what a node's network is; `conflist` (pure) writes it down for the plugins `bridge`, `host-local` and
`portmap`; `prepare` makes the bridge and the kernel settings; `purge` frees addresses of pods that are gone; `remove`
leaves nothing behind. Pod traffic that leaves the cluster is masqueraded by the proxy, not here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.base.process import CommandFailed, run
from kijabi.kubelet.runtime import linux

log = logging.getLogger(__name__)

BIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
PLUGINS = ("bridge", "host-local", "portmap", "loopback")
RESULTS = Path("/var/lib/cni/results")  # libcni's cache of what it did, shared by everybody on the machine
HOST_PORT_CHAINS = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    # Without it nft never sees traffic between two pods of one bridge, and a Service reached that way would not answer.
    "net/bridge/bridge-nf-call-iptables": "1",
    # A node port on 127.0.0.1 is translated to a pod address and must not be dropped as martian.
    "net/ipv4/conf/all/route_localnet": "1",
    # Service addresses are routed to the bridge: the kernel would tell pods to find them there themselves, and an ICMP
    # redirect uses up the allowance of the "port unreachable" that a Service without endpoints answers with.
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/{bridge}/send_redirects": "0",
}


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """One node's pod network. netns: the node's own network namespace (a path), or "" for the machine's."""

    name: str
    bridge: str
    pod_cidr: str
    data_dir: Path
    netns: str = ""
    mtu: int = 0

    @property
    def gateway(self) -> ipaddress.IPv4Interface:
        """The bridge's address, the first of the range, with the range's prefix length."""
        network = ipaddress.IPv4Network(self.pod_cidr)
        return ipaddress.IPv4Interface(f"{network.network_address + 1}/{network.prefixlen}")

    @property
    def mac(self) -> str:
        """A fixed hardware address made from the gateway's, so that pods' ARP caches outlive the bridge."""
        return "0a:58:" + ":".join(f"{byte:02x}" for byte in self.gateway.ip.packed)


def network(cluster: str, node: str, pod_cidr: str, data_dir: Path, *, netns: str = "", mtu: int = 0) -> Network:
    """The network of a node; its bridge's name is unique for (cluster, node) and fits the kernel's 15 characters."""
    tag = hashlib.sha256(f"{cluster}/{node}".encode()).hexdigest()[:8]
    return Network(name=f"kijabi-{tag}", bridge=f"kij{tag}", pod_cidr=pod_cidr, data_dir=data_dir, netns=netns, mtu=mtu)


def bin_dir() -> str:
    """Where the CNI plugins are; raises ConfigError where they are not all in one directory."""
    for directory in BIN_DIRS:
        if all(os.access(f"{directory}/{plugin}", os.X_OK) for plugin in PLUGINS):
            return directory
    raise ConfigError(
        f"the CNI plugins {', '.join(PLUGINS)} are in none of {', '.join(BIN_DIRS)}: "
        "install containernetworking-plugins"
    )


def conflist(net: Network) -> dict[str, Any]:
    """The CNI network configuration list (CNI specification 0.4.0)."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": net.bridge,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(net.data_dir),
            "ranges": [[{"subnet": net.pod_cidr, "gateway": str(net.gateway.ip)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    if net.mtu:
        bridge["mtu"] = net.mtu
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return {"cniVersion": "0.4.0", "name": net.name, "plugins": [bridge, portmap]}


async def prepare(net: Network, conf_dir: Path) -> None:
    """Make bridge, kernel settings and configuration file; repeatable.

    The bridge comes first because the plugin, when one ADD fails, leaves a bridge without an address behind and all
    later ones fail.
    """
    if not _bridge_filter_loaded():
        await run("modprobe", "br_netfilter")
    wanted = f"address {net.mac} type bridge"
    if net.mtu:
        wanted = f"mtu {net.mtu} {wanted}"
    ip = (*_enter(net), "ip")
    exists = await run(*ip, "-o", "link", "show", "dev", net.bridge, ok=(0, 1))
    commands = [] if exists else [f"link add {net.bridge} {wanted}"]
    commands += [f"address replace {net.gateway} dev {net.bridge}", f"link set {net.bridge} up"]
    await run(*ip, "-batch", "-", input="\n".join(commands) + "\n")
    if net.netns:
        linux.in_netns(net.netns, lambda: _set_kernel(net.bridge))
    else:
        _set_kernel(net.bridge)
    _write(conf_dir, conflist(net))


def purge(net: Network, sandboxes: set[str]) -> int:
    """Free the addresses of sandboxes that the runtime does not know (a crash, a reboot); gives how many."""
    freed = 0
    for lease in _leases(net):
        words = lease.read_text().split()  # the sandbox, then the interface
        if not words or words[0] not in sandboxes:
            lease.unlink(missing_ok=True)
            freed += 1
    for result in _results(net):
        if not any(sandbox in result.name for sandbox in sandboxes):
            _forget(net, result)
    if freed:
        log.info("freed pod addresses of sandboxes that are gone", extra={"count": freed, "network": net.name})
    return freed


async def remove(net: Network) -> None:
    """Remove host-port rules, the bridge, and all files about this network."""
    for result in _results(net):
        await _remove_host_ports(net, result)
        _forget(net, result)
    await _remove_unused_chains(net)
    for cable in await _cables(net):
        await run(*_enter(net), "ip", "link", "delete", cable, ok=(0, 1))
    await run(*_enter(net), "ip", "link", "delete", net.bridge, ok=(0, 1))
    shutil.rmtree(net.data_dir, ignore_errors=True)


async def _cables(net: Network) -> list[str]:
    """The pods' network cables that are still plugged into the bridge.

    A pod's network namespace outlives its processes while the kernel closes their connections, which takes minutes if
    nobody answers, and its cable lives as long.
    """
    known = await run(*_enter(net), "ip", "-json", "link", "show", "master", net.bridge, "type", "veth", ok=(0, 1, 255))
    return [link["ifname"] for link in json.loads(known or "[]") if "ifname" in link]


async def _remove_host_ports(net: Network, result: Path) -> None:
    """Ask `portmap` to delete the rules of a sandbox that was killed and never torn down."""
    cached = _cached(result)
    ports = (cached.get("capabilityArgs") or {}).get("portMappings")
    if not ports:
        return
    config = {
        "cniVersion": "0.4.0",
        "name": net.name,
        "type": "portmap",
        "snat": True,
        "runtimeConfig": {"portMappings": ports},
    }
    environment = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": cached["containerId"],
        "CNI_IFNAME": cached["ifName"],
        "CNI_PATH": bin_dir(),
        "CNI_NETNS": "",
    }
    command = ("env", *(f"{name}={value}" for name, value in environment.items()), f"{bin_dir()}/portmap")
    try:
        await run(*_enter(net), *command, input=json.dumps(config))
    except CommandFailed as error:
        log.warning("host ports not removed", extra={"sandbox": cached["containerId"], "error": str(error)})


async def _remove_unused_chains(net: Network) -> None:
    """`portmap` leaves its chains behind; take them away when no host port of anybody is in them."""
    if net.netns or shutil.which("iptables") is None:
        return  # a node's own network namespace goes with all that is in it
    iptables = ("iptables", "-w", "5", "-t", "nat")
    rules = (await run(*iptables, "-S")).splitlines()
    chains = [name for name in HOST_PORT_CHAINS if f"-N {name}" in rules]
    if not chains or any(rule.startswith(f"-A {HOST_PORT_CHAINS[0]} ") for rule in rules):
        return
    for rule in rules:
        if rule.startswith("-A ") and rule.split(" -j ")[-1] in chains:
            await run(*iptables, "-D", *shlex.split(rule)[1:], ok=(0, 1))
    for action in ("-F", "-X"):
        for chain in chains:
            await run(*iptables, action, chain, ok=(0, 1))


def _forget(net: Network, result: Path) -> None:
    """Remove a sandbox's cached result, and the one that containerd's loopback network left for it."""
    sandbox = result.name.removeprefix(f"{net.name}-").rpartition("-")[0]
    result.unlink(missing_ok=True)
    (RESULTS / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)


def _leases(net: Network) -> list[Path]:
    """host-local keeps one file an address, named by it."""
    directory = net.data_dir / net.name
    if not directory.is_dir():
        return []
    return [path for path in directory.iterdir() if path.name[0].isdigit()]


def _results(net: Network) -> list[Path]:
    return list(RESULTS.glob(f"{net.name}-*"))


def _cached(result: Path) -> dict[str, Any]:
    return dict(json.loads(result.read_bytes()))


def _enter(net: Network) -> tuple[str, ...]:
    return ("nsenter", f"--net={net.netns}") if net.netns else ()


def _bridge_filter_loaded() -> bool:
    return os.path.exists("/proc/sys/net/bridge")


def _set_kernel(bridge: str) -> None:
    """Set this network namespace's switches."""
    for name, value in SYSCTLS.items():
        Path("/proc/sys", name.format(bridge=bridge)).write_text(value)


def _write(conf_dir: Path, conflist: dict[str, Any]) -> None:
    """Replace the configuration in one step: containerd watches the directory."""
    conf_dir.mkdir(parents=True, exist_ok=True)
    staged = conf_dir / ".10-pods.conflist"
    staged.write_text(json.dumps(conflist, indent=1))
    staged.rename(conf_dir / "10-pods.conflist")
