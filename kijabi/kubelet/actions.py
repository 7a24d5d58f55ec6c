"""Starting sandboxes and containers: everything that must be gathered first, the events, and what goes wrong.

`podworker.py` calls this with what `plan.py` decided. Each failure becomes a `StartProblem` with the waiting reason
that users know, and says when trying again makes sense.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.core.secret import Secret
from kijabi.api.core.service import Service
from kijabi.api.node.runtimeclass import RuntimeClass
from kijabi.api.quantity import Quantity
from kijabi.base.errors import ApiError, ConnectionLost, KijabiError
from kijabi.client.client import Client
from kijabi.kubelet import configs, dns, references
from kijabi.kubelet.cache import RuntimeCache
from kijabi.kubelet.configs import NodeFacts
from kijabi.kubelet.downward import Facts
from kijabi.kubelet.env import environment, service_variables
from kijabi.kubelet.groups import Groups
from kijabi.kubelet.hooks import HookFailed, Hooks
from kijabi.kubelet.images import ImageProblem, Images
from kijabi.kubelet.killing import Killing
from kijabi.kubelet.plan import Start
from kijabi.kubelet.problems import ConfigProblem, VolumeProblem
from kijabi.kubelet.references import Ref, References
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.runtime.interface import ContainerConfig, Image, Runtime, RuntimeFailure, SandboxConfig
from kijabi.kubelet.volumes.files import Files
from kijabi.kubelet.volumes.manager import Volumes

log = logging.getLogger(__name__)

RETRY_CONFIG = 10.0
RETRY_SANDBOX = 5.0
RETRY_RUNTIME = 2.0


class StartProblem(KijabiError):
    """A sandbox or container was not started. retry_after: seconds until a new try makes sense."""

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Surround(msgspec.Struct, frozen=True, kw_only=True):
    """What starting needs to know besides its helpers. slots: caps how many starts run at once on this node."""

    node: NodeFacts
    host_ips: tuple[str, ...]
    services: Callable[[], Iterable[Service]]
    allocatable: Callable[[], Mapping[str, Quantity]]
    node_hosts: Callable[[], str]
    slots: asyncio.Semaphore


class Starter:
    """Starts what pods are made of."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        cache: RuntimeCache,
        references: References,
        volumes: Volumes,
        files: Files,
        images: Images,
        groups: Groups,
        killing: Killing,
        hooks: Hooks,
        reports: Reports,
        around: Surround,
    ) -> None:
        self._client, self._runtime, self._cache = client, runtime, cache
        self._references, self._volumes, self._files = references, volumes, files
        self._images, self._groups, self._killing, self._hooks = images, groups, killing, hooks
        self._reports, self._around = reports, around

    def facts(self, pod: Pod) -> Facts:
        """What the downward API can say of the pod now."""
        ips = self._around.host_ips if pod.spec.hostNetwork else self._cache.view(pod.metadata.uid).ips
        return Facts(pod_ips=ips, host_ips=self._around.host_ips, allocatable=self._around.allocatable())

    async def sandbox(self, pod: Pod, attempt: int) -> str:
        """Make the pod's sandbox; its id. Raises StartProblem."""
        try:
            config, warnings = await self._sandbox_config(pod, attempt)
            for text in warnings:
                self._reports.pod(pod, "Warning", "DNSConfigForming", text)
            await self._files.make_directory(config.log_directory, 0o755, None, False)
            async with self._around.slots:
                sandbox_id = await self._runtime.run_sandbox(config)
            await self._cache.refresh(sandbox_id)
        except (RuntimeFailure, ConnectionLost, ApiError, OSError) as problem:
            text = f"Failed to create pod sandbox: {problem}"
            self._reports.pod(pod, "Warning", "FailedCreatePodSandBox", text)
            raise StartProblem("CreatePodSandboxError", str(problem), RETRY_SANDBOX) from problem
        return sandbox_id

    async def image(self, pod: Pod, start: Start) -> Image:
        """The image of a container, pulled if need be. Raises StartProblem."""
        container = container_of(pod, start)
        try:
            secrets = await self._pull_secrets(pod)
            await self._image_volumes(pod, container, secrets)
            return await self._images.ensure(pod, container, secrets)
        except ImageProblem as problem:
            self._failed(pod, container, problem.reason)
            raise StartProblem(problem.reason, problem.message, problem.retry_after) from problem
        except VolumeProblem as problem:
            self._failed(pod, container, str(problem))
            raise StartProblem("CreateContainerConfigError", str(problem), RETRY_CONFIG) from problem

    async def _image_volumes(self, pod: Pod, container: Container, secrets: list[Secret]) -> None:
        """The images that the container mounts, pulled and shown as its own is. Raises ImageProblem, VolumeProblem."""
        mounted = {mount.name for mount in container.volumeMounts}
        for volume in pod.spec.volumes:
            source = volume.image
            if source is not None and volume.name in mounted:
                wanted = msgspec.structs.replace(container, image=source.reference, imagePullPolicy=source.pullPolicy)
                await self._volumes.show_image(pod, volume, await self._images.ensure(pod, wanted, secrets))

    async def container(
        self, pod: Pod, start: Start, image: Image, sandbox_id: str, attempt: int, previous: PodStatus
    ) -> str:
        """Create and start one container and run its postStart hook; its id. attempt: of the sandbox.

        Raises StartProblem.
        """
        container = container_of(pod, start)
        try:
            config = await self._config(pod, start, container, image, previous)
            sandbox, _ = await self._sandbox_config(pod, attempt)
        except (ConfigProblem, VolumeProblem, ApiError, ConnectionLost, OSError) as problem:
            self._failed(pod, container, str(problem))
            raise StartProblem("CreateContainerConfigError", str(problem), RETRY_CONFIG) from problem
        log_directory = f"{sandbox.log_directory}/{container.name}"
        await self._files.make_directory(log_directory, 0o755, None, False)
        async with self._around.slots:
            container_id = await self._create(pod, container, sandbox_id, config, sandbox)
            await self._start(pod, container, container_id)
        hook = container.lifecycle.postStart if container.lifecycle is not None else None
        if hook is not None:
            await self._post_start(pod, container, container_id)
        return container_id

    async def _create(
        self, pod: Pod, container: Container, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig
    ) -> str:
        try:
            container_id = await self._runtime.create_container(sandbox_id, config, sandbox)
        except (RuntimeFailure, ConnectionLost) as problem:
            self._failed(pod, container, str(problem))
            raise StartProblem("CreateContainerError", str(problem), RETRY_CONFIG) from problem
        self._reports.container(pod, container.name, "Normal", "Created", "Container created")
        return container_id

    async def _start(self, pod: Pod, container: Container, container_id: str) -> None:
        try:
            await self._runtime.start_container(container_id)
        except (RuntimeFailure, ConnectionLost) as problem:
            self._failed(pod, container, str(problem))
            await self._refresh(container_id)
            raise StartProblem("RunContainerError", str(problem), RETRY_RUNTIME) from problem
        self._reports.container(pod, container.name, "Normal", "Started", "Container started")
        await self._refresh(container_id)

    async def _post_start(self, pod: Pod, container: Container, container_id: str) -> None:
        assert container.lifecycle is not None
        assert container.lifecycle.postStart is not None
        ips = self.facts(pod).pod_ips
        try:
            await self._hooks.run(pod, container, container_id, container.lifecycle.postStart, ips[0] if ips else "")
        except HookFailed as problem:
            text = "PostStartHook failed"
            self._reports.container(pod, container.name, "Warning", "FailedPostStartHook", text)
            try:
                await self._killing.container(pod, container_id, "FailedPostStartHook")
            except (RuntimeFailure, ConnectionLost) as failure:
                log.warning("cannot stop container", extra={"container": container_id, "reason": str(failure)})
            raise StartProblem("PostStartHookError", str(problem), 0.0) from problem

    async def _refresh(self, container_id: str) -> None:
        try:
            await self._cache.refresh(container_id)
        except (RuntimeFailure, ConnectionLost) as problem:
            log.info("container not read", extra={"container": container_id, "reason": str(problem)})

    def _failed(self, pod: Pod, container: Container, text: str) -> None:
        self._reports.container(pod, container.name, "Warning", "Failed", f"Error: {text}")

    async def _sandbox_config(self, pod: Pod, attempt: int) -> tuple[SandboxConfig, tuple[str, ...]]:
        handler = ""
        if pod.spec.runtimeClassName:
            handler = (await self._client.get(RuntimeClass, pod.spec.runtimeClassName)).handler
        parent = self._groups.ensure(pod)
        return configs.sandbox_config(pod, attempt, self._around.node, cgroup_parent=parent, handler=handler)

    async def _config(
        self, pod: Pod, start: Start, container: Container, image: Image, previous: PodStatus
    ) -> ContainerConfig:
        facts = self.facts(pod)
        env = await self._environment(pod, container, facts)
        attempt = self._attempt(pod, container, previous)
        node = self._around.node
        hosts = ""
        if facts.pod_ips:
            hosts = dns.hosts_file(pod, facts.pod_ips, node.cluster_domain, self._around.node_hosts())
        mounts, message = self._volumes.mounts(pod, container, attempt, env, hosts)
        target = self._target(pod, start)
        return configs.container_config(
            pod, container, attempt, image, env, mounts, node,
            devices=self._volumes.devices(pod, container), message_file=message, target=target,
        )  # fmt: skip

    def _attempt(self, pod: Pod, container: Container, previous: PodStatus) -> int:
        """One more than the last; where the runtime forgot that, the status still knows."""
        latest = self._cache.view(pod.metadata.uid).latest(container.name)
        if latest is not None:
            return latest.attempt + 1
        every = (*previous.initContainerStatuses, *previous.containerStatuses)
        old = next((s for s in every if s.name == container.name), None)
        return old.restartCount + 1 if old is not None and old.containerID else 0

    def _target(self, pod: Pod, start: Start) -> str:
        if start.kind != "ephemeral":
            return ""
        name = pod.spec.ephemeralContainers[start.index].targetContainerName
        if not name:
            return ""
        target = self._cache.view(pod.metadata.uid).latest(name)
        if target is None or target.state != "running":
            raise ConfigProblem(f'unable to find target container "{name}"')
        return target.id

    async def _environment(self, pod: Pod, container: Container, facts: Facts) -> dict[str, str]:
        namespace = pod.metadata.namespace
        objects: dict[Ref, Any] = await self._references.get_all(references.of_container(namespace, container))
        services = service_variables(self._around.services(), namespace, pod.spec.enableServiceLinks is not False)
        return environment(
            pod,
            container,
            services,
            lambda name: objects.get(Ref("configmap", namespace, name)),
            lambda name: objects.get(Ref("secret", namespace, name)),
            facts,
        )

    async def _pull_secrets(self, pod: Pod) -> list[Secret]:
        refs = [Ref("secret", pod.metadata.namespace, each.name) for each in pod.spec.imagePullSecrets]
        if not refs:
            return []
        try:
            found = await self._references.get_all(refs)
        except (ApiError, ConnectionLost) as problem:
            log.warning("image pull secrets not read", extra={"reason": str(problem)})
            found = {}
        missing = [ref.name for ref in refs if ref not in found]
        if missing:
            text = (
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed."
            )
            self._reports.pod(pod, "Warning", "FailedToRetrieveImagePullSecret", text)
        return list(found.values())


def container_of(pod: Pod, start: Start) -> Container:
    """The container that is to start."""
    match start.kind:
        case "init":
            return pod.spec.initContainers[start.index]
        case "container":
            return pod.spec.containers[start.index]
    return pod.spec.ephemeralContainers[start.index]  # type: ignore[return-value]
