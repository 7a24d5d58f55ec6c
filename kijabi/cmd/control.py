"""The control socket of a running cluster: one JSON line in, JSON lines out.

`{"op": "status"}` answers the components once. `{"op": "wait"}` starts at once what waits to be started
again, and answers at every change until all are ready.
`{"op": "stop"}` stops the cluster and answers when its components are down. The supervisor serves it; `up`, `down`
and `status` call it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from kijabi.base.errors import ConnectionLost

if TYPE_CHECKING:
    from kijabi.cmd.supervisor import Status, Supervisor


class Ask(msgspec.Struct, frozen=True):
    """One request of a client."""

    op: Literal["status", "wait", "stop"]


def socket_path(directory: Path) -> Path:
    return directory / "run" / "control.sock"


async def serve(supervisor: Supervisor) -> None:
    """Answer until cancelled. The socket is open to its owner only."""
    path = socket_path(supervisor.config.path)
    path.unlink(missing_ok=True)
    before = os.umask(0o077)
    try:
        server = await asyncio.start_unix_server(lambda reader, writer: _answer(supervisor, reader, writer), str(path))
    finally:
        os.umask(before)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _answer(supervisor: Supervisor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def tell() -> None:
        writer.write(msgspec.json.encode(supervisor.snapshot()) + b"\n")

    try:
        ask = msgspec.json.decode(await reader.readline(), type=Ask)
        if ask.op == "stop":
            supervisor.stopping.set()
        tell()
        if ask.op == "wait":
            supervisor.retry()
            async with supervisor.changed:
                while not all(c.state == "ready" for c in supervisor.snapshot()):
                    await supervisor.changed.wait()
                    tell()
        await writer.drain()
    except (msgspec.MsgspecError, ConnectionError) as error:
        writer.write(msgspec.json.encode({"error": str(error)}) + b"\n")
    finally:
        writer.close()


async def ask(directory: Path, op: Literal["status", "wait", "stop"]) -> AsyncIterator[list[Status]]:
    """Ask a running supervisor and give its answers; ConnectionLost where none is running."""
    from kijabi.cmd.supervisor import Status

    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path(directory)))
    except OSError as error:
        raise ConnectionLost(f"no cluster is running in {directory} ({error})") from error
    try:
        writer.write(msgspec.json.encode(Ask(op)) + b"\n")
        while line := await reader.readline():
            yield msgspec.json.decode(line, type=list[Status])
    finally:
        writer.close()
