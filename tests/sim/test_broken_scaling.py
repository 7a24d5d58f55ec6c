"""As `test_broken.py`: components that are broken on purpose, of autoscaling."""

from __future__ import annotations

from kijabi.controllers.horizontalpodautoscaler import pace, plan, proposals
from kijabi.testing.scenario import Stuck, Violation
from kijabi.testing.wishes.autoscalers import Autoscalers
from kijabi.testing.wishes.deployments import Deployments
from tests.sim.test_broken import Patch, found_out


def test_an_autoscaler_that_knows_no_bounds(monkeypatch: Patch) -> None:
    monkeypatch.setattr(pace, "paced", lambda history, current, desired, *_: (desired, pace.WITHIN))
    assert found_out(Violation, "ScaledWithinBounds", Deployments, Autoscalers)


def test_an_autoscaler_that_is_content_with_what_there_is(monkeypatch: Patch) -> None:
    right = proposals.propose
    monkeypatch.setattr(plan, "propose", lambda asked, *rest: right(asked, *rest)._replace(replicas=asked.wanted))
    assert found_out(Stuck, "of what they should", Deployments, Autoscalers)


def test_an_autoscaler_that_turns_itself_on(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan._Step, "_unmeasured", lambda self: self._end(self.least, ""))
    assert found_out(Violation, "turns its autoscaler off", Deployments, Autoscalers)
