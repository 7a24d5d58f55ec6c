"""PodDisruptionBudgets: how many pods may be evicted now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kijabi.api import catalog
from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.meta import LabelSelector, ObjectMeta, Time
from kijabi.api.policy.eviction import Eviction
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget, PodDisruptionBudgetSpec
from kijabi.base.errors import ApiError, TooManyRequests
from kijabi.controllers import pods as podlib
from kijabi.controllers.disruption import failed, plan, stale_in
from tests.controllers.stories import complete, fresh, pods_of, simple_pod
from tests.controllers.things import APP, NOW, ago, owner, pod
from tests.controllers.world import World, play


def budget(**spec: Any) -> PodDisruptionBudget:
    made = PodDisruptionBudgetSpec(selector=LabelSelector(matchLabels=APP), **spec)
    return PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace="ns", generation=2), spec=made)


def some(ready: int, not_ready: int = 0, going: int = 0) -> list[Pod]:
    pods = [pod(f"p{n}", ready=100.0 if n < ready else None) for n in range(ready + not_ready + going)]
    for one in pods[len(pods) - going :]:
        one.metadata.deletionTimestamp = ago(1)
    return pods


@pytest.mark.parametrize(
    ("spec", "pods", "scale", "counts"),
    [
        ({"minAvailable": 2}, some(3), 0, (1, 3, 2, 3)),
        ({"minAvailable": 2}, some(2, 1), 0, (0, 2, 2, 3)),
        ({"minAvailable": 0}, [], 0, (0, 0, 0, 0)),
        ({"minAvailable": "50%"}, some(3), 5, (0, 3, 3, 5)),
        ({"minAvailable": "50%"}, some(5), 5, (2, 5, 3, 5)),
        ({"maxUnavailable": 1}, some(3), 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 1}, some(3, going=1), 4, (0, 3, 3, 4)),
        ({"maxUnavailable": "100%"}, some(3), 3, (3, 3, 0, 3)),
        ({"maxUnavailable": 9}, some(3), 3, (3, 3, 0, 3)),
    ],
)
def test_counts(spec: dict[str, Any], pods: list[Pod], scale: int, counts: tuple[int, int, int, int]) -> None:
    status = plan(budget(**spec), pods, scale, NOW).status
    found = (status.disruptionsAllowed, status.currentHealthy, status.desiredHealthy, status.expectedPods)
    assert found == counts
    assert status.conditions[0].reason == ("SufficientPods" if counts[0] else "InsufficientPods")


def test_an_evicted_pod_counts_as_gone_until_it_is_clear_that_it_stays() -> None:
    one = budget(minAvailable=1)
    one.status.disruptedPods = {"p0": ago(100), "p1": ago(121), "elsewhere": ago(1)}
    todo = plan(one, some(3), 0, NOW)
    assert todo.status.disruptedPods == {"p0": ago(100)}
    assert (todo.status.currentHealthy, [p.metadata.name for p in todo.overdue], todo.again) == (2, ["p1"], 20.0)


def test_the_condition_keeps_its_time_while_it_stands() -> None:
    one = budget(minAvailable=1)
    one.status = plan(one, some(3), 0, NOW).status
    assert plan(one, some(3), 0, NOW + timedelta(hours=1)).status == one.status
    changed = plan(one, some(1), 0, NOW + timedelta(hours=1)).status
    assert changed.conditions[0].lastTransitionTime == Time.of(NOW + timedelta(hours=1))


def test_without_a_bound_nothing_is_asked() -> None:
    status = plan(budget(), some(3), 0, NOW).status
    assert (status.disruptionsAllowed, status.currentHealthy, status.desiredHealthy, status.expectedPods) == (
        0,
        3,
        0,
        0,
    )


def test_when_nobody_knows_how_many_none_may_go() -> None:
    one = budget(maxUnavailable=1)
    one.status = plan(one, some(3), 3, NOW).status
    status = failed(one, "widgets.example.com does not implement the scale subresource", NOW)
    assert (status.disruptionsAllowed, status.currentHealthy) == (0, 3)
    assert (status.conditions[0].reason, status.conditions[0].status) == ("SyncFailed", "False")
    one.status = status
    assert plan(one, some(3), 3, NOW).status.conditions[0].message == ""


def test_disruption_conditions_grow_stale() -> None:
    one = pod("p")
    assert stale_in(one, NOW) is None
    target = PodCondition(type="DisruptionTarget", status="True", reason="EvictionByEvictionAPI",
                          lastTransitionTime=ago(100))  # fmt: skip
    one.status.conditions = (*one.status.conditions, target)
    assert stale_in(one, NOW) == 20.0
    target.reason = "TerminationByKubelet"
    assert stale_in(one, NOW) is None


def test_evictions_are_let_through_one_by_one() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.until(lambda: complete(world))
        made = budget(maxUnavailable=1)
        made.metadata = ObjectMeta(name="b", namespace="ns")
        await world.client.create(made)

        async def allowed(count: int) -> bool:
            status = (await world.client.get(PodDisruptionBudget, "b", "ns")).status
            return (status.disruptionsAllowed, status.expectedPods) == (count, 3)

        async def evict(name: str) -> None:
            body = Eviction(apiVersion="policy/v1", kind="Eviction", metadata=ObjectMeta(name=name, namespace="ns"))
            await world.client.subresource("POST", catalog.by_type(Pod), name, "ns", "eviction", body)

        await world.until(lambda: allowed(1))
        first, second, _ = await pods_of(world)
        await evict(first.metadata.name)
        with pytest.raises(TooManyRequests, match="disruption budget"):
            await evict(second.metadata.name)
        await world.until(lambda: allowed(1))
        await evict(second.metadata.name)
        await world.client.patch(Deployment, "web", {"spec": {"replicas": 4}}, namespace="ns")

        async def four() -> bool:
            return (await world.client.get(PodDisruptionBudget, "b", "ns")).status.expectedPods == 4

        await world.until(four)

    play(story)


def test_pods_of_strangers_and_of_two_budgets() -> None:
    """Who has no scale makes the budget fail safe; a pod of two budgets is told so and cannot be evicted."""

    async def story(world: World) -> None:
        for name in ("a", "b"):
            made = budget(maxUnavailable=1)
            made.metadata = ObjectMeta(name=name, namespace="ns")
            await world.client.create(made)
        stranger = simple_pod("alone", **APP)
        stranger.metadata.ownerReferences = (owner("x", "Widget"),)
        await world.client.create(stranger)

        async def told() -> bool:
            status = (await world.client.get(PodDisruptionBudget, "a", "ns")).status
            found = {one.reason for one in (await world.client.list(Event, "ns")).items}
            return bool(status.conditions) and status.conditions[0].reason == "SyncFailed" and {
                "CalculateExpectedPodCountFailed", "MultiplePodDisruptionBudgets",
            } <= found  # fmt: skip

        await world.until(told)
        status = (await world.client.get(PodDisruptionBudget, "a", "ns")).status
        assert 'no matches for kind "Widget" in version "apps/v1"' in status.conditions[0].message

        async def ready() -> bool:
            return podlib.ready(await world.client.get(Pod, "alone", "ns"))

        await world.until(ready)
        body = Eviction(apiVersion="policy/v1", kind="Eviction", metadata=ObjectMeta(name="alone", namespace="ns"))
        with pytest.raises(ApiError, match="more than one PodDisruptionBudget") as refused:
            await world.client.subresource("POST", catalog.by_type(Pod), "alone", "ns", "eviction", body)
        assert refused.value.code == 500

    play(story)
