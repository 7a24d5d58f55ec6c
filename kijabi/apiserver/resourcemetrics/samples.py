"""What a kubelet says at `/metrics/resource`, read: counters of core seconds and working sets, with their times.

Pure; `serving.py` hands the text in, in Prometheus' format with the names of KEP-727. It is read line by line with
one expression, for a node's hundreds of lines must not hold up the server; what is not understood is left out.
"""

from __future__ import annotations

import re

import msgspec

MAX_CONTAINERS = 10_000  # of one node that are read
_LINE = re.compile(r"^([a-z_]+)(?:\{([^}]*)\})? (\S+)(?: (\d+))?$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PodKey = tuple[str, str]  # namespace and name


class Point(msgspec.Struct, gc=False):
    """One moment of one container or node. time, started: seconds since 1970; cpu: core seconds since the start."""

    time: float = 0.0
    cpu: float = -1.0  # less than none: not told
    memory: int = -1
    started: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether cpu and memory were told."""
        return self.cpu >= 0 and self.memory >= 0


class Sample(msgspec.Struct):
    """One moment of a node and the containers on it."""

    node: Point
    pods: dict[PodKey, dict[str, Point]]


def parse(text: str, now: float) -> Sample:
    """What the text says. now: the time of what comes without one."""
    node = Point(time=now)
    pods: dict[PodKey, dict[str, Point]] = {}
    left = MAX_CONTAINERS
    for match in _LINE.finditer(text):
        name, labels, value, stamp = match.groups()
        subject, _, figure = name.partition("_")
        if subject == "node":
            _note(node, figure, value, stamp)
        elif subject == "container" and labels:
            known = dict(_LABEL.findall(labels))
            key = (known.get("namespace", ""), known.get("pod", ""))
            containers = pods.setdefault(key, {})
            point = containers.get(known.get("container", ""))
            if point is None:
                if not left:
                    continue
                left -= 1
                point = containers[known.get("container", "")] = Point(time=now)
            _note(point, figure, value, stamp)
    return Sample(node, pods)


def _note(point: Point, figure: str, value: str, stamp: str | None) -> None:
    """Put one figure where it belongs."""
    try:
        number = float(value)
    except ValueError:
        return
    if not 0 <= number < 1e18:  # neither negative nor infinite, nor no number
        return
    match figure:
        case "cpu_usage_seconds_total":
            point.cpu = number
            if stamp is not None:
                point.time = int(stamp) / 1000
        case "memory_working_set_bytes":
            point.memory = int(number)
        case "start_time_seconds":
            point.started = number
