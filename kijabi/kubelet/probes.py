"""Liveness, readiness and startup probes: a small task for each, and what they found.

Pod workers say which pods to probe; results wake them (`changed`) and are read back as `plan.Probed`. A task waits
for its container to run, then for the initial delay (and, but for startup probes, until the container has started),
then asks in its period and counts against the thresholds. Rules: "Configure Liveness, Readiness and Startup Probes".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.probe import Probe
from kijabi.base import clock, rand
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet import handlers, podspec
from kijabi.kubelet.dialer import Dialer, Outcome
from kijabi.kubelet.plan import Probed
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import ContainerInfo, Runtime, RuntimeFailure
from kijabi.kubelet.view import PodView

log = logging.getLogger(__name__)

KINDS = ("Startup", "Liveness", "Readiness")
# A container that runs longer than this when its probe begins was there before this kubelet.
ADOPTED_AFTER = 10.0


class _Job:
    """One probe of one container of one pod, across the container's restarts."""

    def __init__(self, pod: Pod, container: Container, kind: str, spec: Probe) -> None:
        self.pod, self.container, self.kind, self.spec = pod, container, kind, spec
        self.period = float(spec.periodSeconds or 10)
        self.timeout = float(spec.timeoutSeconds or 1)
        self.woken = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.held = ""  # the container id that needs no more probing


class Probes:
    """All probes of this node. look(uid) gives the pod's view, changed(uid) is called for every new result."""

    def __init__(
        self,
        runtime: Runtime,
        dialer: Dialer,
        reports: Reports,
        look: Callable[[str], PodView],
        changed: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._dialer = dialer
        self._reports = reports
        self._look = look
        self._changed = changed
        self._jobs: dict[str, dict[tuple[str, str], _Job]] = {}
        self._results: dict[str, dict[str, bool]] = {kind: {} for kind in KINDS}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Be the parent of the probes' tasks; a task for a TaskGroup, which must run before `add`."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.get_running_loop().create_future()

    @property
    def results(self) -> Probed:
        """What is known now, of all containers."""
        known = self._results
        return Probed(known["Startup"], known["Liveness"], known["Readiness"])

    @property
    def count(self) -> int:
        """How many probes there are."""
        return sum(len(jobs) for jobs in self._jobs.values())

    def add(self, pod: Pod, host_ips: tuple[str, ...] = ()) -> None:
        """Probe the pod's containers from now on; a pod that is probed already gets its new spec.

        host_ips: the node's, which hostNetwork pods have as their own.
        """
        uid = pod.metadata.uid
        jobs = self._jobs.setdefault(uid, {})
        for container, kind, spec in _probes_of(pod):
            job = jobs.get((container.name, kind))
            if job is not None:
                job.pod, job.container, job.spec = pod, container, spec
                continue
            assert self._group is not None, "Probes.run() must be running"
            job = jobs[(container.name, kind)] = _Job(pod, container, kind, spec)
            name = f"{kind} probe {pod.metadata.namespace}/{pod.metadata.name} {container.name}"
            job.task = self._group.create_task(self._watch(job, host_ips), name=name)
        if not jobs:
            del self._jobs[uid]

    def notice(self, uid: str) -> None:
        """The pod's view changed: probes that wait for a container look again."""
        for job in self._jobs.get(uid, {}).values():
            job.woken.set()

    def stop(self, uid: str, *, readiness: bool = True) -> None:
        """End the pod's probes; a pod that is terminating keeps its readiness probes until it is down."""
        jobs = self._jobs.get(uid, {})
        for key, job in tuple(jobs.items()):
            if readiness or job.kind != "Readiness":
                assert job.task is not None
                job.task.cancel()
                del jobs[key]
        if readiness:
            self._jobs.pop(uid, None)
            for info in self._look(uid).containers:
                self.forget(info.id)

    def forget(self, container_id: str) -> None:
        """The container is gone: drop its results."""
        for results in self._results.values():
            results.pop(container_id, None)

    async def _watch(self, job: _Job, host_ips: tuple[str, ...]) -> None:
        """Probe one container after the other, as it is restarted."""
        while True:
            info = self._target(job)
            if info is None or info.id == job.held or not self._may_begin(job, info):
                job.woken.clear()
                await job.woken.wait()
                continue
            await self._probe(job, info, host_ips)

    def _target(self, job: _Job) -> ContainerInfo | None:
        info = self._look(job.pod.metadata.uid).latest(job.container.name)
        return info if info is not None and info.state == "running" else None

    def _may_begin(self, job: _Job, info: ContainerInfo) -> bool:
        """Liveness and readiness wait for the startup probe."""
        if job.kind == "Startup" or job.container.startupProbe is None:
            return True
        return self._results["Startup"].get(info.id, False)

    async def _probe(self, job: _Job, info: ContainerInfo, host_ips: tuple[str, ...]) -> None:
        """Probe this container until it ends or needs no more probing."""
        age = clock.wall() - info.started_at
        if age > ADOPTED_AFTER:
            await asyncio.sleep(rand.rng().random() * job.period)
        elif job.spec.initialDelaySeconds > age:
            await asyncio.sleep(job.spec.initialDelaySeconds - age)
        run, last = 0, None
        due = clock.monotonic()
        while self._is_same(job, info):
            result = await self._once(job, info, host_ips)
            if result is not None and self._is_same(job, info):
                run = run + 1 if result == last else 1
                last = result
                threshold = (job.spec.successThreshold if result else job.spec.failureThreshold) or (1 if result else 3)
                if run >= threshold:
                    self._set(job, info.id, result)
                    if job.kind == "Startup" or (job.kind == "Liveness" and not result):
                        job.held = info.id
                        return
            due = max(due + job.period, clock.monotonic())
            await self._sleep_until(job, due)

    def _is_same(self, job: _Job, info: ContainerInfo) -> bool:
        now = self._target(job)
        return now is not None and now.id == info.id

    async def _sleep_until(self, job: _Job, due: float) -> None:
        """Wait for the time to come, or for the container to end."""
        while (left := due - clock.monotonic()) > 0:
            job.woken.clear()
            try:
                async with asyncio.timeout(left):
                    await job.woken.wait()
            except TimeoutError:
                return
            if self._target(job) is None:
                return

    def _set(self, job: _Job, container_id: str, result: bool) -> None:
        known = self._results[job.kind]
        if known.get(container_id) != result:
            known[container_id] = result
            if job.kind == "Startup":
                self.notice(job.pod.metadata.uid)
            self._changed(job.pod.metadata.uid)

    async def _once(self, job: _Job, info: ContainerInfo, host_ips: tuple[str, ...]) -> bool | None:
        """Ask once: well, not well, or None where the question itself failed."""
        try:
            outcome = await self._ask(job, info, host_ips)
        except (RuntimeFailure, ConnectionLost, ValueError) as problem:
            if self._is_same(job, info):
                message = f"{job.kind} probe errored and resulted in unknown state: {problem}"
                self._reports.container(job.pod, job.container.name, "Warning", "Unhealthy", message)
            return None
        if not outcome.ok and self._is_same(job, info):
            message = f"{job.kind} probe failed: {outcome.text}"
            self._reports.container(job.pod, job.container.name, "Warning", "Unhealthy", message)
        elif outcome.warning:
            message = f"{job.kind} probe warning: {outcome.text}"
            self._reports.container(job.pod, job.container.name, "Warning", "ProbeWarning", message)
        return outcome.ok

    async def _ask(self, job: _Job, info: ContainerInfo, host_ips: tuple[str, ...]) -> Outcome:
        spec, container = job.spec, job.container
        if spec.exec is not None:
            command = handlers.static_command(spec.exec.command, container)
            return await handlers.run_command(self._runtime, info.id, command, job.timeout)
        ips = host_ips if job.pod.spec.hostNetwork else self._look(job.pod.metadata.uid).ips
        ip = ips[0] if ips else ""
        if spec.httpGet is not None:
            url = handlers.http_url(spec.httpGet, container, ip)
            return await self._dialer.http(url, handlers.http_headers(spec.httpGet), job.timeout, "probe")
        if spec.tcpSocket is not None:
            port = handlers.port_number(spec.tcpSocket.port, container)
            return await self._dialer.tcp(spec.tcpSocket.host or ip, port, job.timeout)
        if spec.grpc is not None:
            return await self._dialer.grpc(ip, spec.grpc.port, spec.grpc.service or "", job.timeout)
        raise ValueError(f"missing probe handler for {podspec.full_name(job.pod)}:{container.name}")


def _probes_of(pod: Pod) -> list[tuple[Container, str, Probe]]:
    """The probes of regular containers and sidecars."""
    found = []
    for kind, container in podspec.containers(pod.spec):
        if kind == "container" or (kind == "init" and podspec.is_sidecar(container)):
            specs: Mapping[str, Probe | None] = {
                "Startup": container.startupProbe,
                "Liveness": container.livenessProbe,
                "Readiness": container.readinessProbe,
            }
            found += [(container, name, spec) for name, spec in specs.items() if spec is not None]
    return found
