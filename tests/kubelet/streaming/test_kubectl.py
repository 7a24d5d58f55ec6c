"""kubectl itself against the streaming handlers: by WebSocket and, forced, by SPDY."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.kubelet.streaming.serving import Served, run, served

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]
WEBSOCKETS = pytest.mark.parametrize("websockets", ["true", "false"], ids=["websocket", "spdy"])


async def kubectl(
    server: Served, websockets: str, home: Path, *arguments: str, input: bytes = b""
) -> tuple[int, bytes, bytes]:
    return await run(
        "kubectl",
        "--server",
        f"http://127.0.0.1:{server.port}",
        *arguments,
        input=input,
        HOME=str(home),
        PATH=os.environ["PATH"],
        KUBECONFIG="/dev/null",
        KUBECTL_REMOTE_COMMAND_WEBSOCKETS=websockets,
        KUBECTL_PORT_FORWARD_WEBSOCKETS=websockets,
    )


@WEBSOCKETS
async def test_exec_gives_output_and_code(websockets: str, tmp_path: Path) -> None:
    async with served() as server:
        script = "echo out; echo err >&2; exit 3"
        code, out, err = await kubectl(server, websockets, tmp_path, "exec", "web", "--", "sh", "-c", script)
    assert (code, out) == (3, b"out\n"), err
    assert err == b"err\ncommand terminated with exit code 3\n"


@WEBSOCKETS
async def test_exec_passes_input_and_its_end(websockets: str, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    async with served() as server:
        code, out, err = await kubectl(server, websockets, tmp_path, "exec", "-i", "web", "--", "cat", input=data)
    assert (code, err) == (0, b"")
    assert out == data


@WEBSOCKETS
async def test_exec_tells_why_not(websockets: str, tmp_path: Path) -> None:
    async with served() as server:
        server.runtime.exit(server.container)
        code, _, err = await kubectl(server, websockets, tmp_path, "exec", "web", "--", "true")
    assert code == 1
    assert b"error executing command in container: container is in CONTAINER_EXITED state" in err


@WEBSOCKETS
async def test_attach_ends_with_the_container(websockets: str, tmp_path: Path) -> None:
    async with served() as server:
        asyncio.get_running_loop().call_later(1.5, server.runtime.exit, server.container)
        code, _, _ = await kubectl(server, websockets, tmp_path, "attach", "web", "-i")
    assert code == 0


@WEBSOCKETS
async def test_port_forward(websockets: str, tmp_path: Path) -> None:
    async with served() as server:
        process = await asyncio.create_subprocess_exec(
            "env",
            f"KUBECTL_PORT_FORWARD_WEBSOCKETS={websockets}",
            f"HOME={tmp_path}",
            "KUBECONFIG=/dev/null",
            "kubectl",
            "--server",
            f"http://127.0.0.1:{server.port}",
            "port-forward",
            "web",
            ":80",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        try:
            async with asyncio.timeout(20):
                line = (await process.stdout.readline()).decode()  # Forwarding from 127.0.0.1:40001 -> 80
                port = int(line.split("127.0.0.1:")[1].split(" ")[0])
                await asyncio.gather(*(echo(port, os.urandom(100_000)) for _ in range(5)))
        finally:
            process.terminate()
            await process.communicate()


async def echo(port: int, data: bytes) -> None:
    """What is sent comes back whole, and the end of one direction ends the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
