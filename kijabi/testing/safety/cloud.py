"""Rules for what the cloud controllers do in a cloud, and for what they say about it.

What is asked of the cloud, `WatchedCloud` judges; what is written, the checkers of `rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from kijabi.api.core.cloud import SHUTDOWN, UNINITIALIZED
from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerStatus, Service
from kijabi.base import clock
from kijabi.controllers.cloud.interface import InstanceMetadata, Route
from kijabi.testing.cloud import FakeCloud
from kijabi.testing.history import REMEMBERED, Change, Checker, Ledger
from kijabi.testing.safety.facts import CONTROLLERS, STALE
from kijabi.testing.safety.zones import ZONE

REGION = "topology.kubernetes.io/region"
TYPE = "node.kubernetes.io/instance-type"
CLEANUP = "service.kubernetes.io/load-balancer-cleanup"
SLOW = 30.0
"""Virtual seconds that the cloud's answers to one reconciliation may take, after its look at the caches."""
PAST = STALE + SLOW
"""Virtual seconds after which nobody acts on what was so before them."""


def wants(service: Service) -> bool:
    """It is to have a balancer of this cloud (core/v1 ServiceSpec.loadBalancerClass: of none, the cloud's)."""
    spec = service.spec
    return spec.type == "LoadBalancer" and spec.loadBalancerClass is None and service.metadata.deletionTimestamp is None


class WatchedCloud(FakeCloud):
    """A cloud that looks at what it is asked, when it is done. `judged` counts how often each of these rules was put
    to the test. broken: told what is wrong.

    BalancersKept: none is deleted while its Service has been wanting it for as long as anybody may know (KEP-980).
    BalancersHeld: none is made but for a Service that is there with the finalizer, and wants it (KEP-980).
    RoutesKept: none is removed while its node has been having it, and its addresses. RoutesWanted: none is made but for
    a range that is the node's (k8s.io/cloud-provider, controllers/route).
    """

    def __init__(self, ledger: Ledger, broken: Callable[[str], None]) -> None:
        super().__init__()
        self.judged = Counter[str](BalancersKept=0, BalancersHeld=0, RoutesKept=0, RoutesWanted=0)
        self._ledger = ledger
        self._broken = broken
        self._missed: dict[str, float] = {}  # when a machine was missing last
        self._slept: dict[str, float] = {}  # when it was off last

    # ---- what has been so

    def missing(self, name: str) -> bool:
        """Whether a machine is not there, or was not lately."""
        return name not in self.machines or clock.monotonic() - self._missed.get(name, -PAST) < PAST

    def asleep(self, name: str) -> bool:
        """Whether a machine is off, or was lately."""
        return name in self.off or clock.monotonic() - self._slept.get(name, -PAST) < PAST

    def known(self, name: str) -> InstanceMetadata | None:
        """What there is to know about a machine, or was before it was lost."""
        return self.machines.get(name) or self.lost.get(name)

    def restore(self, name: str) -> None:
        """See FakeCloud."""
        super().restore(name)
        self._missed[name] = clock.monotonic()

    def switch_on(self, name: str) -> None:
        """See FakeCloud."""
        super().switch_on(name)
        self._slept[name] = clock.monotonic()

    # ---- what is asked

    def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        """See LoadBalancers."""
        if service.metadata.uid not in self.balancers:
            self._judge("BalancersHeld", service.metadata.uid, self._unheld(service))
        return super().ensure(service, nodes)

    def _unheld(self, service: Service) -> str:
        found = self._present(service)
        if found is None:
            return "a balancer is made for it, and it is not there"
        if CLEANUP not in found.metadata.finalizers:
            return "a balancer is made for it, and nothing holds it back until that is gone"
        forms = lately(self._ledger, "services", found)
        wanted = forms is None or any(one and wants(one) for one in forms)
        return "" if wanted else "a balancer is made for it, and it wants none"

    def delete(self, service: Service) -> None:
        """See LoadBalancers."""
        found = self._present(service)
        forms = lately(self._ledger, "services", found) if found is not None else None
        if service.metadata.uid in self.balancers:
            kept = forms is not None and all(one is None or wants(one) for one in forms)
            self._judge(
                "BalancersKept", service.metadata.uid, "its balancer is deleted, which it wants" if kept else ""
            )
        super().delete(service)

    def route(self, route: Route, hint: str) -> None:
        """See FakeCloud."""
        forms = self._nodes(route)
        strange = forms is not None and not any(one and route.destination in one.spec.podCIDRs for one in forms)
        self._judge("RoutesWanted", route.node, f"{route.destination} is led to it, not its own" if strange else "")
        super().route(route, hint)

    def unroute(self, route: Route) -> None:
        """See FakeCloud."""
        if route.destination in self.routed:
            forms = self._nodes(route)
            kept = forms is not None and all(one and _right(route, one) for one in forms)
            self._judge("RoutesKept", route.node, f"its route to {route.destination} is removed" if kept else "")
        super().unroute(route)

    def _present(self, service: Service) -> Service | None:
        """A Service as it is, unless it is another by now."""
        meta = service.metadata
        found = self._ledger.get(Service, meta.name, meta.namespace)
        return found if found is not None and found.metadata.uid == meta.uid else None

    def _nodes(self, route: Route) -> list[Any] | None:
        node = self._ledger.get(Node, route.node)
        return lately(self._ledger, "nodes", node) if node is not None else None

    def _judge(self, rule: str, of: str, wrong: str) -> None:
        self.judged[rule] += 1
        if wrong:
            kind, namespace, name = self._ledger.uids.get(of, ("Node", "", of))
            self._broken(f"{rule}: {kind} {namespace}/{name}: {wrong}")


def _right(route: Route, node: Node) -> bool:
    return route.destination in node.spec.podCIDRs and route.addresses == node.status.addresses


def lately(ledger: Ledger, resource: str, obj: Any) -> list[Any] | None:
    """What an object has been in the time that caches may be of, None where it was not there or another; None for all
    where that is not remembered."""
    meta = obj.metadata
    changes = list(
        ledger.recent[f"{resource} {meta.namespace}/{meta.name}" if meta.namespace else f"{resource} {meta.name}"]
    )
    since = clock.monotonic() - PAST
    if changes[0].time > since and (len(changes) == REMEMBERED or changes[0].old is not None):
        return None
    before = [None] if changes[0].time > since else []
    ends = (*(change.time for change in changes[1:]), float("inf"))
    forms = [change.new for change, end in zip(changes, ends, strict=True) if end > since]
    return [*before, *(one if one is not None and one.metadata.uid == meta.uid else None for one in forms)]


class FinalizerUntilGone:
    """The controllers take the finalizer from a Service only when its balancer is gone (KEP-980). `judged` counts how
    often they do."""

    def __init__(self, cloud: WatchedCloud) -> None:
        self.judged = 0
        self._cloud = cloud

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Service or old is None or not change.actor.startswith(CONTROLLERS):
            return None
        if CLEANUP not in old.metadata.finalizers or (new is not None and CLEANUP in new.metadata.finalizers):
            return None
        self.judged += 1
        return "it is let go, and its balancer is still there" if old.metadata.uid in self._cloud.balancers else None


class AddressesTold:
    """A Service is shown addresses only that its own balancer has (core/v1 LoadBalancerStatus). As the cloud gives each
    to one balancer, no two Services are shown the same one. `judged` counts the times that one is shown."""

    def __init__(self, cloud: WatchedCloud) -> None:
        self.judged = 0
        self._cloud = cloud

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Service or new is None or not change.actor.startswith(CONTROLLERS):
            return None
        shown = {one.ip for one in new.status.loadBalancer.ingress}
        if not shown or (old is not None and old.status.loadBalancer == new.status.loadBalancer):
            return None
        self.judged += 1
        has = self._cloud.balancers.get(new.metadata.uid)
        if has is not None and shown == {has.address}:
            return None
        return f"it is shown {sorted(shown)}, its balancer has {has.address if has is not None else 'gone'}"


class NodesOfMachinesStay:
    """The controllers delete a Node only when its machine does not exist, as far as they may know, and it is not ready
    (concepts/architecture/cloud-controller, node controller). `judged` counts such deletions."""

    def __init__(self, cloud: WatchedCloud) -> None:
        self.judged = 0
        self._cloud = cloud

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Node or change.new is not None or not change.actor.startswith(CONTROLLERS):
            return None
        self.judged += 1
        name = change.old.metadata.name
        return None if self._cloud.missing(name) else "it is deleted, and its machine has been there"


class NodesIntroduced:
    """A node ceases to wait when it shows the machine, zone, region and type that the cloud says (KEP-2392,
    `node.cloudprovider.kubernetes.io/uninitialized`). `judged` counts the nodes that do."""

    def __init__(self, cloud: WatchedCloud) -> None:
        self.judged = 0
        self._cloud = cloud

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Node or old is None or new is None or not change.actor.startswith(CONTROLLERS):
            return None
        if not _has(old, UNINITIALIZED) or _has(new, UNINITIALIZED):
            return None
        self.judged += 1
        return introduced(new, self._cloud)


class SleepersMarked:
    """A node is marked as shut down only when its machine is, or was lately (k8s.io/cloud-provider,
    controllers/nodelifecycle). `judged` counts the marks."""

    def __init__(self, cloud: WatchedCloud) -> None:
        self.judged = 0
        self._cloud = cloud

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Node or old is None or new is None or not change.actor.startswith(CONTROLLERS):
            return None
        if _has(old, SHUTDOWN) or not _has(new, SHUTDOWN):
            return None
        self.judged += 1
        return None if self._cloud.asleep(new.metadata.name) else "it is marked as shut down, and its machine has run"


def introduced(node: Node, cloud: WatchedCloud) -> str | None:
    """What a node says otherwise about its machine than the cloud, addresses apart; None if nothing."""
    machine = cloud.known(node.metadata.name)
    if machine is None:
        return "there is no machine of its name"
    labels = node.metadata.labels
    wanted = (machine.provider_id, machine.zone, machine.region, machine.instance_type)
    shown = (node.spec.providerID, labels.get(ZONE), labels.get(REGION), labels.get(TYPE))
    return f"it shows {shown}, the cloud says {wanted}" if shown != wanted else None


def _has(node: Node, key: str) -> bool:
    return any(taint.key == key for taint in node.spec.taints)


def rules(cloud: WatchedCloud) -> tuple[Checker, ...]:
    """The checkers of a world that is in a cloud."""
    return (
        FinalizerUntilGone(cloud),
        AddressesTold(cloud),
        NodesOfMachinesStay(cloud),
        NodesIntroduced(cloud),
        SleepersMarked(cloud),
    )
