"""One pod's worker: a state machine that is woken by whatever concerns its pod, and sleeps otherwise.

    Syncing ──deleted, evicted, deadline, done──▶ Terminating ──all down──▶ Terminated ──cleaned up──▶ Finished

`loop.py` makes a worker for each pod of this node and wakes it for pod updates, runtime events, probe results and
changed ConfigMaps and Secrets. While syncing, the worker looks (view), decides (`plan.py`), says how the pod is
(`status.py` → `statuses.py`) and sets operations going (`actions.py`, `killing.py`); operations run as its child tasks,
so a slow pull never keeps it from seeing, telling or stopping.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.core.resources import ResourceRequirements
from kijabi.base import clock, rand
from kijabi.base.backoff import Backoff as Delays
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet import collect, operations, podspec, references, resize
from kijabi.kubelet.parts import Parts
from kijabi.kubelet.plan import Start
from kijabi.kubelet.plan import plan as make_plan
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.resize import Change
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.kubelet.status import Surroundings, pod_status

log = logging.getLogger(__name__)

RESYNC_SECONDS = 90.0
DEADLINE = ("Failed", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class Syncing(msgspec.Struct, frozen=True):
    """The pod is to run: start what is due, restart what failed, tell how it is."""


class Terminating(msgspec.Struct, frozen=True):
    """All is to stop. ended: phase, reason and message if the kubelet ends the pod; grace: seconds, None its own."""

    ended: tuple[str, str, str] | None = None
    grace: int | None = None


class Terminated(msgspec.Struct, frozen=True):
    """Nothing runs any more: clean up, and once the pod is deleted, let go of it."""


class Finished(msgspec.Struct, frozen=True):
    """Nothing is left of the pod on this node."""


State = Syncing | Terminating | Terminated | Finished


class PodWorker:
    """The worker of one pod. pod: as the API shows it; gone: the API object no longer exists."""

    def __init__(self, pod: Pod, parts: Parts, *, gone: bool = False) -> None:
        self.pod = pod
        self.gone = gone
        self.state: State = Syncing()
        self.uid = pod.metadata.uid
        self.parts = parts
        self._woken = asyncio.Event()
        self._evicted: Terminating | None = None
        self.resizing: tuple[str, str, str] | None = None  # the condition that tells of it
        self._ops = operations.Operations(self)
        self._volumes_done = False
        self._volumes_stale = True
        self._delays = Delays(first=0.5, most=30.0)

    # Being told

    def wake(self) -> None:
        """Something about the pod changed: look again."""
        self._woken.set()

    def update(self, pod: Pod) -> None:
        """The API object changed."""
        changed = pod.metadata.labels != self.pod.metadata.labels
        changed = changed or pod.metadata.annotations != self.pod.metadata.annotations
        self._volumes_stale = self._volumes_stale or changed
        self.pod = pod
        self._ops.retry_soon()
        self.wake()

    def refs_changed(self) -> None:
        """A ConfigMap or Secret that the pod uses changed."""
        self._volumes_stale = True
        self._ops.retry_soon()
        self.wake()

    def removed(self) -> None:
        """The API object is gone: stop everything, tell nobody."""
        self.gone = True
        self.wake()

    def evict(self, reason: str, message: str, grace: int | None = None) -> None:
        """End the pod as Failed with this reason. grace: seconds, None for its own."""
        self._evicted = self._evicted or Terminating(("Failed", reason, message), grace)
        self.wake()

    # The state machine

    async def run(self) -> None:
        """Work until nothing is left of the pod."""
        while not isinstance(self.state, Finished):
            match self.state:
                case Syncing():
                    self.state = await self._sync()
                case Terminating():
                    self.state = await self._terminate(self.state)
                case Terminated():
                    self.state = await self._clean_up()

    async def _sync(self) -> State:
        parts = self.parts
        async with asyncio.TaskGroup() as group:
            self._ops.group = group
            while True:
                self._woken.clear()
                now = clock.wall()
                following = self._following()
                if following is None:
                    parts.references.use(self.uid, references.of_pod(self.pod, claims=not self._volumes_done))
                    parts.probes.add(self.pod, parts.host_ips)
                    following = self._step(now)
                if following is not None:
                    await self._ops.cancel_all()
                    return following
                await self._wait(self._due(now))

    def _following(self) -> Terminating | None:
        """Whether the pod is to end, by its API object, its deadline or an eviction."""
        pod = self.pod
        if self.gone or pod.metadata.deletionTimestamp is not None or podspec.is_terminal(pod):
            return Terminating()
        if self._evicted is not None:
            return self._evicted
        if (until := self._deadline()) is not None and clock.wall() >= until:
            self.parts.reports.pod(pod, "Normal", DEADLINE[1], DEADLINE[2])
            return Terminating(DEADLINE)
        return None

    def _step(self, now: float) -> Terminating | None:
        """Look, decide, tell, act; the next state if the pod's work is done. now: in seconds since the epoch."""
        pod, parts = self.pod, self.parts
        view = parts.cache.view(self.uid)
        self._ops.look()
        decided = make_plan(pod, view, now, self._ops.backoffs, parts.probes.results)
        self._ops.note_waiting(decided, now)
        resizes = self._consider_resize()
        status = self._publish()
        if status.phase in ("Succeeded", "Failed"):
            return Terminating()
        if decided.kill_pod and not decided.create_sandbox:
            # All containers are done for good; how the pod ended shows once they are down.
            return Terminating()
        self._ops.launch(decided)
        self._ops.resize(resizes, decided)
        return None

    def _consider_resize(self) -> tuple[Change, ...]:
        """What is to be resized now; what the node cannot give waits, and shows as a condition."""
        pod, parts = self.pod, self.parts
        found = resize.changes(pod, parts.cache.view(self.uid), self._ops.actuated)
        before = self.resizing
        if not found:
            self.resizing = None
            if before is not None:
                text = resize.summary(pod, "Pod resize completed")
                parts.reports.pod(pod, "Normal", "ResizeCompleted", text)
            return ()
        refused = parts.may_resize(pod)
        if refused is None:
            self.resizing = (resize.IN_PROGRESS, "", "")
        else:
            self.resizing = (resize.PENDING, *refused)
        if before is None or before[:2] != self.resizing[:2]:
            word = refused[0] if refused is not None else "started"
            kind = "Warning" if refused is not None else "Normal"
            text = resize.summary(pod, f"Pod resize {word}", refused[1] if refused is not None else "")
            parts.reports.pod(pod, kind, f"Resize{word.capitalize()}", text)
        return found if refused is None else ()

    def _publish(self, *, terminal: bool = False, ended: tuple[str, str, str] | None = None) -> PodStatus:
        """Make the status and have it sent."""
        parts = self.parts
        around = Surroundings(
            runtime=parts.runtime_name,
            host_ips=parts.host_ips,
            probed=parts.probes.results,
            reasons=self._ops.reasons,
            actuated=self._actuated(),
            resize=self.resizing,
            ended=ended,
        )
        previous = parts.statuses.last(self.pod)
        view = parts.cache.view(self.uid)
        status = pod_status(self.pod, view, previous, around, clock.wall(), terminal=terminal)
        if not self.gone:
            parts.statuses.publish(self.pod, status)
        return status

    def _actuated(self) -> dict[str, ResourceRequirements]:
        """What the running containers have, by their ids."""
        found = {}
        for info in self.parts.cache.view(self.uid).running:
            known = podspec.find(self.pod.spec, info.name)
            if known is not None:
                found[info.id] = resize.held(info, known[1], self._ops.actuated)
        return found

    def holds_up(self, start: Start) -> bool:
        """Whether a container that did not start keeps those after it from starting."""
        return start.kind == "init" and not podspec.is_sidecar(self.pod.spec.initContainers[start.index])

    def report_backoff(self, name: str) -> None:
        """Say that a container waits for its back-off."""
        text = f"Back-off restarting failed container {name} in pod {podspec.full_name(self.pod)}"
        self.parts.reports.container(self.pod, name, "Warning", "BackOff", text)

    # Waiting

    def _deadline(self) -> float | None:
        seconds = self.pod.spec.activeDeadlineSeconds
        started = self.parts.statuses.last(self.pod).startTime
        return started.timestamp() + seconds if seconds is not None and started else None

    def _due(self, now: float) -> float:
        """The next time, in seconds since the epoch, at which the worker must look without being woken.

        now: when it last began to look. What became due since counts, what was due before was seen then.
        """
        resync = now + RESYNC_SECONDS * (1 + rand.rng().random() / 2)
        renew = self.parts.volumes.renew_at(self.uid)
        times = [resync, self._ops.next_retry(), self._deadline(), renew if renew is None or renew > now else None]
        return min(t for t in times if t is not None)

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - clock.wall(), 0.001)):
                await self._woken.wait()
        except TimeoutError:
            return

    # Volumes

    def volumes_due(self) -> bool:
        """Whether the volumes were not made yet, or show something old."""
        renew = self.parts.volumes.renew_at(self.uid)
        old = renew is not None and clock.wall() >= renew
        return self._volumes_stale or not self._volumes_done or old

    async def set_up_volumes(self) -> None:
        """Make the volumes or bring them up to date. Raises VolumeProblem; the event is recorded then."""
        self._volumes_stale = False
        try:
            await self.parts.volumes.setup(self.pod, self.parts.starter.facts(self.pod))
        except VolumeProblem as problem:
            self._volumes_stale = True
            self.parts.reports.pod(self.pod, "Warning", "FailedMount", problem.said)
            raise
        self._volumes_done = True

    # Ending

    async def _terminate(self, state: Terminating) -> State:
        """Stop all containers; a grace period that gets shorter meanwhile is kept to."""
        parts = self.parts
        parts.probes.stop(self.uid, readiness=False)
        if self._ops.interrupted:
            await self._retrying(parts.cache.resync)
        await self._retrying(lambda: self._kill(state))
        parts.probes.stop(self.uid)
        parts.references.drop(self.uid)
        ended = state.ended
        if self.gone:
            return Terminated()
        self._publish(terminal=True, ended=ended)
        return Terminated()

    async def _kill(self, state: Terminating) -> None:
        """Stop the pod. Raises RuntimeFailure or ConnectionLost."""
        async with asyncio.TaskGroup() as group:
            grace = self._grace(state)
            stopping = group.create_task(self._stop(grace, again=False))
            while not stopping.done():
                self._woken.clear()
                self._publish()
                shorter = self._grace(state)
                if shorter < grace:
                    grace = shorter
                    stopping.cancel()
                    stopping = group.create_task(self._stop(grace, again=True))
                await self._woken.wait()
        problem = stopping.result()
        if problem is not None:
            raise problem
        view = await self.parts.cache.refresh_pod(self.uid)
        if view.running:
            raise RuntimeFailure("KillPodFailed", "containers still run after they were stopped")

    async def _stop(self, grace: int, *, again: bool) -> RuntimeFailure | ConnectionLost | None:
        """Stop the containers and wake the worker; gives what went wrong."""
        try:
            await self.parts.killing.pod(self.pod, grace, again=again)
        except (RuntimeFailure, ConnectionLost) as problem:
            return problem
        finally:
            self.wake()
        return None

    def _grace(self, state: Terminating) -> int:
        own = podspec.grace_period(self.pod)
        if self.gone:
            own = min(own, 1)
        return own if state.grace is None else min(own, state.grace)

    async def _retrying(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it until the runtime plays along."""
        while True:
            try:
                await work()
                self._delays.reset()
                return
            except (RuntimeFailure, ConnectionLost) as problem:
                wait = self._delays.next()
                log.warning("pod not stopped yet", extra={"pod": self.uid, "reason": str(problem)})
                if not self.gone:
                    text = f"error killing pod: {problem}"
                    self.parts.reports.pod(self.pod, "Warning", "FailedKillPod", text)
                await asyncio.sleep(wait)

    async def _clean_up(self) -> State:
        """Take the volumes down, and once the pod is deleted, remove all traces and let its API object go."""
        parts = self.parts
        while True:
            try:
                await parts.volumes.teardown(self.uid)
                await parts.groups.remove(self.uid)
                break
            except OSError as problem:
                log.warning("pod not cleaned up yet", extra={"pod": self.uid, "reason": str(problem)})
                await asyncio.sleep(self._delays.next())
        while not self.gone and self.pod.metadata.deletionTimestamp is None:
            self._woken.clear()
            await self._woken.wait()
        await self._retrying(lambda: collect.remove_pod(parts, self.uid))
        parts.images.forget(self.uid)
        await collect.remove_logs(parts, self.pod)
        if not self.gone:
            await parts.statuses.delete(self.pod)
        return Finished()
