"""The fake runtime: the contract, and what only it can do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime.fake import FakeRuntime, Script
from kijabi.kubelet.runtime.fake_shell import SERVER, Outcome, interpret
from kijabi.kubelet.runtime.interface import ContainerConfig, Runtime, RuntimeFailure, SandboxConfig
from kijabi.kubelet.runtime.suite import RuntimeSuite
from kijabi.testing import simloop


class TestFakeRuntime(RuntimeSuite):
    """The contract."""

    async def open(self) -> Runtime:
        runtime = FakeRuntime()
        runtime.add_image(self.image)
        return runtime


async def pod(runtime: FakeRuntime, name: str = "web", container: str = "c", **config: Any) -> tuple[str, str]:
    annotations = config.pop("annotations", {})
    box = SandboxConfig(name=name, namespace="default", uid=name, annotations=annotations)
    runtime.add_image("app:1")
    sandbox_id = await runtime.run_sandbox(box)
    container_id = await runtime.create_container(
        sandbox_id, ContainerConfig(name=container, image="app:1", **config), box
    )
    await runtime.start_container(container_id)
    return sandbox_id, container_id


def test_scripts_say_how_a_container_behaves() -> None:
    async def main() -> None:
        runtime = FakeRuntime(scripts={"job": Script(run_for=30.0, exit_code=2, message="no luck")})
        _, container_id = await pod(runtime, container="job")
        await asyncio.sleep(29.9)
        assert (await runtime.container_status(container_id)).state == "running"
        await asyncio.sleep(0.2)
        info = await runtime.container_status(container_id)
        assert (info.exit_code, info.reason, info.message) == (2, "Error", "no luck")
        assert info.finished_at - info.started_at == pytest.approx(30.0)

    simloop.run(main())


def test_an_annotation_is_a_script() -> None:
    async def main() -> None:
        runtime = FakeRuntime()
        text = '{"runFor": 1, "reason": "OOMKilled", "exitCode": 137}'
        _, container_id = await pod(runtime, annotations={"fake.kijabi.dev/c": text})
        await asyncio.sleep(2)
        assert (await runtime.container_status(container_id)).reason == "OOMKilled"
        with pytest.raises(RuntimeFailure, match="annotation"):
            await pod(runtime, "other", annotations={"fake.kijabi.dev/c": "{"})

    simloop.run(main())


def test_a_test_acts_on_it() -> None:
    async def main() -> None:
        runtime = FakeRuntime(missing={"none:1"})
        _, container_id = await pod(runtime)
        runtime.oom(runtime.find("web", "c"))
        assert (await runtime.container_status(container_id)).reason == "OOMKilled"
        with pytest.raises(RuntimeFailure, match="not found"):
            await runtime.pull_image("none:1")
        runtime.go_down()
        with pytest.raises(ConnectionLost):
            await runtime.info()
        events = runtime.events()
        assert (await anext(events)).kind == "resync"
        runtime.come_back()
        assert (await anext(events)).kind == "resync"
        await events.aclose()
        runtime.fault = lambda method, _: RuntimeFailure("Planned", method) if method == "info" else None
        with pytest.raises(RuntimeFailure, match="info"):
            await runtime.info()

    simloop.run(main())


def test_stop_takes_its_time_and_no_more_than_the_grace() -> None:
    async def main() -> None:
        runtime = FakeRuntime(scripts={"slow": Script(stop_after=5.0), "deaf": Script(stop_after=1e9)})
        loop = asyncio.get_running_loop()
        for name, code, seconds in (("slow", 143, 5.0), ("deaf", 137, 30.0)):
            _, container_id = await pod(runtime, name, name)
            began = loop.time()
            await runtime.stop_container(container_id, 30)
            assert loop.time() - began == pytest.approx(seconds)
            assert (await runtime.container_status(container_id)).exit_code == code

    simloop.run(main())


def test_addresses_are_used_again() -> None:
    async def main() -> None:
        runtime = FakeRuntime(pod_cidr="10.0.0.0/30")
        sandbox_id, _ = await pod(runtime)
        with pytest.raises(RuntimeFailure, match="no IP addresses"):
            await pod(runtime, "second")
        await runtime.stop_sandbox(sandbox_id)
        await pod(runtime, "third")

    simloop.run(main())


def test_a_listener_that_sleeps_gets_a_resync() -> None:
    async def main() -> None:
        runtime = FakeRuntime()
        events = runtime.events()
        await anext(events)
        for number in range(1500):
            await pod(runtime, f"p{number}", command=("sh", "-c", "exit 1"))
        await asyncio.sleep(1)
        assert (await anext(events)).kind == "resync"
        await events.aclose()

    simloop.run(main())


def test_open_ports_echo() -> None:
    async def main() -> None:
        runtime = FakeRuntime(scripts={"c": Script(ports=(80,), exec={"who am i": (0, "me")})})
        sandbox_id, container_id = await pod(runtime)
        reader, writer = await runtime.connect(sandbox_id, 80)
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        with pytest.raises(ConnectionRefusedError):
            await runtime.connect(sandbox_id, 81)
        assert (await runtime.exec_sync(container_id, ("who", "am", "i"), 1)).stdout == b"me"

    simloop.run(main())


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        (("sleep", "5"), Outcome(seconds=5.0)),
        (("sleep", "1.5h"), Outcome(seconds=5400.0)),
        (("sleep", "infinity"), SERVER),
        (("sh", "-c", "echo a; echo b >&2 && exit 3; echo c"), Outcome(code=3, stdout="a\n", stderr="b\n")),
        (("sh", "-c", "false && echo a || echo b"), Outcome(stdout="b\n")),
        (("sh", "-c", "echo started\nexec nginx -g 'daemon off;'"), Outcome(seconds=None, stdout="started\n")),
        (("sh", "-c", "sleep 1; sleep 2; false"), Outcome(seconds=3.0, code=1)),
        (("cat",), Outcome(echo=True)),
        (("sh", "-c", "echo 'unfinished"), SERVER),
        ((), SERVER),
        (("nginx",), SERVER),
    ],
)
def test_commands_are_understood(command: tuple[str, ...], outcome: Outcome) -> None:
    assert interpret(command) == outcome


async def test_logs_have_paths(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.add_image("app:1")
    box = SandboxConfig(name="p", namespace="default", uid="u", log_directory=str(tmp_path))
    sandbox_id = await runtime.run_sandbox(box)
    config = ContainerConfig(name="c", image="app:1", log_path="c/0.log")
    container_id = await runtime.create_container(sandbox_id, config, box)
    assert (await runtime.container_status(container_id)).log_path == f"{tmp_path}/c/0.log"
