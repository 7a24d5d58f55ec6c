"""Allocation of Service addresses and node ports, held by keys in the same transaction as the Service.

A `storage.Hook`: `registry.py` lets `prepare` fill in what the client left open, then `effects` names the keys that
must be free and get written with the Service: an IPAddress object for a cluster IP (KEP-1880), a plain key for a node
port. So two Services can never hold the same one, however many write at once, and nothing leaks: what the transaction
did not write is not held. What changes together with a Service's type is in `servicefields.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import chain

from kijabi.api import codec, meta, status, validation
from kijabi.api.core.service import Service
from kijabi.api.meta import ObjectMeta
from kijabi.api.networking import ranges
from kijabi.api.networking.ipaddress import IPAddress, IPAddressSpec, ParentReference
from kijabi.api.networking.ranges import given, is_ready, networks
from kijabi.api.networking.servicecidr import ServiceCIDR
from kijabi.apiserver import servicefields as fields
from kijabi.apiserver.storage import Effects
from kijabi.apiserver.watchcache import ROOT, Caches
from kijabi.base import rand
from kijabi.base.errors import InternalError
from kijabi.store.interface import Guard, Op, Store

IP_KEY = f"{ROOT}networking.k8s.io/ipaddresses/"
PORT_KEY = "/ranges/nodeports/"  # outside of what is served: the value is `namespace/name` of the Service
RANDOM_TRIES = 32  # guesses before the range is searched from one end
FAMILY = "IPv4"


class Addresses:
    """The allocator. cidr: of cluster IPs; ports: first and last node port."""

    def __init__(self, caches: Caches, cidr: str, ports: tuple[int, int]) -> None:
        self.caches = caches
        self.network = ipaddress.IPv4Network(cidr)
        self.ports = ports
        self.holders: dict[str, str] = {}  # cluster IP → Service that holds it
        self._used: dict[int, str] = {}  # node port → Service that holds it

    def start(self) -> None:
        """Follow the Services, to know which node ports are likely free; the store has the last word."""
        self.caches.subscribe(Service, self._changed)

    def _changed(self, old: Service | None, new: Service | None) -> None:
        for service in (old, new):
            if service is None:
                continue
            owner = _key(service)
            for port in fields.node_ports(service):
                if service is new:
                    self._used[port] = owner
                elif self._used.get(port) == owner:
                    del self._used[port]
            for address in fields.cluster_ips(service):
                if service is new:
                    self.holders[address] = owner
                elif self.holders.get(address) == owner:
                    del self.holders[address]

    # Hook

    def prepare(self, new: Service, old: Service | None) -> None:
        """See Hook. Raises Invalid for what is taken or out of range, InternalError when nothing is left."""
        if old is not None:
            fields.carry_over(new, old)
        fields.pair_addresses(new, old)
        if new.spec.type != "ExternalName":
            self._families(new, old)
            self._addresses(new, old)
        if fields.needs_node_port(new):
            self._node_ports(new, old)
        if fields.needs_health_port(new):
            self._health_port(new, old)
        if old is not None:
            fields.drop_unneeded(new, old)

    def effects(self, new: Service | None, old: Service | None) -> Effects:
        """See Hook."""
        before = set(held(old)) if old is not None else set()
        after = set(held(new)) if new is not None else set()
        taken, freed = sorted(after - before), sorted(before - after)
        guards = tuple(Guard(key, 0) for key in taken)
        puts = tuple(Op(key, self.value(key, new)) for key in taken if new is not None)
        return Effects(guards, (*puts, *(Op(key, None) for key in freed)))

    @staticmethod
    def value(key: str, service: Service) -> bytes:
        """What a key that the Service holds leads to."""
        own = service.metadata
        if key.startswith(PORT_KEY):
            return _key(service).encode()
        parent = ParentReference(resource="services", namespace=own.namespace, name=own.name)
        labels = {
            ranges.FAMILY: FAMILY,
            ranges.MANAGED_BY: ranges.MANAGER,
        }
        about = ObjectMeta(
            name=key.removeprefix(IP_KEY), uid=rand.uuid(), creationTimestamp=meta.time_now(), labels=labels
        )
        address = IPAddress(metadata=about, spec=IPAddressSpec(parentRef=parent))
        address.kind, address.apiVersion = "IPAddress", "networking.k8s.io/v1"
        return codec.encode(address)

    # Cluster IPs

    def _families(self, new: Service, old: Service | None) -> None:
        """ipFamilies and ipFamilyPolicy of a cluster with IPv4 only. Raises Invalid."""
        spec = new.spec
        headless = spec.clusterIP == "None"
        if spec.ipFamilyPolicy is None:
            inherited = old.spec.ipFamilyPolicy if old is not None else None
            dual = headless and not spec.selector
            spec.ipFamilyPolicy = inherited or ("RequireDualStack" if dual else "SingleStack")
        if headless and not spec.selector:
            spec.ipFamilies = spec.ipFamilies or (FAMILY,)
            if len(spec.ipFamilies) < 2 and spec.ipFamilyPolicy != "SingleStack":
                spec.ipFamilies = (*spec.ipFamilies, "IPv6" if spec.ipFamilies[0] == FAMILY else FAMILY)
            return
        path, errors = "spec", []
        for place, address in enumerate(spec.clusterIPs):
            if ":" in address:
                text = "IPv6 is not configured on this cluster"
                errors.append(validation.invalid(f"{path}.clusterIPs[{place}]", list(spec.clusterIPs), text))
        if spec.ipFamilyPolicy == "RequireDualStack":
            text = "this cluster is not configured for dual-stack services"
            errors.append(validation.invalid(f"{path}.ipFamilyPolicy", spec.ipFamilyPolicy, text))
        for place, family in enumerate(spec.ipFamilies):
            if family != FAMILY:
                text = "not configured on this cluster"
                errors.append(validation.invalid(f"{path}.ipFamilies[{place}]", family, text))
        if errors:
            raise status.invalid("Service", new.metadata.name, errors)
        spec.ipFamilies = spec.ipFamilies or (FAMILY,)

    def _addresses(self, new: Service, old: Service | None) -> None:
        spec = new.spec
        if spec.clusterIP == "None" or (old is not None and old.spec.clusterIP == "None"):
            return
        mine = set(fields.cluster_ips(old)) if old is not None else set()
        if not spec.clusterIPs and not spec.clusterIP and not mine:
            chosen = self._free_address()
            spec.clusterIP, spec.clusterIPs = chosen, (chosen,)
        for text in fields.cluster_ips(new):
            if text not in mine:
                problem = self._address_problem(text)
                if problem:
                    error = validation.invalid(
                        "spec.clusterIPs", list(spec.clusterIPs), f"failed to allocate IP {text}: {problem}"
                    )
                    raise status.invalid("Service", new.metadata.name, [error])

    def _address_problem(self, text: str) -> str:
        """Why this address cannot be had; what is no address at all is left to validation."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return ""
        around = [network for network in self.networks() if address in network]
        if not around:
            return "the provided network does not match the current range"
        if not any(given(address, network) for network in around):
            narrowest = max(around, key=lambda network: network.prefixlen)
            return f"the provided IP ({text}) is not in the valid range. The range of valid IPs is {narrowest}"
        return "provided IP is already allocated" if self._taken(text) else ""

    def _taken(self, text: str) -> bool:
        return text in self.holders or self.caches.get(IPAddress, text) is not None

    def networks(self) -> list[ipaddress.IPv4Network]:
        """The ranges of addresses that may be given: of every ServiceCIDR that is ready and stays (KEP-1880)."""
        there = list(self.caches.items(ServiceCIDR))
        if not there:  # The first Service is made before the first ServiceCIDR can be seen.
            return [self.network]
        fit = (one for one in there if one.metadata.deletionTimestamp is None and is_ready(one))
        return [network for one in fit for network in networks(one) if isinstance(network, ipaddress.IPv4Network)]

    def _free_address(self) -> str:
        """An address that nobody holds; the lower part of the range is left for those who ask by number."""
        for network in self.networks():
            size = network.num_addresses
            reserved = min(max(16, size // 16), 256)
            first, last = (reserved if size > 2 * reserved else 1), size - 2
            guesses = (rand.rng().randint(first, last) for _ in range(RANDOM_TRIES if last >= first else 0))
            for place in chain(guesses, range(first, last + 1), range(1, first)):
                text = str(network[place])
                if not self._taken(text):
                    return text
        raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")

    # Node ports

    def _node_ports(self, new: Service, old: Service | None) -> None:
        spec = new.spec
        mine = set(fields.node_ports(old)) if old is not None else set()
        wanted = spec.type == "NodePort" or spec.allocateLoadBalancerNodePorts is not False
        by_port: dict[int, int] = {port.port: port.nodePort for port in spec.ports if port.nodePort}
        taken: set[int] = set(mine)
        for place, port in enumerate(spec.ports):
            if not port.nodePort and wanted:
                # One number serves TCP and UDP of the same port.
                port.nodePort = by_port.get(port.port) or self._free_port(taken)
                by_port[port.port] = port.nodePort
            elif port.nodePort and port.nodePort not in taken:
                problem = self._port_problem(port.nodePort)
                if problem:
                    error = validation.invalid(f"spec.ports[{place}].nodePort", port.nodePort, problem)
                    raise status.invalid("Service", new.metadata.name, [error])
            taken.add(port.nodePort)

    def _health_port(self, new: Service, old: Service | None) -> None:
        spec = new.spec
        if not spec.healthCheckNodePort:
            spec.healthCheckNodePort = self._free_port(set(fields.node_ports(new)))
        elif old is None or spec.healthCheckNodePort not in fields.node_ports(old):
            problem = self._port_problem(spec.healthCheckNodePort)
            if problem:
                number = spec.healthCheckNodePort
                text = f"failed to allocate requested HealthCheck NodePort {number}: {problem}"
                raise status.internal(text)

    def _port_problem(self, port: int) -> str:
        first, last = self.ports
        if not first <= port <= last:
            return f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        return "provided port is already allocated" if port in self._used else ""

    def _free_port(self, taken: set[int]) -> int:
        first, last = self.ports
        static = min(max(16, (last - first + 1) // 32), 128)
        for _ in range(RANDOM_TRIES):
            port: int = rand.rng().randint(first + static, last)
            if port not in self._used and port not in taken:
                taken.add(port)
                return port
        for free in (range(first + static, last + 1), range(first, first + static)):
            ports = [port for port in free if port not in self._used and port not in taken]
            if ports:
                port = rand.rng().choice(ports)
                taken.add(port)
                return port
        raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")

    def wanted(self) -> dict[str, bytes]:
        """Every key that the Services should hold, with its value."""
        return {key: self.value(key, each) for each in self.caches.items(Service) for key in held(each)}


async def repair(store: Store, addresses: Addresses) -> None:
    """Make the held keys agree with the Services, at start: somebody may have deleted an IPAddress, say."""
    wanted = addresses.wanted()
    ports = await store.range(PORT_KEY, PORT_KEY[:-1] + "0")
    there = {entry.key for entry in ports.entries}
    managed = (ranges.MANAGED_BY, ranges.MANAGER)
    for address in addresses.caches.items(IPAddress):
        if managed in address.metadata.labels.items() or IP_KEY + address.metadata.name in wanted:
            there.add(IP_KEY + address.metadata.name)
    for key in sorted(wanted.keys() - there):
        await store.txn((Guard(key, 0),), (Op(key, wanted[key]),))
    for key in sorted(there - wanted.keys()):
        await store.txn((), (Op(key, None),))


def held(service: Service) -> Iterator[str]:
    """The keys that a Service holds."""
    for address in fields.cluster_ips(service):
        yield IP_KEY + address
    for port in fields.node_ports(service):
        yield f"{PORT_KEY}{port}"


def _key(service: Service) -> str:
    return f"{service.metadata.namespace}/{service.metadata.name}"
