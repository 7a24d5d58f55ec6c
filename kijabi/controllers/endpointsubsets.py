"""Subsets of Endpoints in their one canonical form: each set of addresses once, with all ports that it serves.

Pure; `endpoints.py` writes Endpoints in this form, `endpointslicemirroring.py` reads what users wrote through it
(core/v1 EndpointSubset; k8s.io/kubernetes `pkg/api/v1/endpoints`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kijabi.api.core.endpoints import EndpointAddress, EndpointPort, EndpointSubset
from kijabi.controllers.backends import Port


class Entry(NamedTuple):
    """One address at one port (None: it has none), and whether it is ready there."""

    address: EndpointAddress
    port: Port | None
    ready: bool


_Key = tuple[str, str]  # an address is another if another pod has it


def _key(address: EndpointAddress) -> _Key:
    return (address.ip, address.targetRef.uid if address.targetRef is not None else "")


def entries(subsets: Iterable[EndpointSubset]) -> Iterator[Entry]:
    """What subsets say, one by one."""
    for subset in subsets:
        ports = [Port(p.name, p.protocol or "TCP", p.port, p.appProtocol) for p in subset.ports]
        for port in ports or (None,):
            yield from (Entry(address, port, True) for address in subset.addresses)
            yield from (Entry(address, port, False) for address in subset.notReadyAddresses)


def repack(found: Iterable[Entry]) -> tuple[EndpointSubset, ...]:
    """The subsets that say this, all in order. What is said not to be ready is not, whatever else is said."""
    addresses: dict[_Key, EndpointAddress] = {}
    by_port: dict[Port | None, dict[_Key, bool]] = {}
    for entry in found:
        key = _key(entry.address)
        addresses.setdefault(key, entry.address)
        ready = by_port.setdefault(entry.port, {})
        ready[key] = entry.ready and ready.get(key, True)
    groups: dict[frozenset[tuple[_Key, bool]], list[Port]] = {}
    for port, ready in by_port.items():
        groups.setdefault(frozenset(ready.items()), []).extend(() if port is None else (port,))
    made = []
    for group, served in groups.items():
        ports = tuple(sorted(served, key=port_order))
        good, bad = (
            tuple(addresses[key] for key in sorted((k for k, is_ready in group if is_ready is wanted), key=_order))
            for wanted in (True, False)
        )
        made.append((ports, good, bad))
    made.sort(
        key=lambda each: ([port_order(port) for port in each[0]], [_order(_key(one)) for one in each[1] + each[2]])
    )
    return tuple(EndpointSubset(addresses=good, notReadyAddresses=bad, ports=_wire(ports)) for ports, good, bad in made)


def _wire(ports: Iterable[Port]) -> tuple[EndpointPort, ...]:
    return tuple(EndpointPort(name=p.name, port=p.port, protocol=p.protocol, appProtocol=p.appProtocol) for p in ports)


def port_order(port: Port) -> tuple[str, str, int, str]:
    """Ports in order: by name first."""
    return (port.name, port.protocol, port.port, port.appProtocol or "")


def _order(key: _Key) -> tuple[bytes, str, str]:
    """Addresses by number; what is none comes first."""
    try:
        return (ipaddress.ip_address(key[0]).packed, *key)
    except ValueError:
        return (b"", *key)
