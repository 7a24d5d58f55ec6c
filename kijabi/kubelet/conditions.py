"""The conditions that a kubelet sets on a pod, made purely from the container statuses.

`status.py` calls `conditions`; readiness gates and conditions that others own are kept as they are. Reasons and
messages are those of k8s.io/kubernetes `pkg/kubelet/status`, as clients and tests read them.
"""

from __future__ import annotations

from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus, PodCondition, PodStatus
from kijabi.api.meta import Time
from kijabi.kubelet import podspec
from kijabi.kubelet.plan import sandbox_changed
from kijabi.kubelet.view import PodView

OWNED = frozenset(
    {
        "PodScheduled",
        "Ready",
        "Initialized",
        "ContainersReady",
        "PodReadyToStartContainers",
        "PodResizePending",
        "PodResizeInProgress",
    }
)


def conditions(
    pod: Pod,
    view: PodView,
    status: PodStatus,
    previous: PodStatus,
    now: Time,
    resize: tuple[str, str, str] | None = None,
) -> tuple[PodCondition, ...]:
    """All conditions for a status whose phase and container statuses are already set.

    A condition whose status did not change keeps its transition time. resize: type, reason and message of the
    condition that tells of a resize that is pending or under way.
    """
    foreign = [c for c in pod.status.conditions if c.type not in OWNED]
    if not any(c.type == "DisruptionTarget" for c in foreign):
        foreign += [c for c in previous.conditions if c.type == "DisruptionTarget"]
    containers_ready = _containers_ready(pod, status)
    own = [
        _sandbox_ready(pod, view),
        _initialized(pod, status),
        _ready(pod, containers_ready, foreign),
        containers_ready,
        _condition("PodScheduled", ""),
    ]
    if resize is not None:
        own.insert(0, _condition(*resize))
    generation = pod.metadata.generation
    return (*foreign, *(_stamp(c, previous, generation, now) for c in own))


def _stamp(made: PodCondition, previous: PodStatus, generation: int, now: Time) -> PodCondition:
    """Set the times and the generation, on the condition just made."""
    old = next((c for c in previous.conditions if c.type == made.type), None)
    made.observedGeneration = generation
    made.lastTransitionTime = (old.lastTransitionTime if old is not None and old.status == made.status else now) or now
    return made


def _condition(kind: str, reason: str, message: str = "", *, true: bool = True) -> PodCondition:
    return PodCondition(type=kind, status="True" if true else "False", reason=reason, message=message)


def _named(status: PodStatus) -> dict[str, ContainerStatus]:
    return {c.name: c for c in (*status.initContainerStatuses, *status.containerStatuses)}


def _containers_ready(pod: Pod, status: PodStatus) -> PodCondition:
    known = _named(status)
    wanted = [c for c in pod.spec.initContainers if podspec.is_sidecar(c)] + list(pod.spec.containers)
    unknown = [c.name for c in wanted if c.name not in known]
    unready = [c.name for c in wanted if c.name in known and not known[c.name].ready]
    if status.phase == "Succeeded" and not unknown:
        return _condition("ContainersReady", "PodCompleted", true=False)
    if status.phase == "Failed":
        return _condition("ContainersReady", "PodFailed", true=False)
    messages = []
    if unknown:
        messages.append(f"containers with unknown status: [{' '.join(unknown)}]")
    if unready:
        messages.append(f"containers with unready status: [{' '.join(unready)}]")
    if messages:
        return _condition("ContainersReady", "ContainersNotReady", ", ".join(messages), true=False)
    return _condition("ContainersReady", "")


def _ready(pod: Pod, containers_ready: PodCondition, foreign: list[PodCondition]) -> PodCondition:
    if containers_ready.status != "True":
        return _condition("Ready", containers_ready.reason, containers_ready.message, true=False)
    held = {c.type: c.status for c in foreign}
    messages = []
    for gate in pod.spec.readinessGates:
        value = held.get(gate.conditionType)
        if value is None:
            messages.append(f'corresponding condition of pod readiness gate "{gate.conditionType}" does not exist.')
        elif value != "True":
            messages.append(f'the status of pod readiness gate "{gate.conditionType}" is not "True", but {value}')
    if messages:
        return _condition("Ready", "ReadinessGatesNotReady", ", ".join(messages), true=False)
    return _condition("Ready", "")


def _initialized(pod: Pod, status: PodStatus) -> PodCondition:
    known = _named(status)
    unknown: list[str] = []
    incomplete: list[str] = []
    for container in pod.spec.initContainers:
        found = known.get(container.name)
        if found is None:
            unknown.append(container.name)
        elif not (found.started if podspec.is_sidecar(container) else found.ready):
            incomplete.append(container.name)
    if status.phase == "Succeeded" and not unknown:
        return _condition("Initialized", "PodCompleted")
    if any(c.state is not None and (c.state.running or c.state.terminated) for c in status.containerStatuses):
        return _condition("Initialized", "")
    messages = []
    if unknown:
        messages.append(f"containers with unknown status: [{' '.join(unknown)}]")
    if incomplete:
        messages.append(f"containers with incomplete status: [{' '.join(incomplete)}]")
    if messages:
        return _condition("Initialized", "ContainersNotInitialized", ", ".join(messages), true=False)
    return _condition("Initialized", "")


def _sandbox_ready(pod: Pod, view: PodView) -> PodCondition:
    changed, _, _, why = sandbox_changed(pod, view)
    if changed:
        return _condition("PodReadyToStartContainers", "PodSandboxNotReady", why, true=False)
    return _condition("PodReadyToStartContainers", "")
