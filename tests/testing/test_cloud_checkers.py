"""The rules for the cloud controllers, on histories of a few writes and of what was asked of the cloud between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.cloud import SHUTDOWN, UNINITIALIZED
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeAddress
from kijabi.api.core.service import Service
from kijabi.controllers.cloud.interface import Route
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.history import Violation, WatchedStore
from kijabi.testing.liveness.cloud import problems
from kijabi.testing.safety.cloud import CLEANUP, REGION, TYPE, WatchedCloud, rules
from kijabi.testing.safety.zones import ZONE
from tests.testing.histories import BORN, CONTROLLERS, LATER, Step, thing, write

Deed = Callable[[WatchedCloud], object]
MACHINE = {ZONE: "a", REGION: "r", TYPE: "large"}
CIDR = "10.244.0.0/24"


def service(
    kind: str = "LoadBalancer", *, held: bool = True, shown: str = "", uid: str = "s", by: str = "a", **meta: Any
) -> Step:
    """A write of the Service s."""
    of = meta.pop("of", None)
    meta = {"uid": uid, "finalizers": [CLEANUP] if held else [], **meta}
    spec = {"type": kind, "ports": [{"port": 80}], "loadBalancerClass": of}
    status = {"loadBalancer": {"ingress": [{"ip": shown, "ipMode": "VIP"}]} if shown else {}}
    return (by, "Service s", thing("Service", "s", metadata=meta, spec=spec, status=status))


def node(*taints: str, by: str = "a", provider: str = "fake://n1", cidr: str = CIDR, **labels: str) -> Step:
    """A write of the Node n1."""
    addresses = [{"type": "InternalIP", "address": "172.30.0.1"}]
    return (
        by,
        "Node n1",
        {
            "metadata": {"name": "n1", "uid": "n1", "creationTimestamp": BORN, "labels": {**MACHINE, **labels}},
            "spec": {"taints": [{"key": key} for key in taints], "providerID": provider, "podCIDRs": [cidr]},
            "status": {"addresses": addresses},
        },
    )


def parsed(uid: str = "s") -> Service:
    return codec.from_builtins(Service, service(uid=uid)[2])


def ensure(cloud: WatchedCloud) -> None:
    cloud.ensure(parsed(), ())


def delete(cloud: WatchedCloud) -> None:
    cloud.delete(parsed())


ROUTE = Route(destination=CIDR, node="n1", addresses=(NodeAddress(type="InternalIP", address="172.30.0.1"),))


def route(cloud: WatchedCloud) -> None:
    cloud.route(ROUTE, "n1")


def unroute(cloud: WatchedCloud) -> None:
    cloud.unroute(ROUTE)


def lose(cloud: WatchedCloud) -> None:
    cloud.lose("n1")


def restore(cloud: WatchedCloud) -> None:
    cloud.restore("n1")


def tell(*steps: Step | Deed) -> list[str]:
    """Take the steps, in a cloud with the machine n1; what is not right then."""

    async def main() -> list[str]:
        store = WatchedStore(MemoryStore())
        cloud = WatchedCloud(store.ledger, store.broken)
        cloud.install("n1", "172.30.0.1", "a")
        store.checkers = rules(cloud)
        for step in steps:
            if callable(step):
                step(cloud)
            else:
                await write(store, step)
        return list(problems(store.ledger, cloud))

    return simloop.run(main())


GONE: Step = (CONTROLLERS, "Node n1", None)
WRONG: dict[str, tuple[str, list[Step | Deed]]] = {
    "a wanted balancer is deleted": ("BalancersKept: Service ns/s", [service(), ensure, LATER, delete]),
    "a balancer for nobody": ("BalancersHeld: .* not there", [ensure]),
    "a balancer for one that is gone": ("BalancersHeld: .* not there", [service(uid="other"), ensure]),
    "a balancer of one that may go": ("BalancersHeld: .* nothing holds it back", [service(held=False), ensure]),
    "a balancer that nobody wants": ("BalancersHeld: .* wants none", [service("NodePort"), LATER, ensure]),
    "a balancer of a class": ("BalancersHeld: .* wants none", [service(of="example.com/x"), LATER, ensure]),
    "let go too early": (
        "FinalizerUntilGone",
        [service(), ensure, service("NodePort"), service("NodePort", held=False, by=CONTROLLERS)],
    ),
    "gone too early": (
        "FinalizerUntilGone",
        [service(), ensure, service(deletionTimestamp=BORN), (CONTROLLERS, "Service s", None)],
    ),
    "an address of nobody": ("AddressesTold", [service(), service(shown="203.0.113.1", by=CONTROLLERS)]),
    "an address of another": ("AddressesTold", [service(), ensure, service(shown="203.0.113.2", by=CONTROLLERS)]),
    "a node of a machine that is there": ("NodesOfMachinesStay", [node(), GONE]),
    "a node of a machine that has long been back": ("NodesOfMachinesStay", [node(), lose, restore, LATER, GONE]),
    "a machine of another name": (
        "NodesIntroduced",
        [node(UNINITIALIZED), node(by=CONTROLLERS, provider="")],
    ),
    "a zone that the cloud does not say": (
        "NodesIntroduced",
        [node(UNINITIALIZED), node(by=CONTROLLERS, **{ZONE: "b"})],
    ),
    "a node that is not asleep": ("SleepersMarked", [node(), node(SHUTDOWN, by=CONTROLLERS)]),
    "a route that is right": ("RoutesKept: Node /n1", [node(), route, LATER, unroute]),
    "a route to another's pods": ("RoutesWanted: Node /n1", [node(cidr="10.244.9.0/24"), LATER, route]),
}
RIGHT: dict[str, list[Step | Deed]] = {
    "a balancer comes and goes": [
        service(held=False),
        service(by=CONTROLLERS),
        ensure,
        service(shown="203.0.113.1", by=CONTROLLERS),
        LATER,
        service(shown="203.0.113.1", deletionTimestamp=BORN),
        delete,
        service(deletionTimestamp=BORN, by=CONTROLLERS),
        (CONTROLLERS, "Service s", None),
    ],
    "it is wanted again, which nobody knows yet": [service(), ensure, service("NodePort"), service(), delete],
    "it is not wanted any more, which nobody knows yet": [service(), service("NodePort"), ensure],
    "somebody else takes the finalizer away": [service(), ensure, service(held=False)],
    "a machine is back, which nobody knows yet": [node(), lose, restore, GONE],
    "somebody else deletes the node": [node(), ("a", "Node n1", None)],
    "a node is introduced": [node(UNINITIALIZED, provider="", **{ZONE: ""}), node(by=CONTROLLERS)],
    "a node falls asleep": [node(), lambda cloud: cloud.switch_off("n1"), node(SHUTDOWN, by=CONTROLLERS)],
    "it has been awake for a moment": [
        node(),
        lambda cloud: cloud.switch_off("n1"),
        lambda cloud: cloud.switch_on("n1"),
        node(SHUTDOWN, by=CONTROLLERS),
    ],
    "a route follows its node": [node(), route, node(cidr="10.244.9.0/24"), unroute],
    "a route of a node that was another lately": [node(), LATER, route, ("a", "Node n1", None), node(), unroute],
    "a route that is there no more is removed": [node(), LATER, unroute],
}


@pytest.mark.parametrize(("rule", "steps"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_found(rule: str, steps: list[Step | Deed]) -> None:
    with pytest.raises(Violation, match=rule):
        tell(*steps)


@pytest.mark.parametrize("steps", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(steps: list[Step | Deed]) -> None:
    tell(*steps)


def test_what_has_changed_too_often_is_not_judged() -> None:
    often = [node("x", by=CONTROLLERS), node(by=CONTROLLERS)] * 8
    tell(node(), LATER, route, *often, unroute)


UNREADY: dict[str, list[Step | Deed]] = {
    "it has no balancer": [service()],
    "its balancer is left": [service(), ensure, service("NodePort")],
    "a balancer is left of Service s": [service(), ensure, ("a", "Service s", None)],
    "nothing holds it back": [service(), ensure, service(held=False)],
    "it asks for": [service(), lambda cloud: cloud.ensure(Service(metadata=parsed().metadata), ())],
    "its balancer is before []": [node(), service(), ensure],
    "it is shown []": [service(), ensure],
    "node n1: is not there": [],
    "it shows ('', ": [node(provider="")],
    "its addresses are": [node()],
    "nothing says that it has its routes": [node()],
    "the routes are []": [node()],
}


@pytest.mark.parametrize(("text", "steps"), UNREADY.items(), ids=UNREADY)
def test_what_is_not_yet_right_is_said(text: str, steps: list[Step | Deed]) -> None:
    assert any(text in found for found in tell(*steps))


def test_what_is_right_is_not_mentioned() -> None:
    def made(cloud: WatchedCloud) -> None:
        cloud.route(ROUTE, "n1")
        cloud.ensure(parsed(), (codec.from_builtins(Node, node()[2]),))

    actor, what, known = node()
    assert known is not None
    outside = {"type": "ExternalIP", "address": "198.51.100.1"}
    routed = {"type": "NetworkUnavailable", "status": "False"}
    known["status"] = {"addresses": [*known["status"]["addresses"], outside], "conditions": [routed]}
    steps: list[Step | Deed] = [(actor, what, known), service(), made, service(shown="203.0.113.1", by=CONTROLLERS)]
    assert tell(*steps) == []
