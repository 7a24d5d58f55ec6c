"""Which log a request means: its options, and the file of the right container instance.

Pure, called by `server.py`; the texts of refusals are upstream's, which kubectl shows as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from kijabi.api.core.podstatus import ContainerStatus, PodStatus
from kijabi.api.meta import Time
from kijabi.kubelet.logreader import LogOptions

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}


def options(query: Mapping[str, str], now: float) -> LogOptions:
    """Read the query of a log request. Raises ValueError for what is no number, time or stream."""

    def number(name: str) -> int | None:
        text = query.get(name, "")
        return int(text) if text else None

    tail = number("tailLines")
    since: float | None = None
    if query.get("sinceTime"):
        since = Time.parse(query["sinceTime"]).timestamp()
    elif (seconds := number("sinceSeconds")) is not None:
        since = now - seconds
    stream = query.get("stream") or "All"
    if stream not in ("All", "Stdout", "Stderr"):
        raise ValueError(f"invalid stream type {stream!r}")
    return LogOptions(
        follow=query.get("follow", "") in _TRUE,
        previous=query.get("previous", "") in _TRUE,
        timestamps=query.get("timestamps", "") in _TRUE,
        tail=tail,
        limit=number("limitBytes"),
        since=since,
        stream=stream,  # type: ignore[arg-type]
    )


def container_id(pod_name: str, status: PodStatus, name: str, previous: bool) -> str:
    """The id of the container whose log is meant, without its scheme. Raises LookupError with what to tell."""
    every = (*status.containerStatuses, *status.initContainerStatuses, *status.ephemeralContainerStatuses)
    found = next((each for each in every if each.name == name), None)
    where = f'container "{name}" in pod "{pod_name}"'
    if found is None:
        raise LookupError(f"{where} is not available")
    last = found.lastState.terminated
    if previous:
        if last is None or not last.containerID:
            raise LookupError(f"previous terminated {where} not found")
        return _bare(last.containerID)
    return _bare(_present(found, where))


def _present(found: ContainerStatus, where: str) -> str:
    """The id of the newest instance that has a log."""
    state, last = found.state, found.lastState.terminated
    if state.running is not None:
        return found.containerID
    if state.terminated is not None and state.terminated.containerID:
        return state.terminated.containerID
    if last is not None and last.containerID:
        return last.containerID
    if state.terminated is not None or last is not None:
        raise LookupError(f"{where} is terminated")
    if state.waiting is None:
        raise LookupError(f"{where} is waiting to start - no logs yet")
    reason = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(state.waiting.reason, state.waiting.reason)
    raise LookupError(f"{where} is waiting to start: {reason}")


def _bare(container: str) -> str:
    return container.partition("://")[2]
