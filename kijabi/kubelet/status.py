"""The PodStatus that the API server is to show, made purely from what the runtime holds.

`podworker.py` calls `pod_status` after every look at the pod and hands the result to `statuses.py`, which sends what
changed. What the runtime has forgotten is carried over from the previous status, so that restarts of this
kubelet, of the runtime or of the machine neither lose an exit code nor count a restart twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    PodIP,
    PodStatus,
    VolumeMountStatus,
)
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.meta import Time
from kijabi.api.quantity import Quantity
from kijabi.kubelet import podspec
from kijabi.kubelet.conditions import conditions
from kijabi.kubelet.phase import phase
from kijabi.kubelet.plan import Probed, initialized, should_start
from kijabi.kubelet.resize import PENDING
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.times import time_at
from kijabi.kubelet.view import PodView, restart_count

GONE = "ContainerStatusUnknown"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a status needs besides the pod and its view.

    runtime: the scheme of container ids, as in `containerd://…`. reasons: why a container is not (re)started, by
    name, as (reason, message). actuated: the resources last applied to a running container, by container id.
    resize: the condition of a resize that is pending or under way, as (type, reason, message).
    ended: (phase, reason, message) when the kubelet itself ends the pod (eviction, deadline, admission).
    """

    runtime: str = "containerd"
    host_ips: tuple[str, ...] = ()
    probed: Probed = Probed()
    reasons: Mapping[str, tuple[str, str]] = {}
    actuated: Mapping[str, ResourceRequirements] = {}
    resize: tuple[str, str, str] | None = None
    ended: tuple[str, str, str] | None = None


def pod_status(
    pod: Pod, view: PodView, previous: PodStatus, around: Surroundings, now: float, *, terminal: bool = False
) -> PodStatus:
    """The status now. previous: the last one made here, else the one the API shows.

    terminal: the containers were stopped for good and `view` shows how they ended.
    """
    stamp = time_at(now)
    status = PodStatus(
        startTime=previous.startTime or pod.status.startTime or stamp,
        qosClass=pod.status.qosClass or podspec.qos_class(pod),
        observedGeneration=pod.metadata.generation,
        nominatedNodeName=pod.status.nominatedNodeName,
        resourceClaimStatuses=pod.status.resourceClaimStatuses,
    )
    maker = _Statuses(pod, view, previous, around)
    status.initContainerStatuses = maker.init()
    status.containerStatuses = maker.regular()
    status.ephemeralContainerStatuses = maker.ephemeral()
    _set_phase(pod, view, previous, around, status, terminal)
    _set_addresses(pod, view, previous, around, status)
    status.conditions = conditions(pod, view, status, previous, stamp, around.resize)
    return status


def _set_phase(
    pod: Pod, view: PodView, previous: PodStatus, around: Surroundings, status: PodStatus, terminal: bool
) -> None:
    """Terminal phases never regress, and none is shown while a container still runs."""
    every = (*status.initContainerStatuses, *status.containerStatuses)
    found = phase(pod, every, terminal=terminal, initialized=initialized(pod, view))
    reason = message = ""
    if around.ended is not None and (terminal or not view.running):
        found, reason, message = around.ended
    if terminal and found not in ("Succeeded", "Failed"):
        found = "Failed"  # Not all of it began: whoever counts pods waits for an end (KEP-3329).
    shown = pod.status.phase if podspec.is_terminal(pod) else previous.phase
    if shown in ("Succeeded", "Failed"):
        found = shown
    elif found in ("Succeeded", "Failed") and view.running:
        found, reason, message = previous.phase or "Pending", "", ""
    if found == previous.phase and not reason:
        reason = previous.reason or pod.status.reason
        message = previous.message or pod.status.message
    status.phase, status.reason, status.message = found, reason, message


def _set_addresses(pod: Pod, view: PodView, previous: PodStatus, around: Surroundings, status: PodStatus) -> None:
    """The pod's addresses; a stopped sandbox has none, but the pod keeps showing what it had."""
    status.hostIPs = tuple(HostIP(ip=ip) for ip in around.host_ips)
    status.hostIP = around.host_ips[0] if around.host_ips else ""
    ips = around.host_ips if pod.spec.hostNetwork else view.ips
    ended = status.phase in ("Succeeded", "Failed") or pod.metadata.deletionTimestamp is not None
    if not ips and ended:
        ips = tuple(each.ip for each in previous.podIPs)
    status.podIPs = tuple(PodIP(ip=ip) for ip in ips)
    status.podIP = ips[0] if ips else ""


class _Statuses:
    """Makes the container statuses of one pod."""

    def __init__(self, pod: Pod, view: PodView, previous: PodStatus, around: Surroundings) -> None:
        self.pod, self.view, self.previous, self.around = pod, view, previous, around
        self.created_any = any(view.latest(c.name) is not None for c in pod.spec.containers)

    def init(self) -> tuple[ContainerStatus, ...]:
        """In the order of the spec."""
        old = self.previous.initContainerStatuses
        return tuple(self._one(c, old, init=True) for c in self.pod.spec.initContainers)

    def regular(self) -> tuple[ContainerStatus, ...]:
        """Sorted by name, as clients know them."""
        return self._sorted(self.pod.spec.containers, self.previous.containerStatuses)

    def ephemeral(self) -> tuple[ContainerStatus, ...]:
        """Sorted by name."""
        return self._sorted(self.pod.spec.ephemeralContainers, self.previous.ephemeralContainerStatuses)

    def _sorted(self, containers: Iterable[object], old: tuple[ContainerStatus, ...]) -> tuple[ContainerStatus, ...]:
        made = (self._one(c, old, init=False) for c in containers)  # type: ignore[arg-type]
        return tuple(sorted(made, key=lambda status: status.name))

    def _one(self, container: Container, olds: tuple[ContainerStatus, ...], *, init: bool) -> ContainerStatus:
        old = next((each for each in olds if each.name == container.name), None)
        history = [c for c in self.view.containers if c.name == container.name][:2]
        if history:
            status = self._seen(container, history, old)
        else:
            status = self._unseen(container, old)
        self._explain(container, status, history, init)
        self._set_probed(container, status, history, old, init)
        return status

    def _unseen(self, container: Container, old: ContainerStatus | None) -> ContainerStatus:
        """The runtime holds no such container: not made yet, or removed since."""
        status = ContainerStatus(
            name=container.name,
            image=container.image,
            state=self._not_started(),
            volumeMounts=_mounts(container),
        )
        if old is None:
            return status
        if old.state.terminated is not None:
            return msgspec.structs.replace(old)
        status.restartCount, status.lastState = old.restartCount, old.lastState
        if old.state.running is not None and status.lastState.terminated is None:
            status.lastState = ContainerState(
                terminated=ContainerStateTerminated(
                    reason=GONE,
                    message=(
                        "The container could not be located when the pod was deleted.  The container used to be Running"
                    ),
                    exitCode=137,
                )
            )
            status.restartCount += self.pod.metadata.deletionTimestamp is None
        return status

    def _seen(self, container: Container, history: list[ContainerInfo], old: ContainerStatus | None) -> ContainerStatus:
        """The runtime holds it, perhaps with the one before it."""
        newest = history[0]
        status = ContainerStatus(
            name=container.name,
            image=newest.image or container.image,
            imageID=newest.image_ref,
            containerID=self._id(newest),
            restartCount=restart_count(newest),
            state=self._state(newest, old),
            volumeMounts=_mounts(container),
            allocatedResources=self._allocated(container, newest),
            resources=self._resources(container, newest),
        )
        if len(history) > 1:
            status.lastState = self._state(history[1], None)
        elif old is not None:
            replaced = old.containerID and old.containerID != status.containerID
            status.lastState = old.state if replaced and old.state.terminated is not None else old.lastState
        if old is not None:
            lost = newest.state == "unknown" and old.state.running is not None
            status.restartCount = max(status.restartCount, old.restartCount + lost)
        return status

    def _id(self, info: ContainerInfo) -> str:
        return f"{self.around.runtime}://{info.id}"

    def _allocated(self, container: Container, info: ContainerInfo) -> dict[str, Quantity]:
        """What the node has set aside: the wish, unless it must still wait."""
        pending = self.around.resize is not None and self.around.resize[0] == PENDING
        return self._resources(container, info).requests if pending else container.resources.requests

    def _resources(self, container: Container, info: ContainerInfo) -> ResourceRequirements:
        if info.state != "running":
            return container.resources
        return self.around.actuated.get(info.id, container.resources)

    def _state(self, info: ContainerInfo, old: ContainerStatus | None) -> ContainerState:
        """How it is. What ended stays as it was first told: its message may be gone from disk since."""
        match info.state:
            case "exited" if old is not None and old.state.terminated and old.containerID == self._id(info):
                return old.state
            case "running":
                return ContainerState(running=ContainerStateRunning(startedAt=time_at(info.started_at)))
            case "exited":
                return ContainerState(
                    terminated=ContainerStateTerminated(
                        exitCode=info.exit_code,
                        reason=info.reason or ("Completed" if info.exit_code == 0 else "Error"),
                        message=info.message,
                        startedAt=time_at(info.started_at),
                        finishedAt=time_at(info.finished_at),
                        containerID=self._id(info),
                    )
                )
            case "unknown" if old is not None and old.state.running is not None:
                return ContainerState(
                    terminated=ContainerStateTerminated(
                        reason=GONE,
                        message="The container could not be located when the pod was terminated",
                        exitCode=137,
                    )
                )
            case _:
                return self._not_started()  # made this moment: who watches must not see its reason flicker

    def _not_started(self) -> ContainerState:
        """Waiting for what has to come before it."""
        reason = "PodInitializing" if self.pod.spec.initContainers else "ContainerCreating"
        return ContainerState(waiting=ContainerStateWaiting(reason=reason))

    def _explain(self, container: Container, status: ContainerStatus, history: list[ContainerInfo], init: bool) -> None:
        """A container that will be started, but is not yet, waits; say why if that is known."""
        if init and not history and self.created_any and not podspec.is_sidecar(container):
            if status.state.waiting is not None:
                status.state = ContainerState(terminated=_ASSUMED_DONE)
            return
        finished = bool(history) and history[0].state == "exited" and history[0].exit_code == 0
        if init and finished and not podspec.is_sidecar(container):
            return
        why = self.around.reasons.get(container.name)
        if why is None or not should_start(container, self.pod, self.view):
            return
        if status.state.terminated is not None:
            status.lastState = status.state
        status.state = ContainerState(waiting=ContainerStateWaiting(reason=why[0], message=why[1]))

    def _set_probed(
        self,
        container: Container,
        status: ContainerStatus,
        history: list[ContainerInfo],
        old: ContainerStatus | None,
        init: bool,
    ) -> None:
        """Set `started` and `ready`; a probe that has not answered since this kubelet began changes neither."""
        running = status.state.running is not None and bool(history)
        same = old if old is not None and old.containerID == status.containerID else None
        probed = self.around.probed
        if not running:
            status.started = False
            done = status.state.terminated
            status.ready = init and not podspec.is_sidecar(container) and done is not None and done.exitCode == 0
            return
        container_id = history[0].id
        started = container.startupProbe is None or probed.startup.get(container_id, bool(same and same.started))
        status.started = started
        if init and not podspec.is_sidecar(container):
            return
        status.ready = started and (
            container.readinessProbe is None or probed.readiness.get(container_id, bool(same and same.ready))
        )


_ASSUMED_DONE = ContainerStateTerminated(
    reason="Completed",
    message=(
        "Unable to get init container status from container runtime and pod has been initialized, "
        "treat it as exited normally"
    ),
)


def _mounts(container: Container) -> tuple[VolumeMountStatus, ...]:
    """What is mounted where, as the status repeats it; read-only mounts say whether recursively so (KEP-3857)."""
    return tuple(
        VolumeMountStatus(
            name=mount.name,
            mountPath=mount.mountPath,
            readOnly=mount.readOnly,
            recursiveReadOnly="Disabled" if mount.readOnly else None,
        )
        for mount in container.volumeMounts
    )


def rejected(pod: Pod, reason: str, message: str, now: Time) -> PodStatus:
    """The status of a pod that this node does not admit."""
    kept = msgspec.structs.replace(pod.status)
    kept.phase, kept.reason, kept.message = "Failed", reason, f"Pod was rejected: {message}"
    kept.startTime = kept.startTime or now
    kept.observedGeneration = pod.metadata.generation
    kept.qosClass = kept.qosClass or podspec.qos_class(pod)
    return kept
