"""How many replicas metrics call for, and what an autoscaler makes of it; upstream's own answers are the measure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kijabi.api import codec
from kijabi.api.autoscaling.horizontalpodautoscaler import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
)
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.meta import Time
from kijabi.api.quantity import Quantity
from kijabi.api.selector import from_label_selector
from kijabi.base.errors import BadRequest
from kijabi.controllers.horizontalpodautoscaler import pace
from kijabi.controllers.horizontalpodautoscaler.pace import History, Rules
from kijabi.controllers.horizontalpodautoscaler.plan import (
    Plan,
    View,
    begin,
    measured,
    not_rescaled,
    plan,
    rescaled,
    selector_of,
)
from kijabi.controllers.horizontalpodautoscaler.proposals import selector_text
from kijabi.controllers.horizontalpodautoscaler.readings import Reading, Sample, Unread
from kijabi.controllers.horizontalpodautoscaler.replicas import (
    MAX_REPLICAS,
    MAX_SUM,
    Asked,
    Count,
    Tolerance,
    Uncountable,
    by_average,
    by_share,
    by_total,
    by_total_per_pod,
    total,
)
from tests.controllers.things import NOW, ago, pod

RECORDED = Path(__file__).parents[1] / "golden" / "autoscaling" / "upstream.jsonl"
START = datetime(2000, 1, 1, tzinfo=UTC)


def worker(name: str, *, started: float = 1000.0, cpu: str = "100m", **more: Any) -> Pod:
    """A pod that requests cpu and has been running for a while."""
    made = pod(name, **more)
    made.status.startTime = ago(started)
    requests = {"cpu": Quantity(cpu)} if cpu else {}
    made.spec.containers = (Container(name="c", resources=ResourceRequirements(requests=requests)),)
    return made


def asked(*pods: Pod, wanted: int | None = None, existing: int | None = None) -> Asked:
    count = len(pods) if wanted is None else wanted
    return Asked(
        wanted=count,
        existing=count if existing is None else existing,
        pods=pods,
        tolerance=Tolerance(0.1, 0.1),
        now=NOW,
        starting=300.0,
        first_ready=30.0,
    )


def using(**amounts: int) -> dict[str, Sample]:
    return {name: Sample(amount, NOW.timestamp() - 5, 15.0) for name, amount in amounts.items()}


A, B, C = worker("a"), worker("b"), worker("c")
PENDING = worker("c", phase="Pending", ready=None)
FRESH = worker("c", started=100.0, ready=2.0)  # its sample is from before it was ready
UNREADY = worker("c", started=1000.0)
UNREADY.status.conditions = (*UNREADY.status.conditions,)
UNREADY.status.conditions[0].status = "False"
UNREADY.status.conditions[0].lastTransitionTime = ago(990)
GOING = worker("c", deleting=True)


@pytest.mark.parametrize(
    ("pods", "used", "replicas", "share"),
    [
        ((A, B), {"a": 50, "b": 50}, 2, 50),
        ((A, B), {"a": 54, "b": 55}, 2, 54),  # within the tolerance
        ((A, B), {"a": 56, "b": 56}, 3, 56),
        ((A, B), {"a": 44, "b": 44}, 2, 44),
        ((A, B), {"a": 200, "b": 0}, 4, 100),
        ((A, B, C), {"a": 90, "b": 90}, 4, 90),  # c has no sample: as idle
        ((A, B, C), {"a": 60, "b": 60}, 3, 60),  # … and then it is not too much
        ((A, B, C), {"a": 10, "b": 10}, 3, 10),  # as busy, and then it is not too little
        ((A, B, PENDING), {"a": 90, "b": 90}, 4, 90),
        ((A, B, PENDING), {"a": 10, "b": 10}, 1, 10),  # who is not there yet is not needed either
        ((A, B, FRESH), {"a": 90, "b": 90, "c": 900}, 4, 90),
        ((A, B, UNREADY), {"a": 90, "b": 90, "c": 900}, 4, 90),
        ((A, B, GOING), {"a": 90, "b": 90, "c": 900}, 4, 90),
    ],
)
def test_a_share_of_what_is_requested(pods: tuple[Pod, ...], used: dict[str, int], replicas: int, share: int) -> None:
    found = by_share(asked(*pods), using(**used), "cpu", "", 50)
    assert (found.replicas, found.share) == (replicas, share)


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (lambda: by_average(asked(A, B), using(a=100, b=200), "", 100), Count(3, 150)),
        (lambda: by_average(asked(A, B, C), using(a=100, b=200), "", 100), Count(3, 150)),
        (lambda: by_average(asked(A, B, C), using(a=20, b=20), "", 100), Count(2, 20)),
        (lambda: by_total(asked(A, B), 300, 100), Count(6, 300)),
        (lambda: by_total(asked(A, worker("b", ready=None)), 300, 100), Count(3, 300)),
        (lambda: by_total(asked(A, B), 105, 100), Count(2, 105)),
        (lambda: by_total(asked(wanted=0), 250, 100), Count(3, 250)),
        (lambda: by_total(asked(A), MAX_SUM, 1), Count(MAX_REPLICAS, MAX_SUM)),
        (lambda: by_total_per_pod(asked(wanted=2), 1000, 100), Count(10, 500)),
        (lambda: by_total_per_pod(asked(wanted=2), 210, 100), Count(2, 105)),
        (lambda: by_total_per_pod(asked(wanted=2, existing=0), 210, 100), Count(3, 210)),
        (lambda: by_total_per_pod(asked(wanted=2, existing=0), 0, 100), Count(0, 0)),
    ],
)
def test_values_and_averages(count: Callable[[], Count], found: Count) -> None:
    assert count() == found


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (lambda: by_share(asked(), using(a=1), "cpu", "", 50),
         "no pods returned by selector while calculating replica count"),
        (lambda: by_share(asked(PENDING), using(c=1), "cpu", "", 50),
         "did not receive metrics for targeted pods (pods might be unready)"),
        (lambda: by_share(asked(worker("a", cpu="")), using(a=1), "cpu", "", 50),
         "missing request for cpu in container c of Pod a"),
        (lambda: by_share(asked(A), using(a=1), "cpu", "d", 50), "container d not found in Pod a"),
        (lambda: by_share(asked(A), using(stranger=1), "cpu", "", 50), "no metrics returned matched known pods"),
        (lambda: by_total(asked(wanted=1), 300, 100),
         "unable to calculate ready pods: no pods returned by selector while calculating replica count"),
    ],
)  # fmt: skip
def test_what_nothing_follows_from(count: Callable[[], Count], text: str) -> None:
    with pytest.raises(Uncountable) as caught:
        count()
    assert str(caught.value) == text


def test_requests_of_a_pod_as_a_whole_and_of_sidecars() -> None:
    one = worker("a")
    side = Container(name="side", resources=ResourceRequirements(requests={"cpu": Quantity("300m")}))
    one.spec.initContainers = (msgspec.structs.replace(side, restartPolicy="Always"),)
    assert by_share(asked(one), using(a=200), "cpu", "", 50).share == 50
    assert by_share(asked(one), using(a=150), "cpu", "side", 50).share == 50
    one.spec.resources = ResourceRequirements(requests={"cpu": Quantity("1")})
    assert by_share(asked(one), using(a=500), "cpu", "", 50).share == 50
    one.spec.resources = ResourceRequirements(requests={"memory": Quantity("1Gi")})
    one.spec.containers[0].resources.requests.clear()
    one.spec.initContainers = ()
    with pytest.raises(Uncountable, match="missing pod-level request for cpu in Pod a"):
        by_share(asked(one), using(a=500), "cpu", "", 50)


def test_sums_are_bounded() -> None:
    assert total((MAX_SUM, MAX_SUM)) == MAX_SUM
    history = History(())
    for moment in range(pace.MOST + 5):
        history = history.proposed(moment, float(moment), 1e9)
    assert (len(history.proposals), history.proposals[-1]) == (pace.MOST, (pace.MOST + 4.0, pace.MOST + 4))


def policies(*each: tuple[str, int, int], select: str = "Max") -> HPAScalingRules:
    made = tuple(HPAScalingPolicy(type=kind, value=value, periodSeconds=period) for kind, value, period in each)
    return HPAScalingRules(policies=made, selectPolicy=select)


@pytest.mark.parametrize(
    ("rules", "current", "desired", "replicas", "reason"),
    [
        (policies(("Pods", 4, 15)), 3, 100, 7, "ScaleUpLimit"),
        (policies(("Pods", 4, 15), ("Percent", 200, 15)), 3, 100, 9, "ScaleUpLimit"),
        (policies(("Pods", 4, 15), ("Percent", 10, 15), select="Min"), 3, 100, 4, "ScaleUpLimit"),
        (policies(("Pods", 4, 15), select="Disabled"), 3, 100, 3, "ScaleUpLimit"),
        (policies(("Pods", 100, 15)), 3, 100, 20, "TooManyReplicas"),
        (policies(("Pods", 100, 15)), 3, 5, 5, "DesiredWithinRange"),
        (policies(("Pods", 4, 60)), 5, 100, 6, "ScaleUpLimit"),  # 3 of the 4 were added 30 s ago
        (policies(("Pods", 4, 15)), 10, 1, 6, "ScaleDownLimit"),
        (policies(("Percent", 25, 15)), 10, 1, 7, "ScaleDownLimit"),
        (policies(("Percent", 25, 15), ("Pods", 1, 15), select="Min"), 10, 1, 9, "ScaleDownLimit"),
        (policies(("Percent", 100, 15)), 10, 1, 2, "TooFewReplicas"),
        (policies(("Pods", 4, 15), select="Disabled"), 10, 1, 10, "ScaleDownLimit"),
    ],
)
def test_policies(rules: HPAScalingRules, current: int, desired: int, replicas: int, reason: str) -> None:
    history = History((), ups=((970.0, 3),))
    found = pace.paced(history, current, desired, (2, 20), 1000.0, Rules(rules, rules))
    assert (found[0], found[1][0]) == (replicas, reason)


def test_stabilisation_takes_the_most_careful_proposal() -> None:
    history = History(((700.0, 9), (940.0, 3), (970.0, 6)))
    assert [pace.highest(history, 4, 1000.0, window) for window in (10, 30, 60, 300)] == [4, 6, 6, 9]
    assert pace.steady(history, 5, 8, 1000.0, up=0, down=300) == 8
    assert pace.steady(history, 5, 8, 1000.0, up=31, down=300) == 6
    assert pace.steady(history, 5, 8, 1000.0, up=61, down=300) == 5
    assert pace.steady(history, 5, 1, 1000.0, up=0, down=10) == 1
    assert pace.steady(history, 5, 1, 1000.0, up=0, down=61) == 5
    assert pace.steady(history, 9, 1, 1000.0, up=0, down=61) == 6


# Upstream's answers


def test_upstream_decides_the_same() -> None:
    """Each line is a story of random steps, and what upstream's controller of v1.37 did in it."""
    for number, line in enumerate(RECORDED.read_text().splitlines()):
        story = msgspec.json.decode(line)
        for step, (mine, theirs) in enumerate(zip(retell(story), story["upstream"], strict=True)):
            assert mine == theirs, f"line {number + 1}, step {step}"


def retell(story: dict[str, Any]) -> list[dict[str, Any]]:
    """What we do in a recorded story."""
    hpa = codec.from_builtins(HorizontalPodAutoscaler, story["Hpa"])
    now, history, told = START, None, []
    for step in story["Steps"]:
        now += timedelta(seconds=step["Advance"])
        hpa = codec.clone(hpa)
        if "Spec" in step:
            hpa.spec = codec.from_builtins(HorizontalPodAutoscalerSpec, step["Spec"])
            hpa.metadata.generation += 1
        scale = codec.from_builtins(Scale, step["Scale"])
        view = look(hpa, scale, history or begin(scale, now), now, step)
        todo = plan(view)
        events = todo.events
        wrote = todo.replicas if not step["Fail"] else None
        if todo.replicas is not None:
            todo = not_rescaled(view, todo, step["Fail"]) if step["Fail"] else rescaled(view, todo)
            events = (*events, *todo.events)
        history, hpa.status = todo.history, todo.status
        told.append({"replicas": wrote, "events": sorted(map(" ".join, events)), "status": shown(todo)})
    return told


def look(hpa: HorizontalPodAutoscaler, scale: Scale, history: History, now: datetime, step: dict[str, Any]) -> View:
    view = View(hpa, scale, history, now)
    if not measured(hpa, scale) or not scale.status.selector:
        return view
    try:
        selector = selector_of(scale)
    except BadRequest:
        return view
    pods = [codec.from_builtins(Pod, each) for each in step["Pods"]]
    return view._replace(
        pods=[each for each in pods if selector.matches(each.metadata.labels)],
        readings=[reading(metric, step["Metrics"]) for metric in hpa.spec.metrics],
        selecting=("ns/h",),
    )


def reading(metric: MetricSpec, said: dict[str, Any]) -> Reading:
    """What a metric says in a step, under the name that the recording has for it."""
    kind = metric.type[0].lower() + metric.type[1:]
    source = getattr(metric, kind)
    name = source.metric.name if hasattr(source, "metric") else source.name
    if hasattr(source, "metric"):
        try:
            from_label_selector(source.metric.selector)
        except BadRequest as error:
            return Unread(str(error), unasked=True)
    resource = f"resource/{name}/{getattr(source, 'container', '')}"
    found = said[resource if kind in ("resource", "containerResource") else f"{kind}/{name}"]
    if "Error" in found:
        return Unread(f"{failed(metric, name, source)}: {found['Error']}")
    if "Values" in found:
        return tuple(found["Values"])
    return {
        name: Sample(each["Value"], Time(each["At"]).timestamp(), each["Window"])
        for name, each in found["Pods"].items()
    }


def failed(metric: MetricSpec, name: str, source: Any) -> str:
    if metric.type == "External":
        return f"unable to get external metric ns/{name}/{selector_text(source.metric.selector)}"
    if metric.type == "Object":
        return f"unable to get metric {name} on Ingress ns/ing"
    return f"unable to get metric {name}" if metric.type == "Pods" else f"unable to get metrics for resource {name}"


def shown(todo: Plan) -> dict[str, Any]:
    found: dict[str, Any] = codec.to_builtins(todo.status)
    return found | {"currentMetrics": found.get("currentMetrics") or None}


def test_the_recording_is_rich() -> None:
    """So that the comparison means something."""
    stories = [msgspec.json.decode(line) for line in RECORDED.read_text().splitlines()]
    steps = list(itertools.chain.from_iterable(story["upstream"] for story in stories))
    reasons = {condition["reason"] for step in steps for condition in step["status"].get("conditions", ())}
    assert reasons >= {
        "SucceededGetScale", "SucceededRescale", "FailedUpdateScale", "ReadyForNewScale", "ScaleDownStabilized",
        "ScaleUpStabilized", "ValidMetricFound", "ScalingDisabled", "InvalidSelector", "FailedGetResourceMetric",
        "FailedGetContainerResourceMetric", "FailedGetPodsMetric", "FailedGetObjectMetric", "FailedGetExternalMetric",
        "ScaleUpLimit", "ScaleDownLimit", "TooManyReplicas", "TooFewReplicas", "DesiredWithinRange", "ScaledToZero",
        "NotScaledToZero",
    }  # fmt: skip
