"""What to do next for a pod, decided purely: from spec, runtime view, probe results, back-offs and the time.

`podworker.py` calls `plan` whenever something changed and `actions.py` carries the result out. The rules are those
of the pod lifecycle (init containers in order, sidecars by KEP-753, restart policy, back-off); nothing here waits
or has effects, so every case is a line in a table of tests.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.kubelet import backoff, podspec
from kijabi.kubelet.backoff import Backoff
from kijabi.kubelet.podspec import Kind
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.view import CONTAINER_HASH, PodView, container_hash

STARTUP, LIVENESS = "StartupProbe", "LivenessProbe"


class Probed(msgspec.Struct, frozen=True):
    """The present results of the probes, by container id; True is success, absent is not yet known."""

    startup: Mapping[str, bool] = {}
    liveness: Mapping[str, bool] = {}
    readiness: Mapping[str, bool] = {}


class Kill(msgspec.Struct, frozen=True):
    """Stop one container. cause: StartupProbe or LivenessProbe where a probe's own grace period may count."""

    id: str
    name: str
    message: str
    cause: str = ""


class Start(msgspec.Struct, frozen=True):
    """Create and start one container of the pod, found by its kind and its place in the spec's list."""

    kind: Kind
    index: int
    name: str


class Wait(msgspec.Struct, frozen=True):
    """A container that is to start but must wait for its back-off. until: seconds since the epoch."""

    name: str
    until: float
    message: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, in this order: kill the pod or single containers, make a sandbox, start what is due.

    kill_pod: stop all containers and the sandbox. create_sandbox: with `attempt`; otherwise `sandbox_id` is used.
    waiting: what would be started but for its back-off. In-place resizes are decided apart, in `resize.py`.
    """

    kill_pod: bool = False
    create_sandbox: bool = False
    sandbox_id: str = ""
    attempt: int = 0
    kill: tuple[Kill, ...] = ()
    start: tuple[Start, ...] = ()
    waiting: tuple[Wait, ...] = ()


def sandbox_changed(pod: Pod, view: PodView) -> tuple[bool, int, str, str]:
    """Whether a new sandbox is needed, its attempt, the present sandbox's id, and why.

    The reason is the message of the PodReadyToStartContainers condition.
    """
    if not view.sandboxes:
        return True, 0, "", "no pod sandbox exists"
    newest = view.sandboxes[0]
    if sum(box.ready for box in view.sandboxes) > 1:
        return True, newest.attempt + 1, newest.id, "multiple pod sandboxes are ready and need to be reconciled"
    if not newest.ready:
        return True, newest.attempt + 1, newest.id, "pod sandbox is not ready"
    if newest.host_network != pod.spec.hostNetwork:
        why = "network namespace mode changed and sandbox needs to be recreated"
        return True, newest.attempt + 1, "", why
    if not newest.host_network and not newest.ips:
        return True, newest.attempt + 1, newest.id, "pod sandbox has no IP address"
    return False, newest.attempt, newest.id, ""


def should_start(container: Container, pod: Pod, view: PodView) -> bool:
    """Whether a container that does not run is to be started (again)."""
    if pod.metadata.deletionTimestamp is not None:
        return False
    latest = view.latest(container.name)
    if latest is None:
        return True
    if latest.state == "exited":
        return podspec.restarts(container, pod.spec, latest.exit_code)
    return latest.state != "running"


def initialized(pod: Pod, view: PodView) -> bool:
    """Whether a regular container exists in the present sandbox, so that all init containers are done."""
    return any(view.active(c.name) is not None for c in pod.spec.containers)


def plan(pod: Pod, view: PodView, now: float, backoffs: Mapping[str, Backoff], probed: Probed | None = None) -> Plan:
    """The next step for a pod that is not being terminated.

    now: seconds since the epoch. backoffs: by container name. A start that its back-off holds up moves from
    `start` to `waiting`; an init container that waits holds up all that comes after it.
    """
    probed = probed or Probed()
    changed, attempt, sandbox_id, _ = sandbox_changed(pod, view)
    if changed:
        found = _renew(pod, view, attempt, sandbox_id)
    else:
        found = _keep(pod, view, attempt, sandbox_id, probed)
    return _hold_back(found, pod, view, now, backoffs)


def _renew(pod: Pod, view: PodView, attempt: int, sandbox_id: str) -> Plan:
    """Everything is killed and made anew, from the first init container; unless the pod's work is done."""
    stop = Plan(kill_pod=True, sandbox_id=sandbox_id, attempt=attempt)
    if pod.spec.restartPolicy == "Never" and attempt != 0 and view.containers:
        return stop
    due = []
    for index, container in enumerate(pod.spec.containers):
        policy = container.restartPolicy or pod.spec.restartPolicy
        latest = view.latest(container.name)
        succeeded = latest is not None and latest.state == "exited" and latest.exit_code == 0
        if not (policy == "OnFailure" and succeeded):
            due.append(Start("container", index, container.name))
    if not due and any(view.latest(c.name) is not None for c in pod.spec.containers):
        return stop
    if pod.spec.initContainers:
        due = [Start("init", 0, pod.spec.initContainers[0].name)]
    return Plan(
        kill_pod=bool(view.sandboxes or view.running),
        create_sandbox=True,
        sandbox_id=sandbox_id,
        attempt=attempt,
        start=tuple(due),
    )


def _keep(pod: Pod, view: PodView, attempt: int, sandbox_id: str, probed: Probed) -> Plan:
    """The sandbox stays: start, restart or kill single containers."""
    extra = tuple(
        Start("ephemeral", index, each.name)
        for index, each in enumerate(pod.spec.ephemeralContainers)
        if view.latest(each.name) is None
    )
    base = Plan(sandbox_id=sandbox_id, attempt=attempt, start=extra)
    init = _InitWalk(pod, view, probed)
    init.walk()
    if init.failed:
        return msgspec.structs.replace(base, kill_pod=True)
    starts = tuple(Start("init", i, pod.spec.initContainers[i].name) for i in sorted(init.starts))
    if not init.done:
        return msgspec.structs.replace(base, kill=tuple(init.kills), start=extra + starts)
    kills, due, kept = _regular(pod, view, probed)
    if not kept and not due:
        return msgspec.structs.replace(base, kill_pod=True, kill=(*init.kills, *kills))
    return msgspec.structs.replace(base, kill=(*init.kills, *kills), start=extra + starts + tuple(due))


def _regular(pod: Pod, view: PodView, probed: Probed) -> tuple[list[Kill], list[Start], int]:
    """Kills and starts among the regular containers, and how many simply run on."""
    kills: list[Kill] = []
    starts: list[Start] = []
    kept = 0
    for index, container in enumerate(pod.spec.containers):
        latest = view.latest(container.name)
        if latest is None or latest.state != "running":
            if should_start(container, pod, view):
                starts.append(Start("container", index, container.name))
                if latest is not None and latest.state == "unknown":
                    why = 'Container is in "unknown" state, try killing it before restart'
                    kills.append(Kill(latest.id, container.name, why))
            continue
        message, cause = _unwanted(container, latest, probed)
        if not message:
            kept += 1
            continue
        if not cause or podspec.restarts_on_probe(container, pod.spec):
            message += ", will be restarted"
            starts.append(Start("container", index, container.name))
        kills.append(Kill(latest.id, container.name, message, cause))
    return kills, starts, kept


def _unwanted(container: Container, running: ContainerInfo, probed: Probed) -> tuple[str, str]:
    """Why a running container must go, and which probe said so; ("", "") to keep it."""
    if changed_since_start(container, running):
        return f"Container {container.name} definition changed", ""
    if probed.liveness.get(running.id) is False:
        return f"Container {container.name} failed liveness probe", LIVENESS
    if probed.startup.get(running.id) is False:
        return f"Container {container.name} failed startup probe", STARTUP
    return "", ""


def changed_since_start(container: Container, running: ContainerInfo) -> bool:
    """Whether the container was started from another name or image than the spec now has."""
    return running.annotations.get(CONTAINER_HASH, "") != container_hash(container)


class _InitWalk:
    """The walk over the init containers, last to first: the last one that is there tells how far the pod is.

    Completed ones may have been removed from the runtime, so only the last is trusted. done: all have finished
    (or, sidecars, started). failed: one failed for good.
    """

    def __init__(self, pod: Pod, view: PodView, probed: Probed) -> None:
        self.pod, self.view, self.probed = pod, view, probed
        self.all = pod.spec.initContainers
        self.starts: set[int] = set()
        self.kills: list[Kill] = []
        self.failed = False
        self.done = not self.all or initialized(pod, view)

    def walk(self) -> None:
        """Fill `starts`, `kills`, `done` and `failed`."""
        passed = self.done
        for index in range(len(self.all) - 1, -1, -1):
            container = self.all[index]
            sidecar = podspec.is_sidecar(container)
            info = self.view.active(container.name)
            if info is None:
                if passed and sidecar:
                    self.starts.add(index)
                continue
            if passed and not sidecar:
                continue
            if sidecar:
                self._sidecar(index, container, info, passed)
            else:
                self._ordinary(index, container, info)
            if self.failed:
                return
            passed = True
        if self.all and not passed:
            self.starts.add(0)

    def _next(self, index: int) -> None:
        """The container at `index` has done its part: so the pod is initialised, or the next one's turn comes."""
        if index == len(self.all) - 1:
            self.done = True
        else:
            self.starts.add(index + 1)

    def _ordinary(self, index: int, container: Container, info: ContainerInfo) -> None:
        match info.state:
            case "created":
                self.starts.add(index)
            case "running":
                pass
            case "exited" if info.exit_code == 0:
                self._next(index)
            case "exited":
                if podspec.restarts(container, self.pod.spec, info.exit_code):
                    self.starts.add(index)
                else:
                    self.failed = True
            case _:
                if podspec.restarts_on_probe(container, self.pod.spec):
                    self._kill_and_start(index, container, info, _UNKNOWN, "")
                else:
                    self.failed = True

    def _sidecar(self, index: int, container: Container, info: ContainerInfo, passed: bool) -> None:
        if info.state == "unknown":
            self._kill_and_start(index, container, info, _UNKNOWN, "")
            return
        if info.state != "running":
            self.starts.add(index)
            return
        if container.startupProbe is not None:
            started = self.probed.startup.get(info.id)
            if started is False:
                why = f"Init container {container.name} failed startup probe"
                self._kill_and_start(index, container, info, why, STARTUP)
            if not started:
                return
        if not passed or index == len(self.all) - 1:
            self._next(index)
        if changed_since_start(container, info):
            why = f"Init container {container.name} definition changed"
            self._kill_and_start(index, container, info, why, "")
        elif self.probed.liveness.get(info.id) is False:
            why = f"Init container {container.name} failed liveness probe"
            self._kill_and_start(index, container, info, why, LIVENESS)

    def _kill_and_start(self, index: int, container: Container, info: ContainerInfo, why: str, cause: str) -> None:
        self.kills.append(Kill(info.id, container.name, why, cause))
        self.starts.add(index)


_UNKNOWN = 'Init container is in "unknown" state, try killing it before restart'


def _hold_back(found: Plan, pod: Pod, view: PodView, now: float, backoffs: Mapping[str, Backoff]) -> Plan:
    """Move the starts whose back-off is not over to `waiting`."""
    ready: list[Start] = []
    waiting: list[Wait] = []
    blocked = False
    for start in found.start:
        entry = backoffs.get(start.name)
        ended = next((c for c in view.containers if c.name == start.name and c.state == "exited"), None)
        left = entry.remaining(ended.finished_at, now) if entry and ended else 0.0
        if entry and left > 0:
            why = (
                f"back-off {backoff.text(entry.delay)} restarting failed "
                f"container={start.name} pod={podspec.full_name(pod)}"
            )
            waiting.append(Wait(start.name, now + left, why))
            blocked = blocked or (start.kind == "init" and not _is_sidecar_at(pod, start))
        elif not blocked or start.kind == "ephemeral":
            ready.append(start)
    return msgspec.structs.replace(found, start=tuple(ready), waiting=tuple(waiting))


def _is_sidecar_at(pod: Pod, start: Start) -> bool:
    return podspec.is_sidecar(pod.spec.initContainers[start.index])
