"""As `test_broken.py`: controllers that are broken on purpose, in worlds that stand in a cloud."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerStatus, Service
from kijabi.controllers.cloud import node as nodes
from kijabi.controllers.cloud import nodelifecycle, route
from kijabi.controllers.cloud import service as balancers
from kijabi.controllers.cloud.interface import InstanceMetadata
from kijabi.controllers.cloud.node import CloudNodes
from kijabi.controllers.cloud.service import ServiceBalancers, Todo
from kijabi.testing.scenario import MILD, Scenario, Setting, Stuck, Violation
from kijabi.testing.wishes.clouds import Clouds
from tests.sim.test_broken import SEEDS, Patch, end

LONG = 150.0
"""Virtual seconds in which silent nodes are noticed."""


def found_out(text: str, storm: float = 40.0) -> bool:
    """Whether one of the seeds ends like this: a rule that is broken, or something that does not come true."""
    setting = Setting("small", 2, (Clouds,), 3, 1.5, storm, MILD)
    ends = (end(Scenario(seed, setting=setting), seed) for seed in SEEDS)
    return any(isinstance(error, Violation | Stuck) and text in str(error) for error in ends)


def test_a_controller_that_makes_balancers_anew(monkeypatch: Patch) -> None:
    right = ServiceBalancers._ensure

    async def anew(self: ServiceBalancers, key: str, service: Service, ready: list[Node]) -> None:
        await self.balancers.delete(service)
        await right(self, key, service, ready)

    monkeypatch.setattr(ServiceBalancers, "_ensure", anew)
    assert found_out("BalancersKept")


def test_a_controller_that_makes_balancers_before_it_says_so(monkeypatch: Patch) -> None:
    right = ServiceBalancers._ensure

    async def early(self: ServiceBalancers, key: str, service: Service, ready: list[Node]) -> None:
        await self.balancers.ensure(service, ready)
        await right(self, key, service, ready)

    monkeypatch.setattr(ServiceBalancers, "_ensure", early)
    assert found_out("BalancersHeld")


def test_a_controller_that_lets_go_before_it_has_tidied_up(monkeypatch: Patch) -> None:
    async def hasty(self: ServiceBalancers, service: Service) -> None:
        left = [name for name in service.metadata.finalizers if name != balancers.FINALIZER]
        await self._patch(service, {"metadata": {"finalizers": left}})
        await self.balancers.delete(service)

    monkeypatch.setattr(ServiceBalancers, "_delete", hasty)
    assert found_out("FinalizerUntilGone")


def test_a_controller_that_shows_everybody_the_same(monkeypatch: Patch) -> None:
    right = ServiceBalancers._write_status
    first: list[LoadBalancerStatus] = []

    async def confused(self: ServiceBalancers, service: Service, status: LoadBalancerStatus) -> Service:
        first.extend([status] if status.ingress else [])
        return await right(self, service, first[0] if status.ingress else status)

    monkeypatch.setattr(ServiceBalancers, "_write_status", confused)
    assert found_out("AddressesTold")


def test_a_controller_that_takes_the_silent_for_gone(monkeypatch: Patch) -> None:
    right = nodelifecycle.plan
    monkeypatch.setattr(nodelifecycle, "plan", lambda node, *, exists, off: right(node, exists=False, off=off))
    assert found_out("NodesOfMachinesStay", LONG)


def test_a_controller_that_takes_the_silent_for_asleep(monkeypatch: Patch) -> None:
    right = nodelifecycle.plan
    monkeypatch.setattr(nodelifecycle, "plan", lambda node, *, exists, off: right(node, exists=exists, off=True))
    assert found_out("SleepersMarked", LONG)


def test_a_controller_that_asks_for_no_zone(monkeypatch: Patch) -> None:
    right = nodes.initialised
    monkeypatch.setattr(nodes, "initialised", lambda node, found: right(node, replace(found, zone="")))
    assert found_out("NodesIntroduced")


def test_a_controller_that_makes_all_routes_anew(monkeypatch: Patch) -> None:
    right = route.plan

    def anew(nodes: Any, routes: Any, cidrs: Any) -> route.Plan:
        return right(nodes, (), cidrs)._replace(delete=tuple(routes))

    monkeypatch.setattr(route, "plan", anew)
    assert found_out("RoutesKept", LONG)


def test_a_controller_that_leads_packets_astray(monkeypatch: Patch) -> None:
    right = route.plan

    def astray(nodes: Any, routes: Any, cidrs: Any) -> route.Plan:
        todo = right(nodes, routes, cidrs)
        turned = tuple((replace(made, destination="10.244.77.0/24"), hint) for made, hint in todo.create)
        return todo._replace(create=turned)

    monkeypatch.setattr(route, "plan", astray)
    assert found_out("RoutesWanted")


def test_a_controller_that_tidies_up_only_after_the_deleted(monkeypatch: Patch) -> None:
    monkeypatch.setattr(balancers, "needs_cleanup", lambda service: service.metadata.deletionTimestamp is not None)
    right = balancers.plan

    def plan(service: Service, done: Any, now: Any) -> Todo:
        todo = right(service, done, now)
        return Todo.NOTHING if todo is Todo.DELETE and service.metadata.deletionTimestamp is None else todo

    monkeypatch.setattr(balancers, "plan", plan)
    assert found_out("its balancer is left")


def test_a_controller_that_looks_at_no_ports(monkeypatch: Patch) -> None:
    right = balancers.asked
    monkeypatch.setattr(
        balancers, "asked", lambda service: [one for one in right(service) if one != service.spec.ports]
    )
    assert found_out("it asks for")


def test_a_controller_that_overlooks_nodes(monkeypatch: Patch) -> None:
    right = balancers.plan

    def plan(service: Service, done: Any, now: Any) -> Todo:
        todo = right(service, done, now)
        return Todo.NOTHING if todo is Todo.UPDATE else todo

    monkeypatch.setattr(balancers, "plan", plan)
    assert found_out("its balancer is before")


def test_a_controller_that_keeps_addresses_to_itself(monkeypatch: Patch) -> None:
    async def silent(self: CloudNodes, node: Node, found: InstanceMetadata) -> None:
        return None

    monkeypatch.setattr(CloudNodes, "_show", silent)
    assert found_out("its addresses are")
