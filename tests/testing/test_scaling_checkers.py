"""The checker of autoscalers, on histories of a few writes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.testing.history import Violation
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
