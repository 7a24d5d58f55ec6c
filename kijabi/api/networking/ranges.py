"""Ranges of Service addresses as networks: what the API server's allocator and the controller of ranges both ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from kijabi.api.networking.servicecidr import READY, ServiceCIDR

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FAMILY = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
ALLOCATED = f"{MANAGED_BY}={MANAGER}"


def is_ready(one: ServiceCIDR) -> bool:
    """It may be used; one of which nobody has said anything may be, too."""
    return all(condition.status == "True" for condition in one.status.conditions if condition.type == READY)


def networks(one: ServiceCIDR) -> tuple[Network, ...]:
    """Its networks; what is none is left out."""
    found = []
    for text in one.spec.cidrs:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            continue
    return tuple(found)


def addresses_in(text: str, among: Iterable[Network]) -> bool:
    """Whether an address is one that a Service can have of one of the networks."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(given(address, network) for network in among)


def given(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    """Whether the network gives this address: its first, and of IPv4 its last, are nobody's."""
    if address not in network or address == network.network_address:
        return False
    return network.version == 6 or address != network.broadcast_address
