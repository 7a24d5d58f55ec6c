"""How `kubectl get pods` words a pod: READY, STATUS, RESTARTS and the wide columns.

`pod.py` gives COLUMNS to its Resource. The status is no field of the API but drawn from all of them, as
k8s.io/kubernetes `pkg/printers/internalversion` draws it: `Init:0/1`, `CrashLoopBackOff`, `Terminating` …
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kijabi.api.columns import AGE, NAME, NONE, column, since
from kijabi.api.core.podstatus import ContainerStatus, PodCondition
from kijabi.api.meta import Time

if TYPE_CHECKING:
    from kijabi.api.core.pod import Pod


def ready(pod: Pod) -> str:
    """Ready containers of all, sidecars among them: `1/2`."""
    sidecars = _sidecars(pod)
    count = sum(1 for each in _begun(pod)[0] if each.name in sidecars and each.started and each.ready)
    if _past_init(pod):
        count += sum(1 for each in pod.status.containerStatuses if _runs(each))
    return f"{count}/{len(pod.spec.containers) + len(sidecars)}"


def restarts(pod: Pod) -> str:
    """How often its containers were restarted and when last: `3 (5m ago)`."""
    counted: Iterable[ContainerStatus]
    if _past_init(pod):
        sidecars = _sidecars(pod)
        begun = [each for each in _begun(pod)[0] if each.name in sidecars]
        counted = (*begun, *pod.status.containerStatuses)
    else:
        counted = _begun(pod)[0]
    total, last = 0, Time()
    for each in counted:
        total += each.restartCount
        if each.lastState.terminated is not None:
            last = max(last, each.lastState.terminated.finishedAt)
    return f"{total} ({since(last)} ago)" if total and last else str(total)


def status(pod: Pod) -> str:
    """What to tell people of its state in one word."""
    if pod.metadata.deletionTimestamp is not None:
        if pod.status.reason == "NodeLost":
            return "Unknown"
        if pod.status.phase not in ("Succeeded", "Failed"):
            return "Terminating"
    shown = pod.status.reason or pod.status.phase
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.reason == "SchedulingGated":
            shown = condition.reason
    shown = _begun(pod)[1] or shown
    return _containers_say(pod, shown) if _past_init(pod) else shown


def _containers_say(pod: Pod, shown: str) -> str:
    running, failure = False, ""
    for each in reversed(pod.status.containerStatuses):
        if each.state.waiting is not None and each.state.waiting.reason:
            shown = each.state.waiting.reason
        elif each.state.terminated is not None:
            shown = _ended(each)
            if each.state.terminated.exitCode:
                failure = shown
        elif _runs(each):
            running = True
    if shown != "Completed":
        return shown
    if running and _is_true(pod.status.conditions, "Ready"):
        return "Running"
    return failure or ("NotReady" if running else shown)


def _begun(pod: Pod) -> tuple[list[ContainerStatus], str]:
    """The init containers up to the first not done, and what that one says: `Init:0/1`, `Init:Error`, or nothing."""
    sidecars = _sidecars(pod)
    begun: list[ContainerStatus] = []
    for index, each in enumerate(pod.status.initContainerStatuses):
        begun.append(each)
        state = each.state
        if state.terminated is not None and state.terminated.exitCode == 0:
            continue
        if each.name in sidecars and each.started:
            continue
        if state.terminated is not None:
            return begun, f"Init:{_ended(each)}"
        if state.waiting is not None and state.waiting.reason not in ("", "PodInitializing"):
            return begun, f"Init:{state.waiting.reason}"
        return begun, f"Init:{index}/{len(pod.spec.initContainers)}"
    return begun, ""


def _past_init(pod: Pod) -> bool:
    return not _begun(pod)[1] or _is_true(pod.status.conditions, "Initialized")


def _sidecars(pod: Pod) -> set[str]:
    return {each.name for each in pod.spec.initContainers if each.restartPolicy == "Always"}


def _runs(container: ContainerStatus) -> bool:
    state = container.state
    quiet = state.waiting is None or not state.waiting.reason
    return quiet and state.terminated is None and container.ready and state.running is not None


def _ended(container: ContainerStatus) -> str:
    ended = container.state.terminated
    assert ended is not None
    if ended.reason:
        return ended.reason
    return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exitCode}"


def _is_true(conditions: Iterable[PodCondition], kind: str) -> bool:
    return next((each.status == "True" for each in conditions if each.type == kind), False)


def _gates(pod: Pod) -> str:
    gates = pod.spec.readinessGates
    open_ = sum(1 for gate in gates if _is_true(pod.status.conditions, gate.conditionType))
    return f"{open_}/{len(gates)}" if gates else NONE


COLUMNS = (
    NAME,
    column("Ready", ready, "How many of its containers are ready."),
    column("Status", status, "What state its containers are in."),
    column("Restarts", restarts, "How often its containers were restarted, and when last."),
    AGE,
    column("IP", lambda pod: pod.status.podIPs[0].ip if pod.status.podIPs else NONE, "Its address.", wide=True),
    column("Node", lambda pod: pod.spec.nodeName or NONE, "The node that it runs on.", wide=True),
    column(
        "Nominated Node",
        lambda pod: pod.status.nominatedNodeName or NONE,
        "The node where others make room for it.",
        wide=True,
    ),
    column("Readiness Gates", _gates, "Conditions of others that must be true, and how many are.", wide=True),
)
