"""The supervisor's components as real, small processes: started, brought back, stopped, and what is said of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kijabi.cmd import supervisor
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.supervisor import Component

READY = """
import os, socket, time
end = socket.socket(fileno=int(os.environ["KIJABI_LIFELINE"]))
end.send(b'{"ready": true}\\n')
"""
FOREVER = READY + "time.sleep(600)\n"


@asynccontextmanager
async def running(directory: Path, script: str) -> AsyncIterator[Component]:
    """A component that runs a Python script."""
    config = ClusterConfig(dir=str(directory))
    config.logs.mkdir(exist_ok=True)
    component = Component("part", [sys.executable, "-c", script], config, asyncio.Condition())
    life = asyncio.create_task(component.run())
    try:
        yield component
    finally:
        await component.stop()
        await life


async def until(component: Component, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20), component._changed:
        await component._changed.wait_for(true)


async def test_it_is_starting_until_it_says_that_it_is_ready(tmp_path: Path) -> None:
    async with running(tmp_path, FOREVER) as component:
        await until(component, lambda: component.status.state == "starting")
        await until(component, lambda: component.status.state == "ready")
        assert component.status.pid
        assert component.status.restarts == 0
    assert component.status.state == "stopped"
    assert component.status.pid == 0


async def test_what_dies_is_started_again_and_why_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path, FOREVER) as component:
        await until(component, lambda: component.status.state == "ready")
        first = component.status.pid
        os.kill(first, signal.SIGKILL)
        await until(component, lambda: component.status.state == "ready" and component.status.restarts == 1)
        assert component.status.pid != first
        assert component.status.last_exit == "killed by SIGKILL"


async def test_the_reason_is_the_last_line_of_its_errors(tmp_path: Path) -> None:
    async with running(tmp_path, "raise ValueError('no such luck')") as component:
        await until(component, lambda: component.status.state == "backoff")
        assert component.status.last_exit == "exit code 1: ValueError: no such luck"


async def test_back_off_doubles_and_ends_when_somebody_looks(tmp_path: Path) -> None:
    async with running(tmp_path, "raise SystemExit(3)") as component:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(component, lambda: component.status.restarts == 2)
        assert loop.time() - began >= 3 * supervisor.FIRST_BACKOFF
        await until(component, lambda: component.status.state == "backoff" and component.status.restarts == 2)
        component.retry()
        await until(component, lambda: component.status.restarts == 3)


async def test_a_problem_that_it_lives_with_is_shown_and_taken_back(tmp_path: Path) -> None:
    script = READY + (
        """end.send(b'{"ready": true, "problem": "no space"}\\n'); time.sleep(0.2);"""
        """end.send(b'{"ready": true}\\n'); time.sleep(600)"""
    )
    async with running(tmp_path, script) as component:
        await until(component, lambda: component.status.problem == "no space")
        assert component.status.state == "ready"
        await until(component, lambda: component.status.problem == "")


async def test_stop_kills_what_does_not_want_to_end(tmp_path: Path) -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
    grace, supervisor.STOP_GRACE = supervisor.STOP_GRACE, 0.3
    try:
        async with running(tmp_path, script) as component:
            await until(component, lambda: component.status.state == "ready")
            pid = component.status.pid
    finally:
        supervisor.STOP_GRACE = grace
    assert str(pid) not in os.listdir("/proc")


def test_one_node_process_for_each_node() -> None:
    rows = dict(supervisor.components(ClusterConfig(dir="/d", nodes=2)))
    assert list(rows) == ["apiserver", "control", "node-1", "node-2"]
    assert rows["node-2"][-2:] == ["--node-name", "node-2"]
