"""The kubelet's HTTP server: who may ask, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from kijabi.kubelet.runtime.interface import ContainerUsage, ExecResult
from kijabi.kubelet.server import KubeletServer, is_allowed
from tests.kubelet.world import World, inhabited, running


@asynccontextmanager
async def served() -> AsyncIterator[tuple[World, Any]]:
    """A world with one running pod, and a function that asks its kubelet."""
    async with inhabited() as world:
        runner = web.AppRunner(KubeletServer(world.kubelet).application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:

            async def ask(path: str, method: str = "GET") -> tuple[int, str]:
                async with session.request(method, base + path) as answer:
                    return answer.status, await answer.text()

            await world.create()
            await world.until(running)
            yield world, ask
        await runner.cleanup()


@pytest.mark.parametrize(
    ("subject", "allowed"),
    [
        ([("commonName", "kube-apiserver-kubelet-client")], True),
        ([("organizationName", "system:masters"), ("commonName", "anybody")], True),
        ([("organizationName", "system:nodes"), ("commonName", "system:node:n2")], False),
        ([], False),
    ],
)
def test_who_may_ask(subject: list[tuple[str, str]], allowed: bool) -> None:
    assert is_allowed({"subject": tuple((pair,) for pair in subject)}) is allowed


ONE = b"2026-01-01T00:00:00.5Z stdout F one\n"


async def logs_to(world: World, path: Path) -> None:
    """The pod's container writes into a file of ours, and has begun to."""
    info = world.runtime.named("c")[0]
    world.runtime.move_log(info.id, str(path))
    await world.kubelet.parts.cache.refresh(info.id)


async def test_logs(tmp_path: Path) -> None:
    async with served() as (world, ask):
        path = tmp_path / "0.log"
        path.write_bytes(ONE + b"2026-01-01T00:00:01.5Z stderr F two\n")
        await logs_to(world, path)
        assert await ask("/containerLogs/default/web/c") == (200, "one\ntwo\n")
        assert await ask("/containerLogs/default/web/c?tailLines=1&timestamps=true") == (
            200,
            "2026-01-01T00:00:01.5Z two\n",
        )
        assert await ask("/containerLogs/default/web/c?previous=true") == (
            400,
            'previous terminated container "c" in pod "web" not found',
        )
        assert await ask("/containerLogs/default/web/x") == (404, 'container "x" not found in pod "web"')
        assert await ask("/containerLogs/default/none/c") == (404, 'pod "none" does not exist')
        assert (await ask("/containerLogs/default/web/c?tailLines=x"))[0] == 400


async def test_a_followed_log_ends_with_its_container(tmp_path: Path) -> None:
    async with served() as (world, ask):
        path = tmp_path / "0.log"
        path.write_bytes(ONE)
        await logs_to(world, path)
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(ask("/containerLogs/default/web/c?follow=true"))
            await world.until(lambda pod: world.kubelet.listeners)
            world.runtime.end("c", 1)
        assert answer.result() == (200, "one\n")
        assert not world.kubelet.listeners


async def test_who_follows_a_log_may_leave(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (world, ask):
        path = tmp_path / "0.log"
        path.write_bytes(ONE)
        await logs_to(world, path)
        follower = asyncio.create_task(ask("/containerLogs/default/web/c?follow=true"))
        await world.until(lambda pod: world.kubelet.listeners)
        follower.cancel()
        with pytest.raises(asyncio.CancelledError):
            await follower
        with path.open("ab") as log:
            log.write(b"2026-01-01T00:00:01.5Z stdout F two\n" * 3)
        await world.until(lambda pod: not world.kubelet.listeners)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_the_rest() -> None:
    async with served() as (world, ask):
        assert await ask("/healthz") == (200, "ok")
        code, text = await ask("/pods")
        listed = msgspec.json.decode(text)
        assert (code, listed["kind"], listed["items"][0]["metadata"]["name"]) == (200, "PodList", "web")
        used = ContainerUsage(id=world.runtime.named("c")[0].id, cpu_nanoseconds=5 * 10**9, memory_working_set=1 << 20)

        async def usage() -> tuple[ContainerUsage, ...]:
            return (used,)

        world.runtime.usage = usage  # type: ignore[method-assign]
        code, text = await ask("/stats/summary")
        summary = msgspec.json.decode(text)
        assert summary["node"]["nodeName"] == "n1"
        assert summary["pods"][0]["containers"][0]["memory"]["workingSetBytes"] == 1 << 20
        code, text = await ask("/metrics/resource")
        assert 'container_cpu_usage_seconds_total{container="c",namespace="default",pod="web"} 5.000000' in text
        assert "kubelet_running_pods 1" in (await ask("/metrics"))[1]
        assert (await ask("/configz"))[0] == 200
        world.runtime.exec_answer = lambda _, command: ExecResult(0, " ".join(command).encode(), b"")
        assert await ask("/run/default/web/c?cmd=ls%20-l", "POST") == (200, "ls -l")
        assert (await ask("/exec/default/web/none", "POST"))[0] == 404
        world.runtime.end("c", 1)
        assert (await ask("/exec/default/none/c", "POST"))[0] == 404
