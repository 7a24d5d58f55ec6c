"""As `test_broken.py`: controllers that are broken on purpose, where load balancers have addresses of a pool."""

from __future__ import annotations

from typing import Any

from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.controllers.cloud.bare import announce, claims
from kijabi.controllers.cloud.bare.claims import Claims, Reclaimer
from kijabi.controllers.cloud.bare.pool import Pool
from kijabi.controllers.cloud.service import ServiceBalancers
from kijabi.testing.scenario import MILD, Scenario, Setting, Stuck, Violation
from kijabi.testing.wishes.clouds import Pools
from tests.sim.test_broken import SEEDS, Patch, end


def found_out(text: str) -> bool:
    """Whether one of the seeds ends like this: a rule that is broken, or something that does not come true."""
    setting = Setting("small", 2, (Pools,), 4, 1.0, 40.0, MILD)
    ends = (end(Scenario(seed, setting=setting), seed) for seed in SEEDS)
    return any(isinstance(error, Violation | Stuck) and text in str(error) for error in ends)


def test_a_provider_that_takes_what_others_have(monkeypatch: Patch) -> None:
    right = Claims.claim

    async def greedy(self: Claims, service: Service, address: str) -> bool:
        return await right(self, service, address) or True

    monkeypatch.setattr(Claims, "claim", greedy)
    assert found_out("BalancersUnique")


def test_a_provider_that_claims_nothing(monkeypatch: Patch) -> None:
    async def trusting(self: Claims, service: Service, address: str) -> bool:
        self.pool.take(address)
        return True

    monkeypatch.setattr(Claims, "claim", trusting)
    assert found_out("ShownAreClaimed: it is shown")


def test_a_provider_that_claims_before_it_says_so(monkeypatch: Patch) -> None:
    right = ServiceBalancers._ensure

    async def early(self: ServiceBalancers, key: str, service: Service, ready: list[Node]) -> None:
        await self.balancers.ensure(service, ready)
        await right(self, key, service, ready)

    monkeypatch.setattr(ServiceBalancers, "_ensure", early)
    assert found_out("ShownAreClaimed: it is claimed for a Service that nothing holds back")


def test_a_reclaimer_that_is_in_a_hurry(monkeypatch: Patch) -> None:
    def hasty(claim: Any, service: Service | None, giving: str = "") -> bool:
        return service is not None and not claims.shown(service)

    monkeypatch.setattr(claims, "needed", hasty)
    assert found_out("ShownAreClaimed: it is given back")


def test_a_reclaimer_that_is_idle(monkeypatch: Patch) -> None:
    async def idle(self: Reclaimer, key: str) -> float | None:
        return None

    monkeypatch.setattr(Reclaimer, "reconcile", idle)
    assert found_out("which does not show it")


def test_a_pool_that_forgets_what_was_given_back(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Pool, "give_back", lambda self, address: None)
    assert found_out("could be its own")


def test_an_announcer_that_knows_no_nodes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(announce, "plan", lambda address, *_: f"node-of-{address}" if address else "")
    assert found_out("AnnouncersReady")


def test_an_announcer_that_is_silent(monkeypatch: Patch) -> None:
    monkeypatch.setattr(announce, "plan", lambda *_: "")
    assert found_out("nobody announces")
