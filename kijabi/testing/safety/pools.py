"""Rules for load balancers without a cloud: who is shown which address of a pool, who claims it, who announces it."""

from __future__ import annotations

from kijabi.api.core.balancing import ANNOUNCED_BY, CLAIM
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.cloud import CLEANUP, lately
from kijabi.testing.safety.facts import CONTROLLERS


def shown(service: Service) -> set[str]:
    """The addresses that a Service tells the world."""
    return {one.ip for one in service.status.loadBalancer.ingress if one.ip}


def holder(claim: IPAddress) -> str:
    """The uid of the Service whose load balancer has an address, "" if it is not of a pool."""
    return claim.metadata.labels.get(CLAIM, "")


class BalancersUnique:
    """No two Services are ever shown one address, whatever comes late (core/v1 LoadBalancerStatus). `judged` counts the
    times that one is shown."""

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Service or new is None or not shown(new):
            return None
        if old is not None and shown(old) == shown(new):
            return None
        self.judged += 1
        for other in ledger.of(Service):
            if other.metadata.uid != new.metadata.uid and shown(other) & shown(new):
                return f"it is shown {sorted(shown(new))}, as {other.metadata.namespace}/{other.metadata.name} is"
        return None


class ShownAreClaimed:
    """A Service is shown only addresses that it has claimed, and keeps each claim until it is not shown the address any
    more (networking.k8s.io/v1 IPAddress: there is one of a name). It claims only while the finalizer holds it back
    (KEP-980). `judged` counts claims and addresses shown.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if not change.actor.startswith(CONTROLLERS):
            return None
        if change.resource.type is Service and change.new is not None:
            return self._service(change, ledger)
        if change.resource.type is IPAddress and holder(change.obj):
            return self._claim(change, ledger)
        return None

    def _service(self, change: Change, ledger: Ledger) -> str | None:
        new = change.new
        if not shown(new) or (change.old is not None and shown(change.old) == shown(new)):
            return None
        self.judged += 1
        mine = {one.metadata.name for one in ledger.of(IPAddress) if holder(one) == new.metadata.uid}
        return f"it is shown {sorted(shown(new))}, and has claimed {sorted(mine)}" if shown(new) - mine else None

    def _claim(self, change: Change, ledger: Ledger) -> str | None:
        parent = change.obj.spec.parentRef
        service = ledger.get(Service, parent.name, parent.namespace) if parent is not None else None
        mine = service is not None and service.metadata.uid == holder(change.obj)
        self.judged += 1
        if change.old is None and not change.late:
            held = service is not None and mine and CLEANUP in service.metadata.finalizers
            return None if held else "it is claimed for a Service that nothing holds back"
        if change.new is None and service is not None and mine and change.old.metadata.name in shown(service):
            return "it is given back while its Service is shown it"
        return None


class AnnouncersReady:
    """An address is announced by a node that is there and ready, or was lately. `judged` counts the nodes chosen."""

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Service or new is None or not change.actor.startswith(CONTROLLERS):
            return None
        name = new.metadata.annotations.get(ANNOUNCED_BY, "")
        if not name or (old is not None and old.metadata.annotations.get(ANNOUNCED_BY) == name):
            return None
        self.judged += 1
        node = ledger.get(Node, name)
        forms = lately(ledger, "nodes", node) if node is not None else []
        if forms is None or any(one and ready(one) for one in forms):
            return None
        return f"{name} is to announce {sorted(shown(new))}, which has not been ready"


def ready(node: Node) -> bool:
    """Its Ready condition is true."""
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions)
