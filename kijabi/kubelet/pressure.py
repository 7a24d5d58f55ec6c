"""Pressure: seeing that the node runs short of memory, disk or process ids, and ending pods until it does not.

`choose` decides purely whom to evict first; `PressureWatch` looks, tells the node's conditions and asks one pod at a
time to go, as "Node-pressure Eviction" describes: those that use more than they requested, by priority, then by how
much more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import pod_requests
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet import podspec
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.machine import Machine, Usage
from kijabi.kubelet.nodestatus import Pressure
from kijabi.kubelet.podworker import PodWorker
from kijabi.kubelet.runtime.interface import Runtime, RuntimeFailure

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
# Pressure is over only after it was away for so long, so that the condition does not flap.
HOLD_SECONDS = 300.0
LEAST_PIDS = 1000


def pressure(usage: Usage, config: KubeletConfig) -> Pressure:
    """What the node is short of by the hard thresholds."""
    disk = usage.disk_free < min(usage.disk * config.evict_disk, config.roomy_disk)
    inodes = usage.inodes > 0 and usage.inodes_free < usage.inodes * config.evict_inodes
    return Pressure(
        memory=usage.memory_free < config.evict_memory, disk=disk or inodes, pids=usage.pids_free < LEAST_PIDS
    )


def choose(pods: Iterable[Pod], used: Mapping[str, int], resource: str) -> Pod | None:
    """Whom to evict first. used: by pod uid, in bytes; resource: `memory` or `ephemeral-storage`."""

    def rank(pod: Pod) -> tuple[bool, int, int]:
        usage = used.get(pod.metadata.uid, 0)
        over = usage - pod_requests(pod).get(resource, 0)
        return (over <= 0, pod.spec.priority or 0, -over)

    candidates = [pod for pod in pods if (pod.spec.priority or 0) < 2_000_000_000]
    return min(candidates, key=rank, default=None)


class PressureWatch:
    """Watches the machine. tell(pressure) is called with what is to be shown in the node's conditions."""

    def __init__(
        self, config: KubeletConfig, machine: Machine, runtime: Runtime, tell: Callable[[Pressure], None]
    ) -> None:
        self._config, self._machine, self._runtime, self._tell = config, machine, runtime, tell
        self._since: dict[str, float] = {}  # when each sort of pressure was last seen

    async def run(self, running: Callable[[], Iterable[PodWorker]]) -> None:
        """Look every few seconds, for ever. running: the workers of pods that have not ended."""
        while True:
            found = pressure(self._machine.usage(), self._config)
            self._tell(self._held(found))
            if found.memory or found.disk:
                await self._relieve(found, tuple(running()))
            await asyncio.sleep(EVERY_SECONDS)

    def _held(self, found: Pressure) -> Pressure:
        now = clock.monotonic()
        for name in ("memory", "disk", "pids"):
            if getattr(found, name):
                self._since[name] = now

        def held(name: str) -> bool:
            return name in self._since and now - self._since[name] < HOLD_SECONDS

        return Pressure(held("memory"), held("disk"), held("pids"))

    async def _relieve(self, found: Pressure, workers: tuple[PodWorker, ...]) -> None:
        """Ask one pod to go."""
        resource, free = ("memory", "memory") if found.memory else ("ephemeral-storage", "nodefs")
        try:
            used = await self._usage(workers, resource)
        except (RuntimeFailure, ConnectionLost) as problem:
            log.warning("usage not known", extra={"reason": str(problem)})
            used = {}
        victim = choose((worker.pod for worker in workers), used, resource)
        worker = next((w for w in workers if victim is not None and w.pod is victim), None)
        if worker is None:
            log.warning("under pressure, but no pod can be evicted", extra={"short_of": resource})
            return
        text = f"The node was low on resource: {resource}. "
        amount = used.get(worker.uid, 0)
        request = pod_requests(worker.pod).get(resource, 0)
        if amount:
            text += f"Pod was using {amount // 1024}Ki, request is {request}. "
        log.warning("evicting pod", extra={"pod": podspec.full_name(worker.pod), "short_of": free})
        worker.parts.reports.pod(worker.pod, "Warning", "Evicted", text)
        worker.evict("Evicted", text, grace=1)

    async def _usage(self, workers: Iterable[PodWorker], resource: str) -> dict[str, int]:
        """Bytes by pod uid."""
        by_container = {each.id: each for each in await self._runtime.usage()}
        used: dict[str, int] = {}
        for worker in workers:
            for info in worker.parts.cache.view(worker.uid).running:
                each = by_container.get(info.id)
                if each is not None:
                    amount = each.memory_working_set if resource == "memory" else each.rootfs_bytes
                    used[worker.uid] = used.get(worker.uid, 0) + amount
        return used
