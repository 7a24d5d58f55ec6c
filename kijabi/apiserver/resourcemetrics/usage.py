"""Two moments of a node become rates: what it and the containers on it used in between.

Pure; `serving.py` calls `of_node` and `of_pod`. The rules are those of the metrics server: a container that started
in between counts from its start if that is long enough ago, and a pod is told of when all its containers can be.
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api.gotext import duration
from kijabi.api.quantity import Quantity
from kijabi.apiserver.resourcemetrics.samples import PodKey, Point, Sample

FRESH_SECONDS = 10.0  # a container younger than this has no rate that means anything


class Usage(NamedTuple):
    """cpu: cores on average over the window (seconds) that ends at time; memory: bytes then."""

    time: float
    window: float
    cpu: float
    memory: int

    def amounts(self) -> dict[str, Quantity]:
        """As a ResourceList."""
        return {
            "cpu": Quantity(f"{round(self.cpu * 1e9)}n"),
            "memory": Quantity(f"{-(-self.memory // 1024)}Ki"),
        }

    @property
    def span(self) -> str:
        """The window as Go writes a duration."""
        return duration(self.window)


def between(before: Point | None, after: Point) -> Usage | None:
    """The usage of one thing; None if there is nothing to compare with."""
    if not after.complete:
        return None
    since, spent = after.started, 0.0
    if before is not None and before.complete and before.started == after.started and before.cpu <= after.cpu:
        since, spent = before.time, before.cpu
    elif not after.started or after.time - after.started < FRESH_SECONDS:
        return None
    window = after.time - since
    return Usage(after.time, window, (after.cpu - spent) / window, after.memory) if window > 0 else None


def of_pod(before: Sample, after: Sample, key: PodKey) -> dict[str, Usage]:
    """The usage of each container of a pod; none if one cannot be told."""
    points, earlier = after.pods.get(key, {}), before.pods.get(key, {})
    found = {name: between(earlier.get(name), point) for name, point in points.items()}
    whole = {name: usage for name, usage in found.items() if usage is not None}
    return whole if len(whole) == len(found) else {}


def of_node(before: Sample, after: Sample) -> Usage | None:
    """The usage of a node: by its own counter, or by its containers' where that went back (a container has gone)."""
    window = after.node.time - before.node.time
    if not after.node.complete or window <= 0:
        return None
    if 0 <= before.node.cpu <= after.node.cpu:
        cpu = (after.node.cpu - before.node.cpu) / window
    else:
        cpu = sum(usage.cpu for key in after.pods for usage in of_pod(before, after, key).values())
    return Usage(after.node.time, window, cpu, after.node.memory)
