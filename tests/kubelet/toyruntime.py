"""A container runtime in a dictionary, with handles for the tests: let a container exit, refuse a pull."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from kijabi.base import clock
from kijabi.kubelet.runtime.interface import (
    ContainerConfig,
    ContainerEvent,
    ContainerInfo,
    ContainerUsage,
    ExecResult,
    FsUsage,
    Image,
    ImageAuth,
    Resources,
    RuntimeFailure,
    RuntimeGone,
    RuntimeInfo,
    Sandbox,
    SandboxConfig,
)


class ToyRuntime:
    """Holds sandboxes and containers; every call takes `delay` seconds of the loop's time."""

    def __init__(self, delay: float = 0.01) -> None:
        self.delay = delay
        self.boxes: dict[str, Sandbox] = {}
        self.containers: dict[str, ContainerInfo] = {}
        self.configs: dict[str, ContainerConfig] = {}
        self.images: dict[str, Image] = {}
        self.missing: set[str] = set()
        self.calls: list[str] = []
        self.grace: dict[str, int] = {}
        self.stop_takes = 0.0
        self.exec_answer: Callable[[str, tuple[str, ...]], ExecResult] = lambda *_: ExecResult(0, b"", b"")
        self._number = 0
        self._listeners: list[asyncio.Queue[ContainerEvent]] = []

    def tell(self, kind: Any, some_id: str = "") -> None:
        for queue in self._listeners:
            queue.put_nowait(ContainerEvent(kind, some_id))

    def exit(self, name: str, code: int = 0, reason: str = "", message: str = "") -> None:
        """Let the newest running container of that name end."""
        running = [c for c in self.containers.values() if c.name == name and c.state == "running"]
        info = running[-1]
        reason = reason or ("Completed" if code == 0 else "Error")
        self._set(info.id, state="exited", exit_code=code, finished_at=clock.wall(), reason=reason, message=message)
        self.tell("exit", info.id)

    def named(self, name: str) -> list[ContainerInfo]:
        return [c for c in self.containers.values() if c.name == name]

    def _set(self, container_id: str, **changes: Any) -> None:
        self.containers[container_id] = msgspec.structs.replace(self.containers[container_id], **changes)

    def _next(self) -> str:
        self._number += 1
        return f"id{self._number:04d}"

    async def info(self) -> RuntimeInfo:
        return RuntimeInfo(name="toy", version="1")

    async def events(self) -> AsyncIterator[ContainerEvent]:
        queue: asyncio.Queue[ContainerEvent] = asyncio.Queue()
        self._listeners.append(queue)
        queue.put_nowait(ContainerEvent("resync"))
        while True:
            yield await queue.get()

    async def run_sandbox(self, config: SandboxConfig) -> str:
        await asyncio.sleep(self.delay)
        box = Sandbox(
            id=self._next(), name=config.name, namespace=config.namespace, uid=config.uid, attempt=config.attempt,
            ready=True, created_at=clock.wall(), labels=config.labels, host_network=config.host_network,
            ips=() if config.host_network else (f"10.244.1.{len(self.boxes) + 2}",),
        )  # fmt: skip
        self.boxes[box.id] = box
        self.calls.append(f"sandbox {config.name} {config.attempt}")
        return box.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await asyncio.sleep(self.delay)
        if sandbox_id in self.boxes:
            self.boxes[sandbox_id] = msgspec.structs.replace(self.boxes[sandbox_id], ready=False, ips=())
            for info in list(self.containers.values()):
                if info.sandbox_id == sandbox_id and info.state == "running":
                    self._set(info.id, state="exited", exit_code=137, finished_at=clock.wall(), reason="Error")

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self.boxes.pop(sandbox_id, None)

    async def list_sandboxes(self) -> tuple[Sandbox, ...]:
        return tuple(self.boxes.values())

    async def sandbox_status(self, sandbox_id: str) -> Sandbox:
        if sandbox_id not in self.boxes:
            raise RuntimeGone("NotFound", sandbox_id)
        return self.boxes[sandbox_id]

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        await asyncio.sleep(self.delay)
        container_id = self._next()
        self.configs[container_id] = config
        self.containers[container_id] = ContainerInfo(
            id=container_id, sandbox_id=sandbox_id, name=config.name, attempt=config.attempt, state="created",
            image=config.image, image_ref=f"sha256:{config.image}", created_at=clock.wall(), labels=config.labels,
            annotations=config.annotations,
        )  # fmt: skip
        return container_id

    async def start_container(self, container_id: str) -> None:
        await asyncio.sleep(self.delay)
        config = self.configs[container_id]
        self.calls.append(f"start {config.name} {config.attempt}")
        if config.command == ("no-such-command",):
            self._set(container_id, state="exited", exit_code=128, reason="StartError", finished_at=clock.wall())
            raise RuntimeFailure("RunContainerError", "exec: no-such-command: executable file not found in $PATH")
        self._set(container_id, state="running", started_at=clock.wall())

    async def stop_container(self, container_id: str, grace: int) -> None:
        self.grace[container_id] = grace
        info = self.containers.get(container_id)
        if info is None or info.state != "running":
            return
        self.calls.append(f"stop {info.name} {info.attempt}")
        await asyncio.sleep(min(self.stop_takes, grace))
        killed = self.stop_takes >= grace
        if self.containers[container_id].state == "running":
            self._set(
                container_id, state="exited", exit_code=137 if killed else 143, finished_at=clock.wall(), reason="Error"
            )
            self.tell("exit", container_id)

    async def remove_container(self, container_id: str) -> None:
        self.containers.pop(container_id, None)

    async def list_containers(self) -> tuple[ContainerInfo, ...]:
        return tuple(self.containers.values())

    async def container_status(self, container_id: str) -> ContainerInfo:
        if container_id not in self.containers:
            raise RuntimeGone("NotFound", container_id)
        return self.containers[container_id]

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        self.calls.append(f"resize {self.containers[container_id].name} {resources.cpu_shares}")

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> ExecResult:
        await asyncio.sleep(self.delay)
        return self.exec_answer(container_id, command)

    async def pull_image(self, image: str, auth: ImageAuth | None = None) -> str:
        await asyncio.sleep(self.delay)
        self.calls.append(f"pull {image}")
        if image in self.missing:
            raise RuntimeFailure("ErrImagePull", f'failed to resolve reference "{image}": not found')
        self.images[image] = Image(id=f"sha256:{image}", tags=(image,), size=1000)
        return f"sha256:{image}"

    async def image_status(self, image: str) -> Image | None:
        return next((i for i in self.images.values() if image in (i.id, *i.tags)), None)

    async def list_images(self) -> tuple[Image, ...]:
        return tuple(self.images.values())

    async def remove_image(self, image_id: str) -> None:
        self.images = {tag: i for tag, i in self.images.items() if i.id != image_id}

    async def usage(self) -> tuple[ContainerUsage, ...]:
        return ()

    async def image_fs(self) -> FsUsage:
        return FsUsage()

    async def reopen_log(self, container_id: str) -> None:
        self.calls.append("reopen")

    async def exec(self, *_: Any, **__: Any) -> Any:
        raise RuntimeFailure("ExecError", "the toy has no streams")

    attach = exec
    connect = exec

    async def close(self) -> None:
        return
