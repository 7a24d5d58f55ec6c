"""The checker of autoscalers, on histories of a few writes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.api.core.pod import Pod
from kijabi.testing.history import Ledger, Violation
from kijabi.testing.liveness import autoscaling as liveness
from kijabi.testing.safety.facts import ADMIN
from tests.testing.histories import CONTROLLERS, Step, play, thing


def autoscaler(least: int = 1, most: int = 3) -> Step:
    spec: dict[str, Any] = {"scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}
    made = thing("", "web", spec={**spec, "minReplicas": least, "maxReplicas": most})
    return ("a", "HorizontalPodAutoscaler web", made)


def scaled(replicas: int, who: str = CONTROLLERS) -> Step:
    return (who, "Deployment web", thing("", "web", spec={"replicas": replicas}))


GONE: Step = ("a", "HorizontalPodAutoscaler web", None)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("there is no autoscaler", [scaled(1, ADMIN), scaled(2)]),
        ("0 turns its autoscaler off", [autoscaler(), scaled(0, ADMIN), scaled(1)]),
        ("with bounds", [autoscaler(), scaled(1, ADMIN), scaled(4)]),
        ("with bounds", [autoscaler(2), scaled(3, ADMIN), scaled(1)]),
    ],
)
def test_what_is_wrong_is_found(text: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=f"ScaledWithinBounds: .*{text}"):
        play(steps)


@pytest.mark.parametrize(
    "steps",
    [
        [autoscaler(), scaled(1, ADMIN), scaled(3), scaled(9, ADMIN), scaled(3)],
        [autoscaler(1, 5), autoscaler(1, 3), scaled(1, ADMIN), scaled(5)],  # its cache was behind
        [autoscaler(), GONE, scaled(1, ADMIN), scaled(2)],
    ],
)
def test_what_is_right_passes(steps: list[Step]) -> None:
    play(steps)


@pytest.mark.parametrize(("pods", "use", "right"), [(2, 15, True), (2, 5, False), (6, 5, True), (6, 10, False)])
def test_an_autoscaler_has_as_many_pods_as_their_use_asks_for(pods: int, use: int, right: bool) -> None:
    """All that the selector matches are measured, also those that nobody owns any more."""
    labels = {"app": "web"}
    cpu = {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "15m"}}
    seen = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": f"{use}m"}}}
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    status = {"currentReplicas": 2, "desiredReplicas": 2, "currentMetrics": [seen]}
    hpa = codec.from_builtins(HorizontalPodAutoscaler, thing("", "web", spec=spec, status=status))
    web = codec.from_builtins(Deployment, thing("", "web", spec={"replicas": 2, "selector": {"matchLabels": labels}}))
    ledger = Ledger()
    ledger.objects[Deployment] = {"ns/web": web}
    ledger.objects[Pod] = {
        str(number): codec.from_builtins(Pod, thing("", f"p{number}", metadata={"labels": labels}))
        for number in range(pods)
    }
    assert (not list(liveness.autoscaler(hpa, ledger))) is right
