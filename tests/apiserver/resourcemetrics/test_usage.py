"""What kubelets say, and what it means: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.apiserver.resourcemetrics.samples import Point, Sample, parse
from kijabi.apiserver.resourcemetrics.usage import Usage, between, of_node, of_pod

# As an upstream kubelet writes it.
TEXT = """# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="c",namespace="default",pod="web"} 4.710169 1624961175000
container_memory_working_set_bytes{container="c",namespace="default",pod="web"} 1.253376e+06 1624961175000
container_start_time_seconds{container="c",namespace="default",pod="web"} 1.624924798e+09
node_cpu_usage_seconds_total 350 1624961175500
node_memory_working_set_bytes 1.0e+09 1624961175500
pod_cpu_usage_seconds_total{namespace="default",pod="web"} 4.67812 1624961175000
resource_scrape_error 0
"""
KEY = ("default", "web")


def test_a_kubelets_text_is_read() -> None:
    sample = parse(TEXT, 7.0)
    assert sample.node == Point(1624961175.5, 350.0, 10**9)
    assert sample.pods == {KEY: {"c": Point(1624961175.0, 4.710169, 1253376, 1624924798.0)}}


@pytest.mark.parametrize("text", ["", "node_cpu_usage_seconds_total NaN", "node_cpu_usage_seconds_total -1", "\0{}"])
def test_what_is_not_understood_is_left_out(text: str) -> None:
    assert parse(text, 7.0) == Sample(Point(time=7.0), {})


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    parse(text, 0.0)


def point(time: float, cpu: float, memory: int = 1, started: float = 1.0) -> Point:
    return Point(time, cpu, memory, started)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (point(100, 5), point(115, 8, 7), Usage(115, 15, 0.2, 7)),
        (None, point(21, 5), Usage(21, 20, 0.25, 1)),  # since its start
        (None, point(5, 5), None),  # too young
        (point(100, 5), point(115, 2, started=104), Usage(115, 11, 2 / 11, 1)),  # it was started again
        (point(100, 5), point(115, 2, started=110), None),
        (point(100, 5), point(100, 5), None),  # the same moment twice
        (point(100, 5), Point(115, 8), None),  # memory is not told
        (None, Point(115, 8, 1), None),  # nothing to compare with
    ],
)
def test_rates_of_containers(before: Point | None, after: Point, wanted: Usage | None) -> None:
    assert between(before, after) == wanted


def test_a_pod_is_told_of_when_all_its_containers_can_be() -> None:
    before = Sample(Point(), {KEY: {"a": point(100, 5)}})
    after = Sample(Point(), {KEY: {"a": point(115, 8), "b": point(115, 1, started=114)}})
    assert of_pod(before, after, KEY) == {}
    after.pods[KEY].pop("b")
    assert list(of_pod(before, after, KEY)) == ["a"]
    assert of_pod(before, after, ("default", "gone")) == {}


def test_a_nodes_counter_may_go_back_with_its_containers() -> None:
    before = Sample(Point(100, 50, 9), {KEY: {"a": point(100, 5)}})
    after = Sample(Point(110, 60, 9), {KEY: {"a": point(110, 8)}})
    assert of_node(before, after) == Usage(110, 10, 1.0, 9)
    after.node.cpu = 20
    assert of_node(before, after) == Usage(110, 10, 0.3, 9)
    assert of_node(after, after) is None


def test_amounts_are_written_as_the_metrics_server_does() -> None:
    usage = Usage(0, 15.011, 0.074508160, 460 * 1024 - 5)
    assert usage.amounts() == {"cpu": "74508160n", "memory": "460Ki"}
    assert usage.span == "15.011s"
