"""A pod's phase, from its container statuses: Pending, Running, Succeeded or Failed.

Pure, called by `status.py`; the rules are those of the Pod lifecycle page and of upstream's getPhase: sidecars keep
a pod Running but never decide how it ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.kubelet import podspec


def phase(pod: Pod, statuses: Iterable[ContainerStatus], *, terminal: bool, initialized: bool) -> str:
    """The phase for these statuses.

    terminal: the containers were stopped for good, so restart policies no longer count. initialized: a regular
    container was created in the present sandbox.
    """
    known = {status.name: status for status in statuses}
    init = _init(pod, known)
    if init.failed_for_good:
        return "Failed"
    count = _regular(pod, known, init)
    if init.pending or (init.pending_sidecars and not initialized) or count.waiting:
        return "Pending"
    if count.running and not count.unknown:
        return "Running"
    if count.stopped and not count.unknown:
        if not terminal and count.stopped != count.stopped_for_good:
            return "Running"
        return "Succeeded" if count.stopped == count.succeeded else "Failed"
    return "Pending"


class _Count:
    """How many containers are in which state."""

    __slots__ = (
        "failed_for_good",
        "pending",
        "pending_sidecars",
        "running",
        "stopped",
        "stopped_for_good",
        "succeeded",
        "unknown",
        "waiting",
    )

    def __init__(self) -> None:
        self.failed_for_good = self.pending = self.pending_sidecars = 0
        self.unknown = self.running = self.waiting = self.stopped = self.stopped_for_good = self.succeeded = 0


def _init(pod: Pod, known: dict[str, ContainerStatus]) -> _Count:
    count = _Count()
    for container in pod.spec.initContainers:
        status = known.get(container.name)
        if podspec.is_sidecar(container):
            _sidecar(count, status)
        elif status is None or status.state.running is not None:
            count.pending += 1
        else:
            code = _exit_code(status)
            if code is None:
                count.pending += 1
            elif code != 0 and not podspec.restarts(container, pod.spec, code):
                count.failed_for_good += 1
    return count


def _sidecar(count: _Count, status: ContainerStatus | None) -> None:
    if status is None:
        count.unknown += 1
    elif status.state.running is not None:
        count.pending_sidecars += not status.started
        count.running += 1
    elif status.state.terminated is None:
        if status.state.waiting is None:
            count.pending_sidecars += 1
            count.unknown += 1
        elif status.lastState.terminated is None:
            count.pending_sidecars += 1
            count.waiting += 1


def _regular(pod: Pod, known: dict[str, ContainerStatus], count: _Count) -> _Count:
    for container in pod.spec.containers:
        status = known.get(container.name)
        if status is None:
            count.unknown += 1
        elif status.state.running is not None:
            count.running += 1
        else:
            _ended(count, container, pod, status)
    return count


def _ended(count: _Count, container: Container, pod: Pod, status: ContainerStatus) -> None:
    code = _exit_code(status)
    if code is None:
        count.waiting += status.state.waiting is not None
        count.unknown += status.state.waiting is None
        return
    count.stopped += 1
    count.stopped_for_good += not podspec.restarts(container, pod.spec, code)
    count.succeeded += status.state.terminated is not None and code == 0


def _exit_code(status: ContainerStatus) -> int | None:
    """The code of a container that ended, also when it now waits to be started again."""
    if status.state.terminated is not None:
        return status.state.terminated.exitCode
    if status.state.waiting is not None and status.lastState.terminated is not None:
        return status.lastState.terminated.exitCode
    return None
