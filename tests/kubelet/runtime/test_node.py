"""A node's daemon and its surroundings: crashes, restarts, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from kijabi.base.process import run
from kijabi.kubelet.runtime import cni, linux, network
from kijabi.kubelet.runtime.containerd import Containerd
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.kubelet.runtime.interface import ContainerConfig, PortMapping, SandboxConfig
from tests.kubelet.runtime.realnode import RealNode

pytestmark = pytest.mark.node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[RealNode, str]]:
    """A node of this test's own, with busybox."""
    node = RealNode(tmp_path / "node", "10.231.8.0/24")
    try:
        node.start()
        yield node, node.add_image("busybox")
    finally:
        node.remove()
    assert node.traces() == []


@pytest.fixture
async def runtime(node: tuple[RealNode, str]) -> AsyncIterator[CriRuntime]:
    runtime = await node[0].runtime()
    yield runtime
    await runtime.close()


def config(node: RealNode, name: str = "p", **more: object) -> SandboxConfig:
    return SandboxConfig(
        name=name,
        namespace="default",
        uid=name,
        hostname=name,
        log_directory=str(node.directory / "logs" / name),
        cgroup_parent=node.cgroups.pod("Burstable", name),
        **more,  # type: ignore[arg-type]
    )


async def start(runtime: CriRuntime, box: SandboxConfig, image: str, *command: str) -> tuple[str, str]:
    sandbox_id = await runtime.run_sandbox(box)
    return sandbox_id, await add(runtime, sandbox_id, box, image, *command)


async def add(
    runtime: CriRuntime, sandbox_id: str, box: SandboxConfig, image: str, *command: str, name: str = "c"
) -> str:
    container = ContainerConfig(name=name, image=image, command=command or ("sleep", "1000"), log_path=f"{name}.log")
    container_id = await runtime.create_container(sandbox_id, container, box)
    await runtime.start_container(container_id)
    return container_id


async def test_containers_survive_containerds_death(node: tuple[RealNode, str], runtime: CriRuntime) -> None:
    real, image = node
    box = config(real)
    sandbox_id, container_id = await start(runtime, box, image)
    events = runtime.events()
    assert (await anext(events)).kind == "resync"
    before = (await runtime.sandbox_status(sandbox_id)).ips
    supervising = asyncio.ensure_future(real.containerd.supervise())
    dead = real.containerd.pid
    os.kill(dead, 9)
    async with asyncio.timeout(20):
        assert (await anext(events)).kind == "resync"
        await runtime.wait_ready()
    assert real.containerd.pid != dead
    assert (await runtime.container_status(container_id)).state == "running"
    assert (await runtime.sandbox_status(sandbox_id)).ips == before
    assert (await runtime.exec_sync(container_id, ("hostname",), 5)).stdout == b"p\n"
    second = await add(runtime, sandbox_id, box, image, name="second")
    await runtime.stop_container(second, 0)
    await runtime.stop_sandbox(sandbox_id)
    await runtime.remove_sandbox(sandbox_id)
    assert await runtime.list_containers() == ()
    assert cni.purge(real.network, set()) == 0
    supervising.cancel()
    await asyncio.gather(supervising, return_exceptions=True)
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_new_agent_adopts_the_daemon(node: tuple[RealNode, str], runtime: CriRuntime) -> None:
    real, image = node
    _, container_id = await start(runtime, config(real), image)
    successor = Containerd(real.config)
    await successor.start()
    assert successor.adopted
    assert successor.pid == real.containerd.pid
    await successor.stop()
    await successor.start()
    assert not successor.adopted
    await runtime.wait_ready()
    assert (await runtime.container_status(container_id)).state == "running"


async def test_addresses_of_lost_sandboxes_are_freed(node: tuple[RealNode, str], runtime: CriRuntime) -> None:
    real, image = node
    sandbox_id, _ = await start(runtime, config(real), image)
    lease = real.network.data_dir / real.network.name / "10.231.8.200"
    lease.write_text("0123456789abcdef\r\neth0")
    assert cni.purge(real.network, {sandbox_id}) == 1
    assert cni.purge(real.network, {sandbox_id}) == 0


async def test_nothing_is_left(tmp_path: Path) -> None:
    """Not of pods that still run, not of host ports; `traces` of the fixture asserts the same for every test here."""
    real = RealNode(tmp_path / "node", "10.231.9.0/24")
    await asyncio.to_thread(real.start)
    try:
        image = await asyncio.to_thread(real.add_image, "busybox")
        runtime = await real.runtime()
        box = config(real, ports=(PortMapping(container_port=80, host_port=18081),))
        await start(runtime, box, image)
        volume = real.config.shared / "volume"
        os.mkdir(volume)
        linux.mount("none", str(volume), 0, "tmpfs")
        assert "18081" in rules()
        assert len(real.containerd.shims()) == 1
        await runtime.close()
    finally:
        await asyncio.to_thread(real.remove)
    assert real.traces() == []
    assert "18081" not in rules()
    assert "-A CNI-HOSTPORT-DNAT" in rules() or "CNI-HOSTPORT" not in rules()
    await asyncio.to_thread(real.remove)


async def test_cables_of_pods_that_linger_are_pulled(tmp_path: Path) -> None:
    """A pod's network namespace may outlive it (open connections): its cable goes with the network all the same."""
    node, pod = f"kjnode{os.getpid()}", f"kjpod{os.getpid()}"
    net = cni.network("cable", "node-1", "10.231.10.0/24", tmp_path)
    net = msgspec.structs.replace(net, netns=f"/run/netns/{node}")
    try:
        for name in (node, pod):
            await run("ip", "netns", "add", name)
        await run("ip", "-n", node, "link", "add", net.bridge, "type", "bridge")
        await run("ip", "-n", node, "link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", pod)
        await run("ip", "-n", node, "link", "set", "cable", "master", net.bridge)
        await cni.remove(net)
        left = await run("ip", "-n", node, "-json", "link")
        assert "cable" not in left
        assert net.bridge not in left
        await cni.remove(net)
    finally:
        for name in (node, pod):
            await run("ip", "netns", "delete", name)


def rules() -> str:
    """The machine's NAT rules as iptables has them."""
    return subprocess.run(("iptables-save", "-t", "nat"), capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machine() -> Iterator[network.Layout]:
    """Three nodes' networks: the machine's own and two namespaces."""
    nodes = [(f"n{number}", f"10.232.{number}.0/24") for number in (1, 2, 3)]
    plan = network.layout("testnet0", "172.31.250.0/24", nodes)
    asyncio.run(network.create(plan))
    asyncio.run(network.create(plan))  # repeatable
    try:
        yield plan
    finally:
        asyncio.run(network.remove(plan))
        asyncio.run(network.remove(plan))
    left = subprocess.run(("ip", "-o", "link"), capture_output=True, text=True, check=True).stdout
    assert "ktestnet" not in left
    assert plan.bridge not in left
    assert not any(Path(link.path).exists() for link in plan.nodes if link.netns)


def test_pods_of_all_nodes_reach_each_other(machine: network.Layout, tmp_path: Path) -> None:
    nodes = [RealNode(tmp_path / link.name, link.pod_cidr, link.path) for link in machine.nodes]

    async def main() -> None:
        pods = []
        for number, (real, image) in enumerate(zip(nodes, images, strict=True)):
            runtime = await real.runtime()
            script = f"mkdir /www; echo node{number} > /www/index.html; httpd -f -p 80 -h /www"
            sandbox_id, container_id = await start(runtime, config(real), image, "sh", "-c", script)
            (address,) = (await runtime.sandbox_status(sandbox_id)).ips
            pods.append((runtime, container_id, address))
        for runtime, container_id, _ in pods:
            for number, (_, _, address) in enumerate(pods):
                command = ("timeout", "5", "wget", "-qO-", f"http://{address}/")
                answer = await runtime.exec_sync(container_id, command, 10)
                assert answer.stdout.decode().strip() == f"node{number}"
        for runtime, _, _ in pods:
            await runtime.close()

    try:
        for real in nodes:
            real.start()
        images = [real.add_image("busybox") for real in nodes]
        asyncio.run(main())
    finally:
        for real in nodes:
            real.remove()
    assert [real.traces() for real in nodes] == [[], [], []]
