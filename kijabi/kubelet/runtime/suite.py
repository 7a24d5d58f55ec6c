"""The contract of `interface.Runtime` as a pytest class: the fake and the CRI pass the same tests.

    class TestFake(RuntimeSuite):
        async def open(self):
            return FakeRuntime()

The image named by `image` must be there already, or be pullable, and have a shell.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kijabi.base import rand
from kijabi.kubelet.runtime.interface import (
    ContainerConfig,
    ContainerInfo,
    Resources,
    Runtime,
    RuntimeFailure,
    RuntimeGone,
    SandboxConfig,
)

WITHIN = 10.0  # seconds for anything to happen
FOREVER = ("sleep", "1000")


class RuntimeSuite:
    """Subclass it, say how to open a runtime, and pytest collects the contract."""

    image = "docker.io/library/busybox:1.35"

    @abstractmethod
    async def open(self) -> Runtime:
        """A runtime that can start pods."""

    async def shut(self, runtime: Runtime) -> None:
        """Take back what `open` did."""
        await runtime.close()

    def cgroup(self, uid: str) -> str:
        """The parent group for a pod."""
        return ""

    @pytest.fixture
    async def runtime(self) -> AsyncIterator[Runtime]:
        """A runtime, its pods removed at the end."""
        runtime = await self.open()
        try:
            yield runtime
        finally:
            for box in await runtime.list_sandboxes():
                await runtime.stop_sandbox(box.id)
                await runtime.remove_sandbox(box.id)
            await self.shut(runtime)

    @pytest.fixture
    def logs(self, tmp_path: Path) -> Path:
        """Where containers log."""
        return tmp_path / "logs"

    def config(self, logs: Path, name: str = "web", **more: object) -> SandboxConfig:
        """A pod of that name."""
        uid = rand.uuid()
        return SandboxConfig(
            name=name,
            namespace="default",
            uid=uid,
            hostname=name,
            log_directory=str(logs / uid),
            labels={"app": name},
            cgroup_parent=self.cgroup(uid),
            **more,  # type: ignore[arg-type]
        )

    async def start(
        self, runtime: Runtime, logs: Path, *command: str, pod: str = "web", container: str = "c"
    ) -> tuple[str, str]:
        """A pod with one running container; the ids of sandbox and container."""
        box = self.config(logs, pod)
        sandbox_id = await runtime.run_sandbox(box)
        config = ContainerConfig(
            name=container,
            image=self.image,
            command=command or FOREVER,
            log_path=f"{container}/0.log",
            labels={"role": container},
        )
        container_id = await runtime.create_container(sandbox_id, config, box)
        await runtime.start_container(container_id)
        return sandbox_id, container_id

    async def exited(self, runtime: Runtime, container_id: str) -> ContainerInfo:
        """Wait for the container's end."""
        async with asyncio.timeout(WITHIN):
            while True:
                info = await runtime.container_status(container_id)
                if info.state == "exited":
                    return info
                await asyncio.sleep(0.02)

    async def test_is_ready(self, runtime: Runtime) -> None:
        """A runtime that runs says so."""
        info = await runtime.info()
        assert info.name
        assert info.version
        assert info.runtime_ready
        assert info.network_ready

    async def test_a_sandbox_lives_and_goes(self, runtime: Runtime, logs: Path) -> None:
        """run, list, status, stop, remove; the last two can be repeated."""
        sandbox_id = await runtime.run_sandbox(self.config(logs))
        (listed,) = await runtime.list_sandboxes()
        assert (listed.id, listed.name, listed.ready, dict(listed.labels)) == (sandbox_id, "web", True, {"app": "web"})
        status = await runtime.sandbox_status(sandbox_id)
        assert status.ready
        assert len(status.ips) == 1
        for _ in range(2):
            await runtime.stop_sandbox(sandbox_id)
        assert not (await runtime.sandbox_status(sandbox_id)).ready
        for _ in range(2):
            await runtime.remove_sandbox(sandbox_id)
        assert await runtime.list_sandboxes() == ()
        with pytest.raises(RuntimeGone):
            await runtime.sandbox_status(sandbox_id)

    async def test_pods_have_addresses_of_their_own(self, runtime: Runtime, logs: Path) -> None:
        """Two pods, two addresses; a pod in the node's network has none."""
        boxes = [await runtime.run_sandbox(self.config(logs, name)) for name in ("a", "b")]
        addresses = [(await runtime.sandbox_status(box)).ips for box in boxes]
        assert addresses[0] != addresses[1]
        host = await runtime.run_sandbox(self.config(logs, "host", host_network=True))
        assert (await runtime.sandbox_status(host)).ips == ()
        assert (await runtime.sandbox_status(host)).host_network

    async def test_a_container_runs_to_its_end(self, runtime: Runtime, logs: Path) -> None:
        """created, running, exited, with times and code."""
        box = self.config(logs)
        sandbox_id = await runtime.run_sandbox(box)
        config = ContainerConfig(
            name="c", attempt=3, image=self.image, command=("sh", "-c", "sleep 0.2; exit 3"), labels={"role": "c"}
        )
        container_id = await runtime.create_container(sandbox_id, config, box)
        created = await runtime.container_status(container_id)
        assert (created.state, created.name, created.attempt) == ("created", "c", 3)
        assert created.sandbox_id == sandbox_id
        await runtime.start_container(container_id)
        assert (await runtime.container_status(container_id)).state == "running"
        info = await self.exited(runtime, container_id)
        assert (info.exit_code, info.reason) == (3, "Error")
        assert info.created_at <= info.started_at < info.finished_at
        (listed,) = await runtime.list_containers()
        assert (listed.id, listed.sandbox_id, listed.state) == (container_id, sandbox_id, "exited")
        assert dict(listed.labels) == {"role": "c"}

    async def test_success_is_completed(self, runtime: Runtime, logs: Path) -> None:
        """Exit code 0 has the reason Completed."""
        _, container_id = await self.start(runtime, logs, "true")
        info = await self.exited(runtime, container_id)
        assert (info.exit_code, info.reason) == (0, "Completed")

    async def test_a_container_is_started_once(self, runtime: Runtime, logs: Path) -> None:
        """Starting what has run is refused."""
        _, container_id = await self.start(runtime, logs, "true")
        await self.exited(runtime, container_id)
        with pytest.raises(RuntimeFailure):
            await runtime.start_container(container_id)

    async def test_stop_kills_after_the_grace(self, runtime: Runtime, logs: Path) -> None:
        """A container that ignores SIGTERM is killed; stopping again does nothing."""
        _, container_id = await self.start(runtime, logs)
        await runtime.stop_container(container_id, 0)
        info = await runtime.container_status(container_id)
        assert (info.state, info.exit_code) == ("exited", 137)
        await runtime.stop_container(container_id, 0)

    async def test_removing_takes_what_runs(self, runtime: Runtime, logs: Path) -> None:
        """remove_container kills; it can be repeated; a sandbox takes its containers along."""
        sandbox_id, container_id = await self.start(runtime, logs)
        for _ in range(2):
            await runtime.remove_container(container_id)
        assert await runtime.list_containers() == ()
        with pytest.raises(RuntimeGone):
            await runtime.container_status(container_id)
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)
        sandbox_id, _ = await self.start(runtime, logs, pod="other")
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)
        assert await runtime.list_containers() == ()

    async def test_what_is_gone_is_gone(self, runtime: Runtime, logs: Path) -> None:
        """Stopping and removing what never was is no error; asking about it is."""
        unknown = "0" * 64
        await runtime.stop_container(unknown, 1)
        await runtime.remove_container(unknown)
        await runtime.stop_sandbox(unknown)
        await runtime.remove_sandbox(unknown)
        with pytest.raises(RuntimeGone):
            await runtime.container_status(unknown)
        with pytest.raises(RuntimeFailure):
            await runtime.exec_sync(unknown, ("true",), 1.0)
        with pytest.raises(RuntimeFailure):
            await runtime.create_container(unknown, ContainerConfig(name="c", image=self.image), self.config(logs))

    async def test_events_tell_of_exits(self, runtime: Runtime, logs: Path) -> None:
        """First a resync; then, among others, the exit, when the status already knows it."""
        events = runtime.events()
        async with asyncio.timeout(WITHIN):
            assert (await anext(events)).kind == "resync"
            _, container_id = await self.start(runtime, logs, "sh", "-c", "sleep 0.2; exit 4")
            async for event in events:
                if event.kind == "exit" and event.container_id == container_id:
                    break
        assert (await runtime.container_status(container_id)).exit_code == 4
        await events.aclose()  # type: ignore[attr-defined]

    async def test_exec_sync(self, runtime: Runtime, logs: Path) -> None:
        """Both outputs and the code; the pod's host name."""
        _, container_id = await self.start(runtime, logs)
        result = await runtime.exec_sync(container_id, ("sh", "-c", "echo out; echo err >&2; exit 5"), 5.0)
        assert (result.exit_code, result.stdout, result.stderr) == (5, b"out\n", b"err\n")
        assert (await runtime.exec_sync(container_id, ("hostname",), 0)).stdout == b"web\n"

    async def test_exec_sync_times_out(self, runtime: Runtime, logs: Path) -> None:
        """A command that takes too long is a TimeoutError."""
        _, container_id = await self.start(runtime, logs)
        with pytest.raises(TimeoutError):
            await runtime.exec_sync(container_id, ("sleep", "30"), 1.0)

    async def test_exec_needs_a_running_container(self, runtime: Runtime, logs: Path) -> None:
        """An ended container takes no commands."""
        _, container_id = await self.start(runtime, logs, "true")
        await self.exited(runtime, container_id)
        with pytest.raises(RuntimeFailure):
            await runtime.exec_sync(container_id, ("true",), 1.0)

    async def test_exec_streams(self, runtime: Runtime, logs: Path) -> None:
        """Input comes back from cat; the end of input ends it, with all output there."""
        _, container_id = await self.start(runtime, logs)
        session = await runtime.exec(container_id, ("cat",), stdin=True, tty=False)
        assert session.stdin is not None
        session.stdin.write(b"one\n")
        await session.stdin.drain()
        assert await session.stdout.read(100) == b"one\n"
        session.stdin.write(b"two\n")
        session.stdin.close()
        async with asyncio.timeout(WITHIN):
            assert await session.stdout.read() == b"two\n"
            assert await session.wait() == 0
        await session.close()
        await session.close()

    async def test_exec_gives_the_code_and_stderr(self, runtime: Runtime, logs: Path) -> None:
        """The exit code of an interactive command."""
        _, container_id = await self.start(runtime, logs)
        session = await runtime.exec(container_id, ("sh", "-c", "echo no >&2; exit 6"), stdin=False, tty=False)
        assert session.stderr is not None
        async with asyncio.timeout(WITHIN):
            assert await session.wait() == 6
            assert await session.stderr.read() == b"no\n"
            assert await session.stdout.read() == b""
        await session.close()

    async def test_closing_exec_ends_the_command(self, runtime: Runtime, logs: Path) -> None:
        """Closing a session does not wait for a command that runs for ever."""
        _, container_id = await self.start(runtime, logs)
        session = await runtime.exec(container_id, FOREVER, stdin=False, tty=False)
        async with asyncio.timeout(WITHIN):
            await session.close()
            assert await session.stdout.read() == b""

    async def test_attach_ends_with_the_container(self, runtime: Runtime, logs: Path) -> None:
        """Attaching waits for the process's end."""
        _, container_id = await self.start(runtime, logs)
        session = await runtime.attach(container_id, stdin=False, tty=False)
        await runtime.stop_container(container_id, 0)
        async with asyncio.timeout(WITHIN):
            assert await session.wait() == 0
        await session.close()

    async def test_connect_to_a_closed_port(self, runtime: Runtime, logs: Path) -> None:
        """Nobody listens: an OSError, as a socket would raise."""
        sandbox_id, _ = await self.start(runtime, logs)
        with pytest.raises(OSError, match="81"):
            await runtime.connect(sandbox_id, 81)

    async def test_images(self, runtime: Runtime) -> None:
        """An image is found by name and by id; what is not there is None; removing that is no error."""
        if await runtime.image_status(self.image) is None:
            await runtime.pull_image(self.image)
        image = await runtime.image_status(self.image)
        assert image is not None
        assert self.image in image.tags
        assert await runtime.image_status(image.id) == image
        assert image in await runtime.list_images()
        assert await runtime.image_status("docker.io/library/nothing:1") is None
        await runtime.remove_image("docker.io/library/nothing:1")
        with pytest.raises(RuntimeFailure) as refused:
            await runtime.pull_image("Not A Name")
        assert refused.value.reason == "InvalidImageName"

    async def test_create_needs_the_image(self, runtime: Runtime, logs: Path) -> None:
        """A container of an image that is not here is refused."""
        box = self.config(logs)
        sandbox_id = await runtime.run_sandbox(box)
        config = ContainerConfig(name="c", image="docker.io/library/nothing:1", command=FOREVER)
        with pytest.raises(RuntimeFailure) as refused:
            await runtime.create_container(sandbox_id, config, box)
        assert refused.value.reason == "CreateContainerError"

    async def test_usage_and_limits(self, runtime: Runtime, logs: Path) -> None:
        """Running containers are in `usage`; limits can be changed while they run."""
        _, container_id = await self.start(runtime, logs)
        assert container_id in [used.id for used in await runtime.usage()]
        await runtime.update_resources(container_id, Resources(cpu_shares=512, memory_limit=64 << 20))
        assert (await runtime.image_fs()).mountpoint
