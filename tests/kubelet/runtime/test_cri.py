"""The CRI runtime on a real containerd: the contract, and what only real containers show."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kijabi.kubelet.runtime import linux
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.kubelet.runtime.interface import (
    ContainerConfig,
    ContainerInfo,
    Mount,
    PortMapping,
    Resources,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
)
from kijabi.kubelet.runtime.suite import RuntimeSuite
from tests.kubelet.runtime.realnode import RealNode

pytestmark = pytest.mark.node


class TestCriRuntime(RuntimeSuite):
    """The contract."""

    @pytest.fixture(autouse=True)
    def on_node(self, busybox_node: tuple[RealNode, str]) -> None:
        self.node, self.image = busybox_node

    async def open(self) -> Runtime:
        return await self.node.runtime()

    def cgroup(self, uid: str) -> str:
        return self.node.cgroups.pod("Burstable", uid)


class Pods:
    """Starts pods on the real node."""

    def __init__(self, node: RealNode, image: str, runtime: CriRuntime, logs: Path) -> None:
        self.node, self.image, self.runtime, self.logs = node, image, runtime, logs
        self.count = 0

    def box(self, **more: object) -> SandboxConfig:
        self.count += 1
        uid = f"uid-{self.count}-{id(self)}"
        return SandboxConfig(
            name=f"p{self.count}",
            namespace="default",
            uid=uid,
            hostname=f"p{self.count}",
            log_directory=str(self.logs / uid),
            cgroup_parent=self.node.cgroups.pod("Burstable", uid),
            **more,  # type: ignore[arg-type]
        )

    async def start(self, *command: str, box: SandboxConfig | None = None, **more: object) -> tuple[str, str]:
        box = box or self.box()
        sandbox_id = await self.runtime.run_sandbox(box)
        return sandbox_id, await self.add(sandbox_id, box, *command, **more)

    async def add(self, sandbox_id: str, box: SandboxConfig, *command: str, **more: object) -> str:
        config = ContainerConfig(
            name=str(more.pop("name", "c")),
            image=str(more.pop("image", self.image)),
            command=command,
            log_path="c/0.log",
            **more,  # type: ignore[arg-type]
        )
        container_id = await self.runtime.create_container(sandbox_id, config, box)
        await self.runtime.start_container(container_id)
        return container_id

    async def exited(self, container_id: str) -> ContainerInfo:
        async with asyncio.timeout(10):
            while True:
                info = await self.runtime.container_status(container_id)
                if info.state == "exited":
                    return info
                await asyncio.sleep(0.02)

    async def says(self, container_id: str, script: str) -> str:
        result = await self.runtime.exec_sync(container_id, ("sh", "-c", script), 10)
        return (result.stdout + result.stderr).decode().strip()


@pytest.fixture
async def pods(busybox_node: tuple[RealNode, str], tmp_path: Path) -> AsyncIterator[Pods]:
    node, image = busybox_node
    runtime = await node.runtime()
    yield Pods(node, image, runtime, tmp_path)
    for box in await runtime.list_sandboxes():
        await stop(runtime, box.id)
        await runtime.remove_sandbox(box.id)
    await runtime.close()


async def stop(runtime: CriRuntime, sandbox_id: str) -> None:
    """As the kubelet does it, again if need be: a container that ends at that moment can make it fail."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await runtime.stop_sandbox(sandbox_id)
            except RuntimeFailure as failure:
                print(failure)
                await asyncio.sleep(0.1)


def read(path: str) -> str:
    """A file's text; nothing where there is none."""
    return Path(path).read_text() if Path(path).exists() else ""


async def test_logs_are_in_the_cri_format(pods: Pods) -> None:
    _, container_id = await pods.start("sh", "-c", "echo out; echo err >&2")
    info = await pods.exited(container_id)
    lines = read(info.log_path).splitlines()
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr F err", "stdout F out"]


async def test_logs_are_reopened(pods: Pods) -> None:
    _, container_id = await pods.start("sh", "-c", "while sleep 0.05; do echo tick; done")
    log = (await pods.runtime.container_status(container_id)).log_path
    os.rename(log, f"{log}.old")
    await pods.runtime.reopen_log(container_id)
    async with asyncio.timeout(5):
        while True:
            if "tick" in read(log):
                return
            await asyncio.sleep(0.02)


async def test_a_missing_program_is_a_start_error(pods: Pods) -> None:
    box = pods.box()
    sandbox_id = await pods.runtime.run_sandbox(box)
    with pytest.raises(RuntimeFailure, match="not found in") as refused:
        await pods.add(sandbox_id, box, "no-such-program")
    assert refused.value.reason == "RunContainerError"
    (info,) = await pods.runtime.list_containers()
    status = await pods.runtime.container_status(info.id)
    assert (status.state, status.exit_code, status.reason) == ("exited", 128, "StartError")


async def test_memory_limit_kills(pods: Pods) -> None:
    script = "x=a; while true; do x=$x$x; done"
    _, container_id = await pods.start("sh", "-c", script, resources=Resources(memory_limit=16 << 20))
    info = await pods.exited(container_id)
    assert (info.exit_code, info.reason) == (137, "OOMKilled")


async def test_mounts_that_come_later_are_seen(pods: Pods) -> None:
    """The kubelet mounts volumes in the machine's mount namespace, containerd lives in its own."""
    volume = pods.node.config.shared / "volume"
    volume.mkdir()
    linux.mount("none", str(volume), 0, "tmpfs")
    try:
        (volume / "file").write_text("hello")
        mounts = (Mount(container_path="/data", host_path=str(volume), propagation="rslave"),)
        _, container_id = await pods.start("sleep", "100", mounts=mounts)
        assert await pods.says(container_id, "cat /data/file") == "hello"
        inner = volume / "inner"
        inner.mkdir()
        linux.mount("none", str(inner), 0, "tmpfs")
        (inner / "later").touch()
        assert await pods.says(container_id, "ls /data/inner") == "later"
        linux.unmount(str(inner))
    finally:
        linux.unmount_below(volume)


async def test_bidirectional_mounts_come_out(pods: Pods) -> None:
    volume = pods.node.config.shared / "both"
    volume.mkdir()
    mounts = (Mount(container_path="/data", host_path=str(volume), propagation="rshared"),)
    box = pods.box(privileged=True)
    _, container_id = await pods.start("sleep", "100", box=box, mounts=mounts, privileged=True)
    try:
        script = "mkdir /data/in && mount -t tmpfs none /data/in && touch /data/in/inside && echo done"
        assert await pods.says(container_id, script) == "done"
        assert (volume / "in" / "inside").exists()
    finally:
        linux.unmount_below(volume)


async def test_security_settings_arrive(pods: Pods) -> None:
    box = pods.box(fs_group=2000, sysctls={"net.ipv4.ip_unprivileged_port_start": "80"}, share_pid=True)
    _, container_id = await pods.start(
        "sleep",
        "100",
        box=box,
        run_as_user=1000,
        run_as_group=1001,
        supplemental_groups=(3000,),
        read_only_root=True,
        drop_capabilities=("ALL",),
        env=(("GREETING", "hello world"),),
        working_dir="/tmp",
        seccomp="RuntimeDefault",
    )
    assert await pods.says(container_id, "id -u; id -g; id -G") == "1000\n1001\n1001 2000 3000"
    assert "Read-only" in await pods.says(container_id, "touch /x")
    assert await pods.says(container_id, "grep CapEff /proc/self/status") == "CapEff:\t0000000000000000"
    assert await pods.says(container_id, "grep Seccomp: /proc/self/status") == "Seccomp:\t2"
    assert await pods.says(container_id, "echo $GREETING; pwd") == "hello world\n/tmp"
    assert await pods.says(container_id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "80"
    assert "/pause" in await pods.says(container_id, "cat /proc/1/cmdline")


async def test_containers_of_a_pod_share_the_network(pods: Pods) -> None:
    box = pods.box()
    sandbox_id, _ = await pods.start("sh", "-c", "echo shared | nc -l -p 8000", box=box)
    second = await pods.add(sandbox_id, box, "sleep", "100", name="second")
    async with asyncio.timeout(5):
        while (answer := await pods.says(second, "timeout 1 nc 127.0.0.1 8000")) != "shared":
            assert "refused" in answer or not answer
            await asyncio.sleep(0.05)


async def test_connect_reaches_into_the_pod(pods: Pods) -> None:
    sandbox_id, _ = await pods.start("sh", "-c", "mkfifo /f; cat /f | nc -l -p 8000 > /f")
    async with asyncio.timeout(5):
        while True:
            try:
                reader, writer = await pods.runtime.connect(sandbox_id, 8000)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
    writer.write(b"ping")
    assert await reader.read(100) == b"ping"
    writer.close()


async def test_pods_reach_each_other_and_host_ports_work(pods: Pods) -> None:
    box = pods.box(ports=(PortMapping(container_port=80, host_port=18080),))
    server_box, server = await pods.start(
        "sh", "-c", "mkdir /www; echo it works > /www/index.html; httpd -f -p 80 -h /www", box=box
    )
    (address,) = (await pods.runtime.sandbox_status(server_box)).ips
    _, client = await pods.start("sleep", "100")
    gateway = pods.node.network.gateway.ip
    assert await pods.says(client, f"timeout 5 wget -qO- http://{address}/") == "it works"
    assert await pods.says(client, f"timeout 5 wget -qO- http://{gateway}:18080/") == "it works"
    assert await pods.says(server, f"timeout 5 wget -qO- http://{gateway}:18080/") == "it works"


async def test_a_terminal_has_a_size(pods: Pods) -> None:
    _, container_id = await pods.start("sleep", "100")
    session = await pods.runtime.exec(container_id, ("sh",), stdin=True, tty=True)
    assert session.stdin is not None
    await session.resize(111, 33)
    session.stdin.write(b"stty size; exit 7\n")
    async with asyncio.timeout(5):
        assert await session.wait() == 7
    assert b"33 111" in await session.stdout.read()
    await session.close()


async def test_attach_speaks_with_the_process(pods: Pods) -> None:
    _, container_id = await pods.start("cat", stdin=True, stdin_once=True)
    session = await pods.runtime.attach(container_id, stdin=True, tty=False)
    assert session.stdin is not None
    session.stdin.write(b"hello\n")
    await session.stdin.drain()
    async with asyncio.timeout(5):
        assert await session.stdout.read(100) == b"hello\n"
        session.stdin.close()
        assert await session.wait() == 0
    await session.close()
    assert (await pods.exited(container_id)).exit_code == 0


async def test_output_of_a_quick_command_is_whole(pods: Pods) -> None:
    """A megabyte through the pipes, with a reader slower than the writer."""
    _, container_id = await pods.start("sleep", "100")
    session = await pods.runtime.exec(container_id, ("dd", "if=/dev/zero", "bs=1M", "count=1"), stdin=False, tty=False)
    await asyncio.sleep(0.3)
    code, output = await asyncio.gather(session.wait(), session.stdout.read())
    assert (code, len(output)) == (0, 1 << 20)
    await session.close()


async def test_a_child_that_holds_the_output_does_not_hold_us_for_ever(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kijabi.kubelet.runtime.tasks.DRAIN", 0.3)
    _, container_id = await pods.start("sleep", "100")
    session = await pods.runtime.exec(container_id, ("sh", "-c", "sleep 50 & echo hi"), stdin=False, tty=False)
    async with asyncio.timeout(5):
        assert await session.wait() == 0
        await session.close()
        assert await session.stdout.read() == b"hi\n"


async def test_pull_says_why_not(pods: Pods) -> None:
    with pytest.raises(RuntimeFailure, match="connection refused") as refused:
        await pods.runtime.pull_image("localhost:5999/foo:bar")
    assert refused.value.reason == "ErrImagePull"


async def test_limits_of_the_pod_are_in_its_group(pods: Pods) -> None:
    box = pods.box()
    pods.node.cgroups.create(box.cgroup_parent, Resources(cpu_shares=512, cpu_quota=50_000, memory_limit=64 << 20))
    sandbox_id, _ = await pods.start("sleep", "100", box=box)
    assert pods.node.cgroups.pids(box.cgroup_parent)
    assert pods.node.cgroups.pods()[box.uid] == box.cgroup_parent
    if pods.node.cgroups.version == 1:
        limit = Path("/sys/fs/cgroup/memory", box.cgroup_parent.lstrip("/"), "memory.limit_in_bytes")
    else:
        limit = Path("/sys/fs/cgroup", box.cgroup_parent.lstrip("/"), "memory.max")
    assert limit.read_text().strip() == str(64 << 20)
    await pods.runtime.stop_sandbox(sandbox_id)
    await pods.runtime.remove_sandbox(sandbox_id)
    assert pods.node.cgroups.remove(box.cgroup_parent)
    assert not pods.node.cgroups.exists(box.cgroup_parent)


async def test_limits_change(pods: Pods) -> None:
    limited = Resources(cpu_shares=512, cpu_quota=20_000, memory_limit=32 << 20)
    _, container_id = await pods.start("sleep", "100", resources=limited)
    script = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/memory/memory.limit_in_bytes"
    if pods.node.cgroups.version == 2:
        script = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max"
    assert "20000" in await pods.says(container_id, script)
    await pods.runtime.update_resources(container_id, Resources(cpu_quota=40_000, memory_limit=64 << 20))
    told = await pods.says(container_id, script)
    assert "40000" in told
    assert str(64 << 20) in told


async def test_a_pod_starts_quickly(pods: Pods) -> None:
    """Not a benchmark: a bound that only a mistake would break."""
    await pods.start("sleep", "100")
    began = time.perf_counter()
    await pods.start("sleep", "100")
    assert time.perf_counter() - began < 2.0
