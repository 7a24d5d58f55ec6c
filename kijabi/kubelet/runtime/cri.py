"""The Runtime on real parts: the Container Runtime Interface, spoken to containerd.

The kubelet calls it through `interface.Runtime`. Requests are translated in `cri_convert`, carried by `rpc`, and
where the CRI is too narrow (events, interactive exec) `tasks` talks to containerd's own services. Nothing is
remembered here that a restart would miss: containerd's lists are the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

from kijabi.api.struct import Struct
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime import cri_attach, cri_convert, linux, pause
from kijabi.kubelet.runtime import cri_image_messages as im
from kijabi.kubelet.runtime import cri_messages as m
from kijabi.kubelet.runtime import interface as i
from kijabi.kubelet.runtime.rpc import CALL_TIMEOUT, Channel, RpcError
from kijabi.kubelet.runtime.tasks import Tasks
from kijabi.kubelet.runtime.views import SnapshotViews

log = logging.getLogger(__name__)

RUNTIME = "runtime.v1.RuntimeService"
IMAGES = "runtime.v1.ImageService"
PULL_TIMEOUT = 3600.0  # seconds; a registry that sends nothing is given up by containerd long before
READY_TIMEOUT = 30.0  # seconds until a fresh containerd must serve the CRI
READY_DELAY = 0.005  # seconds between asking whether it does
RECONNECT_DELAYS = (0.02, 0.1, 0.5, 1.0)  # seconds between attempts to subscribe to events; the last one repeats
MAX_EVENTS = 1024  # read ahead of whoever listens
# containerd announces an exit some milliseconds before the CRI has written it down; whoever looked at once would see
# the container running. Seconds between looks, then the event goes out anyhow.
SETTLE_DELAYS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0)

T = TypeVar("T", bound=Struct)


class CriRuntime:
    """containerd behind the CRI. socket: its gRPC address; state: a directory for the pipes of exec.

    sandbox_image: is reported as pinned, for without it and a registry no pod can start.
    """

    def __init__(self, socket: Path, state: Path, sandbox_image: str = pause.NAME) -> None:
        self._sandbox_image = sandbox_image
        self._channel = Channel(str(socket))
        self._tasks = Tasks(self._channel, state)
        self.views = SnapshotViews(self._channel)
        self._version: m.VersionResponse | None = None
        self._sandbox_of: dict[str, str] = {}  # container → sandbox; rebuilt by each list, so it cannot grow

    async def wait_ready(self) -> None:
        """Wait until containerd serves the CRI; it opens its socket a moment earlier."""
        async with asyncio.timeout(READY_TIMEOUT):
            while True:
                try:
                    await self.info()
                    return
                except (ConnectionLost, i.RuntimeFailure) as error:
                    log.debug("containerd does not serve the CRI yet", extra={"error": str(error)})
                    await asyncio.sleep(READY_DELAY)

    async def info(self) -> i.RuntimeInfo:
        """Name, version and conditions."""
        if self._version is None:
            self._version = await self._runtime("Version", m.VersionRequest(), m.VersionResponse)
        answer = await self._runtime("Status", m.Empty(), m.StatusResponse)
        conditions = {c.type: c for c in answer.status.conditions} if answer.status else {}
        runtime = conditions.get("RuntimeReady", m.RuntimeCondition())
        network = conditions.get("NetworkReady", m.RuntimeCondition())
        return i.RuntimeInfo(
            name=self._version.runtime_name,
            version=self._version.runtime_version,
            runtime_ready=runtime.status,
            network_ready=network.status,
            runtime_message=runtime.message,
            network_message=network.message,
        )

    async def events(self) -> AsyncIterator[i.ContainerEvent]:
        """Changes as they happen; `resync` after each (re)connect, since anything may have been missed."""
        queue: asyncio.Queue[i.ContainerEvent] = asyncio.Queue(MAX_EVENTS)
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._read_events(queue), name="containerd events")
        waiting = loop.create_task(queue.get())
        try:
            while True:
                await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    reading.result()  # raises what ended it
                yield waiting.result()
                waiting = loop.create_task(queue.get())
        finally:
            reading.cancel()
            waiting.cancel()
            await asyncio.gather(reading, waiting, return_exceptions=True)

    async def _read_events(self, queue: asyncio.Queue[i.ContainerEvent]) -> None:
        attempt = 0
        async with asyncio.TaskGroup() as settling:
            while True:
                try:
                    async with contextlib.aclosing(self._tasks.events()) as events:
                        async for event in events:
                            attempt = 0
                            if event and event.kind == "exit":
                                settling.create_task(self._put_settled(event, queue))
                            else:
                                await queue.put(event or i.ContainerEvent("resync"))
                except (ConnectionLost, RpcError) as error:
                    log.info("event stream ended; subscribing again", extra={"error": str(error)})
                await asyncio.sleep(RECONNECT_DELAYS[min(attempt, len(RECONNECT_DELAYS) - 1)])
                attempt += 1

    async def _put_settled(self, event: i.ContainerEvent, queue: asyncio.Queue[i.ContainerEvent]) -> None:
        """Tell of an exit once the status of the container or sandbox tells of it too."""
        try:
            for delay in SETTLE_DELAYS:
                if not await self._runs(event.container_id):
                    break
                await asyncio.sleep(delay)
        except (i.RuntimeFailure, ConnectionLost, TimeoutError) as error:
            log.debug("exit not confirmed", extra={"id": event.container_id, "error": str(error)})
        await queue.put(event)

    async def _runs(self, some_id: str) -> bool:
        try:
            return (await self.container_status(some_id)).state == "running"
        except i.RuntimeGone:
            return (await self.sandbox_status(some_id)).ready

    # Sandboxes

    async def run_sandbox(self, config: i.SandboxConfig) -> str:
        """Start a pod's sandbox with its network."""
        request = m.RunPodSandboxRequest(
            config=cri_convert.sandbox_config(config), runtime_handler=config.runtime_handler
        )
        answer = await self._runtime("RunPodSandbox", request, m.SandboxId, reason="CreatePodSandboxError")
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox and all containers in it."""
        await self._if_there("StopPodSandbox", m.SandboxId(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox and its containers; stops it first where needed."""
        await self._if_there("RemovePodSandbox", m.SandboxId(pod_sandbox_id=sandbox_id))

    async def list_sandboxes(self) -> tuple[i.Sandbox, ...]:
        """All sandboxes, without addresses."""
        answer = await self._runtime("ListPodSandbox", m.Empty(), m.ListPodSandboxResponse)
        return tuple(map(cri_convert.listed_sandbox, answer.items))

    async def sandbox_status(self, sandbox_id: str) -> i.Sandbox:
        """One sandbox with its addresses and process id."""
        request = m.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id, verbose=True)
        answer = await self._runtime("PodSandboxStatus", request, m.PodSandboxStatusResponse)
        return cri_convert.sandbox(answer.status or m.PodSandboxStatus(), answer.info)

    # Containers

    async def create_container(self, sandbox_id: str, config: i.ContainerConfig, sandbox: i.SandboxConfig) -> str:
        """Prepare a container; its image must be there. Makes the directory of its log."""
        if config.log_path and sandbox.log_directory:
            Path(sandbox.log_directory, config.log_path).parent.mkdir(parents=True, exist_ok=True)
        request = m.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=cri_convert.container_config(config, sandbox),
            sandbox_config=cri_convert.sandbox_config(sandbox),
        )
        answer = await self._runtime("CreateContainer", request, m.ContainerId, reason="CreateContainerError")
        self._sandbox_of[answer.container_id] = sandbox_id
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        request = m.ContainerId(container_id=container_id)
        await self._runtime("StartContainer", request, m.Empty, reason="RunContainerError")

    async def stop_container(self, container_id: str, grace: int) -> None:
        """Ask it to end, and kill it after `grace` seconds."""
        request = m.StopContainerRequest(container_id=container_id, timeout=grace)
        await self._if_there("StopContainer", request, timeout=CALL_TIMEOUT + grace)

    async def remove_container(self, container_id: str) -> None:
        """Forget a container and delete its writable layer; kills it first if it runs."""
        await self._if_there("RemoveContainer", m.ContainerId(container_id=container_id))

    async def list_containers(self) -> tuple[i.ContainerInfo, ...]:
        """All containers, without times and exit details."""
        answer = await self._runtime("ListContainers", m.Empty(), m.ListContainersResponse)
        self._sandbox_of = {container.id: container.pod_sandbox_id for container in answer.containers}
        return tuple(map(cri_convert.listed_container, answer.containers))

    async def container_status(self, container_id: str) -> i.ContainerInfo:
        """One container with all that is known of it."""
        sandbox = self._sandbox_of.get(container_id, "")
        # only the long answer says which sandbox a container belongs to
        request = m.ContainerStatusRequest(container_id=container_id, verbose=not sandbox)
        answer = await self._runtime("ContainerStatus", request, m.ContainerStatusResponse)
        return cri_convert.container(answer.status or m.ContainerStatus(), answer.info, sandbox)

    async def update_resources(self, container_id: str, resources: i.Resources) -> None:
        """Change the limits of a container that exists; zeros leave the old ones (the API forbids to remove limits)."""
        request = m.UpdateContainerResourcesRequest(container_id=container_id, linux=cri_convert.resources(resources))
        await self._runtime("UpdateContainerResources", request, m.Empty, reason="UpdateResourcesError")

    async def reopen_log(self, container_id: str) -> None:
        """Open the log file anew, after it was renamed."""
        await self._runtime("ReopenContainerLog", m.ContainerId(container_id=container_id), m.Empty)

    # Streams

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> i.ExecResult:
        """Run a command to its end. The CRI counts whole seconds, so `timeout` is rounded up."""
        seconds = math.ceil(timeout)
        request = m.ExecSyncRequest(container_id=container_id, cmd=command, timeout=seconds)
        answer = await self._runtime(
            "ExecSync", request, m.ExecSyncResponse, reason="ExecFailed", timeout=seconds + 10.0 if seconds else None
        )
        return i.ExecResult(answer.exit_code, answer.stdout, answer.stderr)

    async def exec(self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool) -> i.ExecSession:
        """Start a command with streams."""
        return await self._tasks.exec(container_id, command, stdin=stdin, tty=tty)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> i.ExecSession:
        """Connect to the streams of a container's own process."""
        request = m.AttachRequest(container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=not tty)
        answer = await self._runtime("Attach", request, m.StreamUrl, reason="AttachFailed")
        return await cri_attach.attach(answer.url, stdin=stdin, tty=tty)

    async def connect(self, sandbox_id: str, port: int) -> tuple[i.ByteReader, i.ByteWriter]:
        """Connect to localhost inside the pod: by IPv4, else by IPv6."""
        namespace = f"/proc/{await self._tasks.pid(sandbox_id)}/ns/net"
        refusals: list[OSError] = []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                connection = linux.socket_in(namespace, family, socket.SOCK_STREAM)
            except OSError as error:
                refusals.append(error)
                continue
            try:
                connection.setblocking(False)
                await asyncio.get_running_loop().sock_connect(connection, (host, port))
                return await asyncio.open_connection(sock=connection)
            except OSError as error:
                connection.close()
                refusals.append(error)
            except BaseException:
                connection.close()
                raise
        v4, v6 = refusals
        raise ConnectionRefusedError(
            f'failed to connect to localhost:{port} inside namespace "{namespace}", IPv4: {v4} IPv6: {v6}'
        )

    # Images

    async def pull_image(self, image: str, auth: i.ImageAuth | None = None) -> str:
        """Pull an image; its id."""
        request = im.PullImageRequest(image=m.ImageSpec(image=image), auth=cri_convert.auth_config(auth))
        try:
            answer = await self._channel.call(
                f"{IMAGES}/PullImage", request, im.PullImageResponse, timeout=PULL_TIMEOUT
            )
        except RpcError as error:
            raise cri_convert.pull_failure(image, error.code, error.message) from error
        return answer.image_ref

    async def image_status(self, image: str) -> i.Image | None:
        """The image of that name or id, or None if it is not here."""
        answer = await self._images("ImageStatus", _image(image), im.ImageStatusResponse)
        return cri_convert.image(answer.image, self._sandbox_image) if answer.image else None

    async def list_images(self) -> tuple[i.Image, ...]:
        """All images on this node."""
        answer = await self._images("ListImages", m.Empty(), im.ListImagesResponse)
        return tuple(cri_convert.image(image, self._sandbox_image) for image in answer.images)

    async def remove_image(self, image_id: str) -> None:
        """Remove an image under all its names."""
        await self._images("RemoveImage", _image(image_id), m.Empty)

    # Usage

    async def usage(self) -> tuple[i.ContainerUsage, ...]:
        """What each running container uses."""
        answer = await self._runtime("ListContainerStats", m.Empty(), im.ListContainerStatsResponse)
        return tuple(map(cri_convert.usage, answer.stats))

    async def image_fs(self) -> i.FsUsage:
        """The file system that images are on."""
        answer = await self._images("ImageFsInfo", m.Empty(), im.ImageFsInfoResponse)
        return cri_convert.fs_usage(answer.image_filesystems[0]) if answer.image_filesystems else i.FsUsage()

    async def close(self) -> None:
        """Close the connection; containers go on."""
        await self._channel.close()

    # Calls

    async def _runtime(
        self,
        method: str,
        request: Struct,
        reply: type[T],
        *,
        reason: str = "RuntimeError",
        timeout: float | None = CALL_TIMEOUT,
    ) -> T:
        try:
            return await self._channel.call(f"{RUNTIME}/{method}", request, reply, timeout=timeout)
        except RpcError as error:
            raise cri_convert.failure(reason, error.code, error.message) from error

    async def _images(self, method: str, request: Struct, reply: type[T]) -> T:
        try:
            return await self._channel.call(f"{IMAGES}/{method}", request, reply)
        except RpcError as error:
            raise cri_convert.failure("ImageInspectError", error.code, error.message) from error

    async def _if_there(self, method: str, request: Struct, *, timeout: float = CALL_TIMEOUT) -> None:
        """A call that has nothing to do when its subject is gone."""
        try:
            await self._runtime(method, request, m.Empty, timeout=timeout)
        except i.RuntimeGone as error:
            log.debug("already gone", extra={"call": method, "error": error.message})


def _image(name: str) -> im.ImageRequest:
    return im.ImageRequest(image=m.ImageSpec(image=name))
