"""The fake runtime with an eye on it: what was asked of it, and shorter handles for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from kijabi.kubelet.runtime.fake import FakeRuntime, Script
from kijabi.kubelet.runtime.interface import (
    ContainerConfig,
    ContainerInfo,
    ExecResult,
    ImageAuth,
    Resources,
    Sandbox,
    SandboxConfig,
)

NO_COMMAND = "exec: no-such-command: executable file not found in $PATH"


class Watched(FakeRuntime):
    """calls: what was done, in order. grace: seconds given to each stop, by container id."""

    def __init__(self) -> None:
        super().__init__(delay=0.01, choose=self._choose)
        self.calls: list[str] = []
        self.grace: dict[str, int] = {}
        self.stop_takes = 0.0
        self.exec_answer: Callable[[str, tuple[str, ...]], ExecResult] = lambda *_: ExecResult(0, b"", b"")
        self.exec_takes = 0.0

    def _choose(self, _: SandboxConfig, config: ContainerConfig) -> Script | None:
        return Script(start_error=NO_COMMAND) if config.command == ("no-such-command",) else None

    @property
    def boxes(self) -> dict[str, Sandbox]:
        return self._sandboxes

    @property
    def containers(self) -> dict[str, ContainerInfo]:
        return {container_id: found.info for container_id, found in self._containers.items()}

    def config(self, container_id: str) -> ContainerConfig:
        return self._container(container_id).config

    def named(self, name: str) -> list[ContainerInfo]:
        return [info for info in self.containers.values() if info.name == name]

    def end(self, name: str, code: int = 0) -> None:
        """Let the newest running container of that name end."""
        self.exit([info.id for info in self.named(name) if info.state == "running"][-1], code)

    def move_log(self, container_id: str, path: str) -> None:
        self._set(self._container(container_id), log_path=path)

    async def run_sandbox(self, config: SandboxConfig) -> str:
        self.calls.append(f"sandbox {config.name} {config.attempt}")
        return await super().run_sandbox(config)

    async def start_container(self, container_id: str) -> None:
        info = self._container(container_id).info
        self.calls.append(f"start {info.name} {info.attempt}")
        await super().start_container(container_id)

    async def stop_container(self, container_id: str, grace: int) -> None:
        found = self._containers.get(container_id)
        self.grace[container_id] = grace
        if found is not None and found.info.state == "running":
            self.calls.append(f"stop {found.info.name} {found.info.attempt}")
            found.script = msgspec.structs.replace(found.script, stop_after=self.stop_takes)
        await super().stop_container(container_id, grace)

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        self.calls.append(f"resize {self._container(container_id).info.name} {resources.cpu_shares}")
        await super().update_resources(container_id, resources)

    async def pull_image(self, image: str, auth: ImageAuth | None = None) -> str:
        self.calls.append(f"pull {image}")
        return await super().pull_image(image, auth)

    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> ExecResult:
        self._running(container_id)
        await asyncio.sleep(self.exec_takes)
        return self.exec_answer(container_id, command)
