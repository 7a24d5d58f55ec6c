"""How the server's seats are dealt, and dealt anew when some want more than others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration
from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.apiserver.flowcontrol import matching
from kijabi.apiserver.flowcontrol.allocation import Claim, allocate
from kijabi.apiserver.flowcontrol.levels import Levels, imagined_schema
from kijabi.apiserver.flowcontrol.line import Line, Share, Stream
from kijabi.apiserver.flowcontrol.queueset import Work
from kijabi.apiserver.flowcontrol.retry import LONGEST, Retry
from kijabi.apiserver.flowdefaults import all_defaults

OBJECTS = [each for each in all_defaults() if isinstance(each, PriorityLevelConfiguration)]
SCHEMAS = [each for each in all_defaults() if isinstance(each, FlowSchema)]


def levels(seats: int = 600) -> Levels:
    found = Levels(seats, 0.0)
    found.digest(OBJECTS, SCHEMAS, 0.0)
    return found


def test_shares_become_seats_as_upstream_rounds_them() -> None:
    found = {name: level.limits for name, level in levels().by_name.items()}
    assert found["workload-low"] == (245, 24, 845)
    assert found["global-default"] == (49, 24, 649)
    assert found["leader-election"] == (25, 25, 625)
    assert found["exempt"].nominal == 0


def test_without_objects_the_mandatory_levels_are_there() -> None:
    found = Levels(600, 0.0)
    assert set(found.by_name) == {"exempt", "catch-all"}
    assert [schema.metadata.name for schema in found.schemas] == ["exempt", "catch-all"]


def test_who_wants_more_borrows_what_others_lend() -> None:
    found = levels()
    busy = found.by_name["global-default"]
    hand = (0, 1, 2, 3, 4, 5)
    for number in range(200):
        busy.queues.start(Work(), hand, 0.0, number)
    found.adjust(10.0)
    assert busy.current > busy.limits.nominal
    assert found.by_name["leader-election"].current >= 25
    assert all(level.limits.least <= level.current <= level.limits.most for level in found.by_name.values())
    assert busy.queues.executing == min(200, busy.current - busy.current // 8)


def test_a_level_whose_object_is_gone_stays_until_it_is_empty() -> None:
    found = levels()
    system = found.by_name["system"]
    ticket = system.queues.start(Work(), (0,), 0.0, "a")
    assert ticket is not None
    found.digest([obj for obj in OBJECTS if obj.metadata.name != "system"], SCHEMAS, 1.0)
    assert found.by_name["system"] is system
    assert system.leaving
    system.queues.finish(ticket, 2.0)
    found.reap()
    assert "system" not in found.by_name


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 200)), min_size=1, max_size=8))
def test_seats_add_up_within_the_bounds(rows: list[tuple[int, int, int]]) -> None:
    claims = [Claim(low, low + more, max(low, want)) for low, more, want in rows]
    low, high = sum(claim.low for claim in claims), sum(claim.high for claim in claims)
    total = (low + high) / 2
    dealt, _ = allocate(total, claims)
    assert sum(dealt) == pytest.approx(total, abs=1e-6)
    assert all(claim.low <= share <= claim.high for share, claim in zip(dealt, claims, strict=True))


def info(verb: str = "get", path: str = "", **more: str) -> RequestInfo:
    return RequestInfo(verb=verb, path=path, is_resource=bool(more), **more)


@pytest.mark.parametrize(
    ("user", "what", "schema"),
    [
        (UserInfo("admin", groups=("system:masters",)), info(resource="pods"), "exempt"),
        (UserInfo("x", groups=("system:unauthenticated",)), info(path="/readyz"), "probes"),
        (UserInfo("x", groups=("system:unauthenticated",)), info(path="/readyz/ping"), "probes"),
        (
            UserInfo("system:kube-scheduler", groups=("system:authenticated",)),
            info("update", group="coordination.k8s.io", resource="leases", namespace="kube-system"),
            "system-leader-election",
        ),
        (
            UserInfo("system:node:a", groups=("system:nodes", "system:authenticated")),
            info("patch", resource="nodes", subresource="status", name="a"),
            "system-node-high",
        ),
        (
            UserInfo("system:node:a", groups=("system:nodes", "system:authenticated")),
            info(resource="pods", namespace="x"),
            "system-nodes",
        ),
        (
            UserInfo("system:serviceaccount:kube-system:gc", groups=("system:serviceaccounts",)),
            info(resource="pods"),
            "kube-system-service-accounts",
        ),
        (
            UserInfo("system:serviceaccount:shop:web", groups=("system:serviceaccounts",)),
            info(resource="pods"),
            "service-accounts",
        ),
        (UserInfo("ann", groups=("system:authenticated",)), info(resource="pods"), "global-default"),
    ],
)
def test_whose_requests_go_where(user: UserInfo, what: RequestInfo, schema: str) -> None:
    found = matching.find(matching.in_order(SCHEMAS), user, what)
    assert found is not None
    assert found.metadata.name == schema


def test_a_rule_without_cluster_scope_is_for_namespaces_only() -> None:
    schema = imagined_schema("catch-all")
    rule = schema.spec.rules[0].resourceRules[0]
    rule.clusterScope = False
    user = UserInfo("ann", groups=("system:authenticated",))
    assert matching.find([schema], user, info(resource="nodes")) is None
    assert matching.find([schema], user, info(resource="pods", namespace="a")) is schema


def test_retry_after_grows_with_refusals_and_shrinks_again() -> None:
    retry = Retry()
    assert retry.refused(0.5) == 1
    seconds = [retry.refused(second) for second in range(1, 100) for _ in range(100)]
    assert seconds[-1] == LONGEST
    later = [retry.refused(second) for second in range(200, 300, 5)]
    assert later[-1] < LONGEST


def test_the_line_serves_flows_by_what_they_have_cost() -> None:
    share = Share("level", 10.0)
    hog, polite = Stream(share), Stream(share)
    line: Line[str] = Line()
    for number in range(5):
        line.join(hog, f"hog {number}")
    order = []
    for step in range(6):
        if step == 2:
            line.join(polite, "polite")
        stream, item = line.pop()
        line.charge(stream, 0.01)
        order.append(item)
    assert order.index("polite") == 2


def test_the_line_serves_levels_by_their_weights() -> None:
    heavy, light = Stream(Share("heavy", 30.0)), Stream(Share("light", 10.0))
    line: Line[str] = Line()
    for _ in range(100):
        line.join(heavy, "heavy")
        line.join(light, "light")
    served = []
    for _ in range(80):
        stream, item = line.pop()
        line.charge(stream, 0.001)
        served.append(item)
    assert 55 <= served.count("heavy") <= 65


def test_who_comes_after_a_pause_does_not_get_what_was_missed() -> None:
    share = Share("level")
    early, late = Stream(share), Stream(share)
    line: Line[str] = Line()
    for _ in range(100):
        line.join(early, "early")
        stream, _ = line.pop()
        line.charge(stream, 0.01)
    for _ in range(10):
        line.join(early, "early")
        line.join(late, "late")
    first = []
    for _ in range(10):
        stream, item = line.pop()
        line.charge(stream, 0.01)
        first.append(item)
    assert 4 <= first.count("late") <= 6
