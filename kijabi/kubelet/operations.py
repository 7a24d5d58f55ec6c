"""What a pod worker has under way: starts, kills, volume updates; and what is remembered of those that failed.

Owned by `podworker.PodWorker`, which asks it to `launch` a plan; each operation is a child task of the worker's sync
and wakes the worker at its end. Containers start in the order of the spec, one after the other; what is being
operated on is left out of the next plan.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from kijabi.api.core.resources import ResourceRequirements
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet import backoff, collect
from kijabi.kubelet.actions import StartProblem
from kijabi.kubelet.backoff import Backoff
from kijabi.kubelet.plan import Kill, Plan, Start
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.resize import Change, summary
from kijabi.kubelet.resources import container_resources
from kijabi.kubelet.runtime.interface import Image, RuntimeFailure

if TYPE_CHECKING:
    from kijabi.kubelet.podworker import PodWorker

log = logging.getLogger(__name__)

START, VOLUMES = "(start)", "(volumes)"
FIRST_RETRY, MOST_RETRY = 0.5, 120.0


class Operations:
    """The operations of one worker."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self.group: asyncio.TaskGroup | None = None
        self.interrupted = False  # whether something was cut off, so that the runtime may hold what we do not know
        self.backoffs: dict[str, Backoff] = {}  # of crash loops, by container name
        self.reasons: dict[str, tuple[str, str]] = {}  # why a container is not started, by its name
        self.actuated: dict[str, ResourceRequirements] = {}  # what was given by resizes, by container id
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: dict[str, str] = {}  # container name → the operation that has it
        self._retry: dict[str, float] = {}  # when to try again, by container name or operation
        self._failures: dict[str, int] = {}
        self._told: dict[str, float] = {}  # until when a back-off was already reported
        self._too_early = math.inf  # when the first of what the last look found too early is due, on the loop's clock

    def retry_soon(self) -> None:
        """Something changed that may have been what was missing: do not wait to try again."""
        self._retry = {
            key: until
            for key, until in self._retry.items()
            if self.reasons.get(key, ("",))[0] in ("ErrImagePull", "ImagePullBackOff")
        }

    def look(self) -> None:
        """The worker looks at its pod anew."""
        self._too_early = math.inf

    def next_retry(self) -> float | None:
        """When to look again for what the last look found too early, in seconds since the epoch.

        It may be over by now: looking takes time, too.
        """
        if self._too_early == math.inf:
            return None
        return clock.wall() + self._too_early - clock.monotonic()

    def _waits(self, key: str) -> bool:
        """Whether it is too early to try something again; whatever happens to the date meanwhile."""
        until = self._retry.get(key, 0.0)
        if until <= clock.monotonic():
            return False
        self._too_early = min(self._too_early, until)
        return True

    def note_waiting(self, plan: Plan, now: float) -> None:
        """Remember and report the containers that wait for their back-off. now: of the plan, since the epoch."""
        worker = self._worker
        waiting = {wait.name for wait in plan.waiting}
        self._told = {name: until for name, until in self._told.items() if name in waiting}
        for wait in plan.waiting:
            self._too_early = min(self._too_early, clock.monotonic() + wait.until - now)
            if wait.name in self._busy or self._waits(wait.name):
                continue
            self.reasons[wait.name] = ("CrashLoopBackOff", wait.message)
            if self._told.get(wait.name, 0.0) < wait.until - 0.5:
                self._told[wait.name] = wait.until
                worker.report_backoff(wait.name)

    def launch(self, plan: Plan) -> None:
        """Set going what the plan asks for and is neither under way nor to be waited for."""
        kills = {kill.name: kill for kill in plan.kill if kill.name not in self._busy}
        starts = [s for s in plan.start if s.name not in self._busy and not self._waits(s.name)]
        for start in starts:
            if start.name in kills:
                kill = kills.pop(start.name)
                self._go(f"restart {start.name}", (start.name,), self._restart(plan, kill, start))
        for kill in kills.values():
            self._go(f"kill {kill.name}", (kill.name,), self._kill(kill))
        fresh = tuple(s for s in starts if s.name not in self._busy)
        if START not in self._tasks and (fresh or plan.create_sandbox) and not self._waits(START):
            self._go(START, tuple(s.name for s in fresh), self._start_all(plan, fresh))
        elif not self._tasks.keys() & {START, VOLUMES} and self._worker.volumes_due() and not self._waits(VOLUMES):
            self._go(VOLUMES, (), self._set_up_volumes())

    def resize(self, changes: tuple[Change, ...], plan: Plan) -> None:
        """Set going the resizes that are neither under way nor to be waited for."""
        for change in changes:
            name = change.container.name
            if name in self._busy or self._waits(f"resize {name}"):
                continue
            if change.restart:
                kill = Kill(change.id, name, f"Container {name} resize requires restart, will be restarted")
                start = Start(change.kind, change.position, name)
                self._go(f"restart {name}", (name,), self._restart(plan, kill, start))
            else:
                self._go(f"resize {name}", (name,), self._resize(change))

    async def cancel_all(self) -> None:
        """Stop everything that is under way and wait for it."""
        tasks = tuple(self._tasks.values())
        self.interrupted = self.interrupted or bool(tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _go(self, key: str, names: tuple[str, ...], work: Coroutine[Any, Any, None]) -> None:
        assert self.group is not None
        task = self.group.create_task(work, name=f"{self._worker.uid} {key}")
        self._tasks[key] = task
        self._busy.update(dict.fromkeys(names, key))
        task.add_done_callback(lambda _: self._done(key))

    def _done(self, key: str) -> None:
        del self._tasks[key]
        self._busy = {name: by for name, by in self._busy.items() if by != key}
        self._worker.wake()

    # The operations

    async def _set_up_volumes(self) -> None:
        await self._volumes_ready()

    async def _volumes_ready(self) -> bool:
        if not self._worker.volumes_due():
            return True
        try:
            await self._worker.set_up_volumes()
        except VolumeProblem:
            self._later(VOLUMES)
            self._retry[START] = self._retry[VOLUMES]
            return False
        self._fine(VOLUMES)
        return True

    async def _kill(self, kill: Kill) -> None:
        worker = self._worker
        try:
            await worker.parts.killing.container(worker.pod, kill.id, kill.message, kill.cause)
        except (RuntimeFailure, ConnectionLost) as problem:
            log.warning("container not stopped", extra={"container": kill.id, "reason": str(problem)})
            await asyncio.sleep(FIRST_RETRY)

    async def _resize(self, change: Change) -> None:
        """Give a running container other limits; the pod's own must not be in the way meanwhile."""
        worker = self._worker
        pod, parts, name = worker.pod, worker.parts, change.container.name
        try:
            parts.groups.ensure(pod, loose=True)
            wanted = container_resources(pod, change.container, parts.node.memory)
            await parts.runtime.update_resources(change.id, wanted)
            parts.groups.ensure(pod)
        except (RuntimeFailure, ConnectionLost, OSError) as problem:
            text = summary(pod, "Pod resize error", str(problem))
            parts.reports.pod(pod, "Warning", "ResizeError", text)
            self._later(f"resize {name}")
            return
        self._fine(f"resize {name}")
        self.actuated[change.id] = change.container.resources

    async def _restart(self, plan: Plan, kill: Kill, start: Start) -> None:
        await self._kill(kill)
        if await self._volumes_ready():
            image = await self._image(start)
            if image is not None:
                await self._start_one(start, image, plan.sandbox_id, plan.attempt)

    async def _start_all(self, plan: Plan, starts: tuple[Start, ...]) -> None:
        """Volumes, then sandbox and images side by side, then the containers in order."""
        worker = self._worker
        if plan.kill_pod and not await self._kill_pod(plan):
            return
        if not await self._volumes_ready():
            return
        async with asyncio.TaskGroup() as group:
            box = group.create_task(self._sandbox(plan))
            pulls = {start.name: group.create_task(self._image(start)) for start in starts}
            sandbox_id = await box
            for start in starts if sandbox_id else ():
                image = await pulls[start.name]
                started = image is not None and await self._start_one(start, image, sandbox_id, plan.attempt)
                if not started and worker.holds_up(start):
                    break
                worker.wake()

    async def _kill_pod(self, plan: Plan) -> bool:
        worker = self._worker
        if plan.sandbox_id:
            text = "Pod sandbox changed, it will be killed and re-created."
            worker.parts.reports.pod(worker.pod, "Normal", "SandboxChanged", text)
        try:
            await worker.parts.killing.pod(worker.pod)
        except (RuntimeFailure, ConnectionLost) as problem:
            log.warning("pod not stopped", extra={"pod": worker.uid, "reason": str(problem)})
            self._later(START)
            return False
        return True

    async def _sandbox(self, plan: Plan) -> str:
        """The sandbox to start in, "" if there is none."""
        if not plan.create_sandbox:
            return plan.sandbox_id
        worker = self._worker
        try:
            made = await worker.parts.starter.sandbox(worker.pod, plan.attempt)
        except StartProblem as problem:
            self._retry[START] = clock.monotonic() + problem.retry_after
            return ""
        worker.wake()
        self._fine(START)
        return made

    async def _image(self, start: Start) -> Image | None:
        try:
            return await self._worker.parts.starter.image(self._worker.pod, start)
        except StartProblem as problem:
            self._failed(start, problem)
            return None

    async def _start_one(self, start: Start, image: Image, sandbox_id: str, attempt: int) -> bool:
        """Start one container; it may take a while, so the back-off is raised before."""
        worker = self._worker
        pod, parts = worker.pod, worker.parts
        ended = next(
            (c for c in parts.cache.view(worker.uid).containers if c.name == start.name and c.state == "exited"),
            None,
        )
        if ended is not None:
            now = clock.wall()
            self.backoffs[start.name] = backoff.raised(self.backoffs.get(start.name), ended.finished_at, now)
        try:
            previous = parts.statuses.last(pod)
            await parts.starter.container(pod, start, image, sandbox_id, attempt, previous)
        except StartProblem as problem:
            self._failed(start, problem)
            return False
        finally:
            await collect.remove_dead(parts, worker.uid, start.name)
        self.reasons.pop(start.name, None)
        self._fine(start.name)
        return True

    def _failed(self, start: Start, problem: StartProblem) -> None:
        self.reasons[start.name] = (problem.reason, problem.message)
        self._retry[start.name] = clock.monotonic() + problem.retry_after
        self._worker.wake()

    def _later(self, key: str) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._retry[key] = clock.monotonic() + min(FIRST_RETRY * 2 ** (failures - 1), MOST_RETRY)

    def _fine(self, key: str) -> None:
        self._failures.pop(key, None)
        self._retry.pop(key, None)
