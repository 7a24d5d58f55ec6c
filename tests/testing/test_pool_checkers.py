"""The rules for load balancers without a cloud, on histories of a few writes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.balancing import ANNOUNCED_BY, CLAIM, WANTED
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.history import Violation, WatchedStore
from kijabi.testing.liveness.pools import addresses, problems
from kijabi.testing.safety.cloud import CLEANUP
from kijabi.testing.safety.pools import AnnouncersReady, BalancersUnique, ShownAreClaimed
from tests.testing.histories import BORN, CONTROLLERS, LATER, Step, thing, write

IP, OTHER = "192.0.2.1", "192.0.2.2"


def service(name: str = "s", *shown: str, held: bool = True, kind: str = "LoadBalancer", local: bool = False) -> Step:
    """A write of a Service."""
    meta = {"finalizers": [CLEANUP] if held else []}
    spec = {"type": kind, "externalTrafficPolicy": "Local" if local else "Cluster", "selector": {"app": "a"}}
    status = {"loadBalancer": {"ingress": [{"ip": one} for one in shown]}}
    return (CONTROLLERS, f"Service {name}", thing("Service", name, metadata=meta, spec=spec, status=status))


def noted(step: Step, **notes: str) -> Step:
    """The same with annotations, of which `by` is who announces, `asked` which address is wanted."""
    actor, what, obj = step
    assert obj is not None
    names = {"by": ANNOUNCED_BY, "asked": WANTED}
    meta = {**obj["metadata"], "annotations": {names[key]: value for key, value in notes.items()}}
    return (actor, what, {**obj, "metadata": meta})


def claim(address: str = IP, of: str = "s", actor: str = CONTROLLERS) -> Step:
    meta = {"name": address, "uid": address, "creationTimestamp": BORN, "labels": {CLAIM: of}}
    parent = {"resource": "services", "namespace": "ns", "name": of}
    return (actor, f"IPAddress {address}", {"metadata": meta, "spec": {"parentRef": parent}})


def freed(address: str = IP) -> Step:
    return (CONTROLLERS, f"IPAddress {address}", None)


def node(ready: bool = True, **labels: str) -> Step:
    meta = {"name": "n1", "uid": "n1", "creationTimestamp": BORN, "labels": labels}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return ("a", "Node n1", {"metadata": meta, "status": {"conditions": conditions}})


def pod(ready: bool = True) -> Step:
    conditions: list[dict[str, Any]] = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": "Running", "conditions": conditions}
    return ("a", "Pod p", thing("Pod", "p", metadata={"labels": {"app": "a"}}, spec={"nodeName": "n1"}, status=status))


def tell(*steps: Step) -> list[str]:
    """Take the steps; what is not right then."""

    async def main() -> list[str]:
        store = WatchedStore(MemoryStore(), (BalancersUnique(), ShownAreClaimed(), AnnouncersReady()))
        for step in steps:
            await write(store, step)
        return list(problems(store.ledger))

    return simloop.run(main())


ANNOUNCED = noted(service("s", IP), by="n1")
WRONG: dict[str, tuple[str, list[Step]]] = {
    "two are shown one": (
        "BalancersUnique: .* as ns/s is",
        [service(), claim(), service("s", IP), service("t", IP)],
    ),
    "shown and not claimed": ("ShownAreClaimed: .* has claimed \\[\\]", [service(), service("s", IP)]),
    "another's": ("ShownAreClaimed", [service("t"), claim(of="t"), service(), service("s", IP)]),
    "claimed for nobody": ("ShownAreClaimed: .* nothing holds back", [claim()]),
    "claimed for one that may go": ("ShownAreClaimed: .* nothing holds back", [service(held=False), claim()]),
    "given back too early": ("ShownAreClaimed: .* given back", [service(), claim(), service("s", IP), freed()]),
    "announced by nobody": ("AnnouncersReady", [service(), claim(), service("s", IP), ANNOUNCED]),
    "announced by one that is away": (
        "AnnouncersReady",
        [node(), node(ready=False), LATER, service(), claim(), service("s", IP), ANNOUNCED],
    ),
}
RIGHT: dict[str, list[Step]] = {
    "an address comes and goes": [service(), claim(), service("s", IP), service(), freed()],
    "and is given to another": [
        *[service(), claim(), service("s", IP), service(), freed()],
        *[service("t"), claim(of="t"), service("t", IP)],
    ],
    "a claim that came when nobody expected it": [claim(actor=f"{CONTROLLERS} (late)"), freed()],
    "announced by one that was ready lately": [node(), node(ready=False), service(), claim(), ANNOUNCED],
}


@pytest.mark.parametrize(("rule", "steps"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=rule):
        tell(*steps)


@pytest.mark.parametrize("steps", RIGHT.values(), ids=RIGHT)
def test_what_is_right_passes(steps: list[Step]) -> None:
    tell(*steps)


TAKEN = [step for n, address in enumerate(sorted(addresses())) for step in (service(f"t{n}"), claim(address, f"t{n}"))]
UNREADY: dict[str, list[Step]] = {
    "which does not show it": [service(), claim()],
    "wants no balancer": [service(), claim(), service("s", IP), service("s", IP, kind="ClusterIP")],
    f"it asks for {OTHER}": [service(), claim(), service("s", IP), noted(service("s", IP), asked=OTHER)],
    "could be its own": [service()],
    "nobody announces": [node(), service(), claim(), service("s", IP)],
    "n1 announces": [node(), service(), claim(), ANNOUNCED, node(ready=False)],
    "n1 announces ['192.0.2.1'], which []": [
        *[node(), pod(), service(), claim(), noted(service("s", IP, local=True), by="n1")],
        pod(ready=False),
    ],
}
READY: dict[str, list[Step]] = {
    "an address, and who announces it": [node(), service(), claim(), ANNOUNCED],
    "where its pods are": [node(), pod(), service(), claim(), noted(service("s", IP, local=True), by="n1")],
    "no node is ready": [service(), claim(), service("s", IP)],
    "no type of its own": [service("s", kind="ClusterIP")],
}


@pytest.mark.parametrize(("text", "steps"), UNREADY.items(), ids=UNREADY)
def test_what_is_not_yet_right_is_said(text: str, steps: list[Step]) -> None:
    assert any(text in found for found in tell(*steps))


@pytest.mark.parametrize("steps", READY.values(), ids=READY)
def test_what_is_right_is_not_mentioned(steps: list[Step]) -> None:
    assert tell(*steps) == []


def test_who_asks_for_what_another_has_waits() -> None:
    found = tell(*TAKEN, noted(service(), asked=IP))
    assert not any("Service ns/s:" in text for text in found)
