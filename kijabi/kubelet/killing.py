"""Stopping containers and pods: preStop, the order of sidecars, grace periods.

Called by `podworker.py`; hands on to `hooks.py` and the runtime. The time that hooks and waiting take counts against
the grace period ("Termination of Pods", KEP-753).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.kubelet import plan as plans
from kijabi.kubelet import podspec
from kijabi.kubelet.cache import RuntimeCache
from kijabi.kubelet.hooks import HookFailed, Hooks
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import ContainerInfo, Runtime, RuntimeGone
from kijabi.kubelet.together import together

log = logging.getLogger(__name__)

# Even with no grace at all, a process gets this long to end by itself, in seconds.
LEAST_GRACE = 2


class _Turns:
    """Who must be down before whom: sidecars after all regular containers, in reverse order of their start."""

    def __init__(self, pod: Pod, running: Iterable[str]) -> None:
        self._down = {name: asyncio.Event() for name in running}
        regular = [c.name for c in pod.spec.containers]
        self._before: dict[str, list[str]] = {}
        later: list[str] = []
        for container in reversed(pod.spec.initContainers):
            if podspec.is_sidecar(container):
                self._before[container.name] = regular + later
                later = [*later, container.name]

    async def wait(self, name: str, longest: float) -> None:
        """Wait for the turn, at most so many seconds."""
        try:
            async with asyncio.timeout(longest):
                for other in self._before.get(name, ()):
                    if other in self._down:
                        await self._down[other].wait()
        except TimeoutError:
            log.debug("container stops before its turn", extra={"container": name})

    def down(self, name: str) -> None:
        """The container has stopped."""
        if name in self._down:
            self._down[name].set()


class Killing:
    """Stops containers of this node's pods."""

    def __init__(self, runtime: Runtime, cache: RuntimeCache, hooks: Hooks, reports: Reports) -> None:
        self._runtime = runtime
        self._cache = cache
        self._hooks = hooks
        self._reports = reports

    async def pod(self, pod: Pod, grace: int | None = None, *, again: bool = False) -> None:
        """Stop all containers side by side, then the sandboxes; returns once they are down.

        grace: seconds instead of the pod's own. again: the pod is being stopped already and only the grace got
        shorter, so no hooks and no events. Raises RuntimeFailure or ConnectionLost.
        """
        view = self._cache.view(pod.metadata.uid)
        running = view.running
        if running:
            turns = _Turns(pod, (info.name for info in running))
            await together(self._one(pod, info, "", "", grace, turns, again) for info in running)
        for box in view.sandboxes:
            if box.ready:
                await self._runtime.stop_sandbox(box.id)
                await self._cache.refresh(box.id)

    async def container(
        self, pod: Pod, container_id: str, message: str = "", cause: str = "", grace: int | None = None
    ) -> None:
        """Stop one container. cause: the probe that wants it (`plan.LIVENESS`, `plan.STARTUP`), or "".

        Raises RuntimeFailure or ConnectionLost.
        """
        info = self._cache.view(pod.metadata.uid).by_id(container_id)
        if info is not None:
            await self._one(pod, info, message, cause, grace, None, False)

    async def _one(
        self,
        pod: Pod,
        info: ContainerInfo,
        message: str,
        cause: str,
        override: int | None,
        turns: _Turns | None,
        again: bool,
    ) -> None:
        found = podspec.find(pod.spec, info.name)
        container = found[1] if found is not None else Container(name=info.name)
        left = float(grace_period(pod, container, cause) if override is None else override)
        began = clock.monotonic()
        if not again:
            text = message or f"Stopping container {info.name}"
            self._reports.container(pod, info.name, "Normal", "Killing", text)
            await self._pre_stop(pod, container, info, left)
        if turns is not None and (rest := left - (clock.monotonic() - began)) > 0:
            await turns.wait(info.name, rest)
        # Whole seconds that have passed count; a clock that is a hair early must not give one back.
        rest = left - int(clock.monotonic() - began + 0.01)
        try:
            await self._runtime.stop_container(info.id, max(int(rest), LEAST_GRACE))
        except RuntimeGone:
            log.debug("container is gone already", extra={"container": info.id})
        await self._cache.refresh(info.id)
        if turns is not None:
            turns.down(info.name)

    async def _pre_stop(self, pod: Pod, container: Container, info: ContainerInfo, grace: float) -> None:
        hook = container.lifecycle.preStop if container.lifecycle is not None else None
        if hook is None or grace <= 0 or info.state != "running":
            return
        ips = self._cache.view(pod.metadata.uid).ips
        try:
            async with asyncio.timeout(grace):
                await self._hooks.run(pod, container, info.id, hook, ips[0] if ips else "")
        except TimeoutError:
            log.info("preStop hook took all the grace period", extra={"container": info.id})
        except HookFailed as problem:
            log.info("preStop hook failed", extra={"container": info.id, "reason": str(problem)})
            self._reports.container(pod, info.name, "Warning", "FailedPreStopHook", "PreStopHook failed")


def grace_period(pod: Pod, container: Container, cause: str) -> int:
    """Seconds that a container gets: of the deletion, else of the failed probe, else of the pod."""
    if pod.metadata.deletionGracePeriodSeconds is None:
        probe = {plans.LIVENESS: container.livenessProbe, plans.STARTUP: container.startupProbe}.get(cause)
        if probe is not None and probe.terminationGracePeriodSeconds is not None:
            return probe.terminationGracePeriodSeconds
    return podspec.grace_period(pod)
