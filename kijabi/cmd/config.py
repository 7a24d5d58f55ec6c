"""What one cluster is on disk: its directory, ports, address ranges and nodes.

`up` makes a ClusterConfig once and saves it in the data directory; every other command and component process loads
it from there, so a restart finds the same addresses. Clusters on one machine take different slots, and from the
slot follow their address ranges and the kubelet's port.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.base.files import write_atomic

DEFAULT_DIR = Path("/var/lib/kijabi")
DEFAULT_PORT = 6443
SLOTS = 24  # 10.96–10.119 for services, 10.244–10.221 for pods
RUN = Path("/run/kijabi")


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster. dir: its data directory. slot: which address ranges are its own on this machine.

    nodes: how many; runtime: `cri` (containerd) or `fake` (nothing runs, for trying controllers out). apiserver_args:
    settings of the API server (`apiserver/flags.py`); controller_args: of the controllers (`controllers/flags.py`).
    cloud_provider: who gives load balancers (`controllers/cloud`); cloud_config: the file of its own settings.
    load_balancer_pool: ranges for the provider `bare`, () for a default.
    """

    dir: str
    port: int = DEFAULT_PORT
    slot: int = 0
    nodes: int = 1
    runtime: str = "cri"
    address: str = "127.0.0.1"
    dns_domain: str = "cluster.local"
    apiserver_args: tuple[str, ...] = ()
    controller_args: tuple[str, ...] = ()
    cloud_provider: str = "bare"
    cloud_config: str = ""
    load_balancer_pool: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return Path(self.dir)

    @property
    def hash(self) -> str:
        """Eight hex digits of the data directory: the cluster's name in sockets, bridges and cgroups."""
        return hashlib.sha256(self.dir.encode()).hexdigest()[:8]

    @property
    def run(self) -> Path:
        """Where sockets and other state lives that a reboot may forget; short, for socket paths are limited."""
        return RUN / self.hash

    @property
    def service_cidr(self) -> str:
        return f"10.{96 + self.slot}.0.0/16"

    @property
    def pod_cidr(self) -> str:
        return f"10.{244 - self.slot}.0.0/16"

    @property
    def node_cidr(self) -> str:
        """The network between the nodes of a cluster with several."""
        return f"172.30.{self.slot}.0/24"

    @property
    def external_cloud(self) -> bool:
        """Whether nodes wait for a cloud to tell what they are."""
        return self.cloud_provider not in ("", "none", "bare")

    @property
    def balancer_cidr(self) -> str:
        """The upper half of the network between the nodes, where no node is: load balancers, unless told otherwise."""
        return str(list(ipaddress.ip_network(self.node_cidr).subnets())[1])

    @property
    def balancer_pool(self) -> tuple[str, ...]:
        """The addresses of load balancers."""
        if self.load_balancer_pool:
            return self.load_balancer_pool
        network = ipaddress.ip_network(self.balancer_cidr)
        return (f"{network[0]}-{network[-2]}",)

    @property
    def service_ip(self) -> str:
        """The address of the `kubernetes` Service."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def dns_ip(self) -> str:
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def advertise(self) -> str:
        """The API server's address for pods and nodes: the first node's bridge, which no network change moves."""
        return str(ipaddress.ip_network(self.pod_cidr_of(0))[1]) if self.runtime != "fake" else self.address

    @property
    def advertised_server(self) -> str:
        return f"https://{self.advertise}:{self.port}"

    @property
    def kubelet_port(self) -> int:
        return 10250 + self.slot * 20

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def pki(self) -> Path:
        return self.path / "pki"

    def node_names(self) -> tuple[str, ...]:
        return tuple(f"node-{i + 1}" for i in range(self.nodes))

    def pod_cidr_of(self, index: int) -> str:
        """The pod range of the node with this index (0 is the first)."""
        subnets = ipaddress.ip_network(self.pod_cidr).subnets(new_prefix=24)
        return str(next(net for i, net in enumerate(subnets) if i == index + 1))

    def node_dir(self, name: str) -> Path:
        return self.path / "nodes" / name

    def node_run(self, name: str) -> Path:
        return self.run / name

    def component_kubeconfig(self, name: str) -> Path:
        return self.path / "components" / f"{name}.kubeconfig"

    def save(self) -> None:
        write_atomic(self.path / "cluster.json", msgspec.json.format(msgspec.json.encode(self)))


def load(directory: Path) -> ClusterConfig:
    """The cluster that lives in a directory; ConfigError where there is none."""
    file = directory.absolute() / "cluster.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=ClusterConfig)
    except FileNotFoundError:
        raise ConfigError(f"no cluster in {directory}: start one with `kijabi up --data-dir {directory}`") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{file} is damaged: {error}") from None


@contextmanager
def _slot_table() -> Iterator[dict[str, str]]:
    """slot → data directory, for this machine since boot, under an exclusive lock; changes are written back."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open(RUN / "slots.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        file = RUN / "slots.json"
        table = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else {}
        before = dict(table)
        yield table
        if table != before:
            write_atomic(file, msgspec.json.encode(table))


def port_is_free(port: int) -> bool:
    """Whether nobody listens on a TCP port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ConfigError(f"cannot listen on port {port}: {error.strerror}") from error
            return False
    return True


def claim_slot(directory: str, wanted: int | None = None) -> int:
    """Reserve address ranges for a data directory: its old slot, else the lowest that no live directory holds."""
    with _slot_table() as table:
        for slot, owner in list(table.items()):
            if owner != directory and not Path(owner, "cluster.json").exists():
                del table[slot]
        held = next((int(slot) for slot, owner in table.items() if owner == directory), None)
        choice = wanted if wanted is not None else held
        if choice is None:
            free = [slot for slot in range(SLOTS) if str(slot) not in table]
            choice = next(filter(_unused, free), next(iter(free), None))
        if choice is None:
            raise ConfigError(f"this machine already holds {SLOTS} clusters: `kijabi down --purge` one of them")
        owner = table.setdefault(str(choice), directory)
        if owner != directory:
            raise ConfigError(f"the address ranges of this cluster (slot {choice}) are taken by the one in {owner}")
        return choice


def _unused(slot: int) -> bool:
    """Whether nothing but a cluster of ours uses a slot's kubelet port and addresses."""
    config = ClusterConfig(dir="", slot=slot)
    ours = [ipaddress.ip_network(cidr) for cidr in (config.service_cidr, config.pod_cidr, config.node_cidr)]
    routes = [route for route in _routes() if route.prefixlen]
    return port_is_free(config.kubelet_port) and not any(a.overlaps(b) for a in ours for b in routes)


def _routes() -> list[ipaddress.IPv4Network]:
    """Where this machine sends packets: its own networks and those that it has routes to."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except FileNotFoundError:
        return []
    words = (line.split() for line in lines)
    return [ipaddress.IPv4Network(f"{_dotted(word[1])}/{_dotted(word[7])}", strict=False) for word in words]


def _dotted(word: str) -> str:
    """An address as /proc writes it: eight hexadecimal digits, the last byte first."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(word)))


def release_slot(directory: str) -> None:
    """Give a data directory's address ranges back."""
    with _slot_table() as table:
        for slot, owner in list(table.items()):
            if owner == directory:
                del table[slot]
