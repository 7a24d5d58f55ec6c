"""The names of a cluster and what they resolve to: pure, rebuilt per Service, asked per question.

Source: Kubernetes DNS-Based Service Discovery, specification version 1.1.0. `app` calls `set_service` and
`remove_service` with what the informers show; `server` calls `lookup`. Names are lower case, without the final dot.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import Endpoint, EndpointSlice

SPECIFICATION = "1.1.0"
TTL = 5  # seconds
PRIORITY, WEIGHT = 0, 100


class Record(msgspec.Struct, frozen=True):
    """One resource record: its type (A, AAAA, SRV, PTR, CNAME, TXT) and data in presentation format."""

    name: str
    type: str
    data: str


class Answer(msgspec.Struct, frozen=True):
    """What a name has of a type. exists: the name is there, maybe with other types (else NXDOMAIN).

    extra: addresses of the names that SRV records point to.
    """

    exists: bool
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()


NOTHING = Answer(False)
EMPTY = Answer(True)


def reverse_name(address: str) -> str:
    """The name that a PTR question asks for: `1.0.96.10.in-addr.arpa`."""
    return ipaddress.ip_address(address).reverse_pointer


def _address_record(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _serves(endpoint: Endpoint, service: Service) -> bool:
    """Ready endpoints have names; so have all where the Service publishes those that are not ready."""
    return service.spec.publishNotReadyAddresses or endpoint.conditions.ready is not False


def _host_label(endpoint: Endpoint, address: str) -> str:
    """An endpoint's own label: its hostname, else its address with dashes."""
    return endpoint.hostname or address.replace(".", "-").replace(":", "-")


def service_records(service: Service, slices: Iterable[EndpointSlice], domain: str) -> list[Record]:
    """Every record of one Service."""
    meta, spec = service.metadata, service.spec
    name = f"{meta.name}.{meta.namespace}.svc.{domain}"
    if spec.type == "ExternalName":
        return [Record(name, "CNAME", spec.externalName.rstrip(".") + ".")] if spec.externalName else []
    if spec.clusterIP in ("", "None"):
        return _headless(name, service, slices) if spec.clusterIP == "None" else []
    records: list[Record] = []
    for address in spec.clusterIPs or (spec.clusterIP,):
        records.append(_address_record(name, address))
        records.append(Record(reverse_name(address), "PTR", f"{name}."))
    for port in spec.ports:
        if port.name:
            label = f"_{port.name}._{(port.protocol or 'TCP').lower()}.{name}"
            records.append(Record(label, "SRV", f"{PRIORITY} {WEIGHT} {port.port} {name}."))
    return records


def _headless(name: str, service: Service, slices: Iterable[EndpointSlice]) -> list[Record]:
    found: dict[Record, None] = {}
    for slice_ in slices:
        for endpoint in slice_.endpoints:
            if not _serves(endpoint, service):
                continue
            for address in endpoint.addresses:
                host = f"{_host_label(endpoint, address)}.{name}"
                found[_address_record(name, address)] = None
                found[_address_record(host, address)] = None
                found[Record(reverse_name(address), "PTR", f"{host}.")] = None
                for port in slice_.ports:
                    if port.name and port.port is not None:
                        label = f"_{port.name}._{(port.protocol or 'TCP').lower()}.{name}"
                        found[Record(label, "SRV", f"{PRIORITY} {WEIGHT} {port.port} {host}.")] = None
    return list(found)


def _ancestors(name: str, domain: str) -> Iterator[str]:
    """The names between a name and the zone's top: they exist too (RFC 8020)."""
    while name != domain and "." in name:
        name = name.partition(".")[2]
        yield name


class Records:
    """All names of the cluster, indexed. Answers are in the order in which Services were set."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self._of_service: dict[str, tuple[Record, ...]] = {}
        self._by_name: dict[str, list[Record]] = {}
        self._below: dict[str, int] = {}
        for record in (
            Record(f"dns-version.{domain}", "TXT", f'"{SPECIFICATION}"'),
            Record(domain, "NS", f"ns.dns.{domain}."),
        ):
            self._add(record)
        for top in ("svc", "pod"):
            self._below[f"{top}.{domain}"] = 1

    def set_service(self, key: str, records: Sequence[Record]) -> None:
        """Replace the records of a Service (`namespace/name`)."""
        new = tuple(records)
        if self._of_service.get(key) == new:
            return
        self.remove_service(key)
        self._of_service[key] = new
        for record in new:
            self._add(record)

    def remove_service(self, key: str) -> None:
        for record in self._of_service.pop(key, ()):
            self._remove(record)

    def _add(self, record: Record) -> None:
        self._by_name.setdefault(record.name, []).append(record)
        for name in _ancestors(record.name, self.domain):
            self._below[name] = self._below.get(name, 0) + 1

    def _remove(self, record: Record) -> None:
        here = self._by_name[record.name]
        here.remove(record)
        if not here:
            del self._by_name[record.name]
        for name in _ancestors(record.name, self.domain):
            self._below[name] -= 1
            if not self._below[name]:
                del self._below[name]

    def covers(self, name: str) -> bool:
        """Whether this server is the authority for a name; all others are forwarded."""
        if name == self.domain or name.endswith(f".{self.domain}"):
            return True
        return name.endswith(".arpa") and name in self._by_name

    def lookup(self, name: str, type_: str) -> Answer:
        """What a name has. A CNAME answers for every type; `ANY` gives everything."""
        here = self._by_name.get(name)
        if here is None:
            pod = self._pod(name, type_)
            return pod if pod is not None else EMPTY if name in self._below or name == self.domain else NOTHING
        records = tuple(r for r in here if type_ in (r.type, "ANY") or r.type == "CNAME")
        extra: list[Record] = []
        if type_ == "SRV":
            for record in records:
                target = record.data.rsplit(" ", 1)[1].rstrip(".")
                extra += [r for r in self._by_name.get(target, ()) if r.type in ("A", "AAAA") and r not in extra]
        return Answer(True, records, tuple(extra))

    def _pod(self, name: str, type_: str) -> Answer | None:
        """`10-244-1-5.NAMESPACE.pod.DOMAIN` is that address, as the specification's pod records are."""
        label, _, rest = name.partition(".")
        namespace, _, zone = rest.partition(".")
        if not namespace or zone != f"pod.{self.domain}":
            return EMPTY if rest == f"pod.{self.domain}" else None
        for text in (label.replace("-", "."), label.replace("-", ":")):
            try:
                address = str(ipaddress.ip_address(text))
            except ValueError:
                continue
            record = _address_record(name, address)
            return Answer(True, (record,) if type_ in (record.type, "ANY") else ())
        return NOTHING
