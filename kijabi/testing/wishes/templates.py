"""Pod templates as wire data: those that run, and those that cannot, or not all of them at once.

What a variant does not set is there as None, so that a template is a patch too.
"""

from __future__ import annotations

from typing import Any

from kijabi.base import rand

SCRIPT = "fake.kijabi.dev/c"  # kubelet/runtime/fake.py
SETTINGS = "settings"
MISSING = "missing:1"  # an image that cannot be pulled
URGENT = "urgent"  # a priority class
GOOD = ("plain", "probed", "slow", "prepared", "configured")
BAD = ("crashing", "missing", "large", "pressing")


def variant(bad: float = 0.2) -> str:
    """One by chance, most often one that can run."""
    chance = rand.rng()
    return chance.choice(BAD if chance.random() < bad else GOOD)


def template(app: str, variant: str, version: int) -> dict[str, Any]:
    """A template of a pod that goes on. pressing: large, and before others by its priority."""
    container: dict[str, Any] = {
        "name": "c",
        "image": MISSING if variant == "missing" else f"app:{version}",
        "resources": {"requests": {"cpu": "1500m" if variant in ("large", "pressing") else "20m"}},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2} if variant == "probed" else None,
        "envFrom": [{"configMapRef": {"name": SETTINGS}}] if variant == "configured" else None,
    }
    script = {"crashing": '{"runFor": 3, "exitCode": 1}', "slow": '{"stopAfter": 8}'}.get(variant)
    prepared = [{"name": "first", "image": "app:1", "command": ["sleep", "1"]}] if variant == "prepared" else None
    return {
        "metadata": {"labels": {"app": app}, "annotations": {SCRIPT: script, "variant": variant}},
        "spec": {
            "containers": [container],
            "initContainers": prepared,
            "terminationGracePeriodSeconds": 10 if variant == "slow" else 30,
            "priorityClassName": URGENT if variant == "pressing" else None,
        },
    }


def task(app: str, seconds: int, *, fails: bool = False, restart: str = "Never") -> dict[str, Any]:
    """A template of a pod that ends."""
    script = f'{{"runFor": {seconds}, "exitCode": {3 if fails else 0}}}'
    return {
        "metadata": {"labels": {"app": app}, "annotations": {SCRIPT: script, "variant": "fails" if fails else "ends"}},
        "spec": {
            "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "20m"}}}],
            "restartPolicy": restart,
        },
    }


def plain(value: Any) -> Any:
    """Wire data without what is None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
