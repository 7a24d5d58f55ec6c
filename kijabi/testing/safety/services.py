"""Rules for Services."""

from __future__ import annotations

from kijabi.api.core.service import Service
from kijabi.testing.history import Change, Ledger


class ServiceAddressesUnique:
    """No two Services have one cluster IP or node port (core/v1 Service)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        service = change.new
        if change.resource.type is not Service or service is None:
            return None
        mine = _claims(service)
        for other in ledger.of(Service):
            both = mine & _claims(other) if other.metadata.uid != service.metadata.uid else None
            if both:
                return f"{sorted(both)} are {other.metadata.namespace}/{other.metadata.name}'s too"
        return None


def _claims(service: Service) -> set[str]:
    addresses = {ip for ip in service.spec.clusterIPs if ip != "None"}
    return addresses | {f"{port.protocol} {port.nodePort}" for port in service.spec.ports if port.nodePort}
