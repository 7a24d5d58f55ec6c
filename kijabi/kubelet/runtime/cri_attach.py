"""Attach to a container's own process: a SPDY client to the URL that the CRI's Attach returns.

containerd itself holds the pipes of a container's process, so, unlike a process of exec, they are reached only through
its streaming server, by the remote command protocol v4 of k8s.io/kubelet `pkg/cri/streaming`. Used by `cri`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import urlsplit

from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.kubelet.streaming.pipe import CHUNK
from kijabi.kubelet.streaming.spdy import Session, Stream

log = logging.getLogger(__name__)

PROTOCOL = "v4.channel.k8s.io"
ANSWER_TIMEOUT = 10.0  # seconds for containerd to accept the upgrade


class AttachSession:
    """The streams of a container's process; an ExecSession. Closing it leaves the process running."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._session = Session(reader, writer, client=True)
        self._running = asyncio.get_running_loop().create_task(self._session.run())
        self._resizing: Stream | None = None
        self._error: _Output
        self.stdin: Stream | None = None
        self.stdout: _Output
        self.stderr: _Output | None = None

    async def open(self, *, stdin: bool, tty: bool) -> None:
        """Open the streams that containerd waits for, in the order of its clients."""
        self._error = _Output(await self._stream("error"))
        if stdin:
            self.stdin = await self._stream("stdin")
        self.stdout = _Output(await self._stream("stdout"))
        if tty:
            self._resizing = await self._stream("resize")
        else:
            self.stderr = _Output(await self._stream("stderr"))

    async def resize(self, width: int, height: int) -> None:
        """Set the terminal's size; without a terminal nothing happens."""
        if self._resizing:
            self._resizing.write(json.dumps({"Width": width, "Height": height}).encode() + b"\n")
            await self._resizing.drain()

    async def wait(self) -> int:
        """Wait for the end of the process or of the connection; raises RuntimeFailure when containerd reports one."""
        text = await self._error.read()
        if not text and self._running.done():
            raise ConnectionLost("containerd's streaming server went away")
        status = json.loads(text) if text else {}
        if status.get("status") == "Failure":
            raise RuntimeFailure("AttachFailed", status.get("message", "attach failed"))
        return 0

    async def close(self) -> None:
        """Detach; repeatable."""
        await self._session.close()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._writer.close()

    async def _stream(self, kind: str) -> Stream:
        return await self._session.open({"streamtype": kind})


class _Output:
    """A stream that containerd writes; it ends them all by a reset, which here is just the end."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def read(self, n: int = -1, /) -> bytes:
        parts = []
        try:
            while part := await self._stream.read(CHUNK if n < 0 else n):
                if n >= 0:
                    return part
                parts.append(part)
        except ConnectionLost as error:
            log.debug("stream of an attached container ended", extra={"error": str(error)})
        return b"".join(parts)


async def attach(url: str, *, stdin: bool, tty: bool) -> AttachSession:
    """Connect to containerd's streaming server; raises ConnectionLost or RuntimeFailure."""
    target = urlsplit(url)
    try:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
    except OSError as error:
        raise ConnectionLost(f"containerd's streaming server at {target.netloc}: {error}") from error
    try:
        writer.write(
            f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            f"X-Stream-Protocol-Version: {PROTOCOL}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        async with asyncio.timeout(ANSWER_TIMEOUT):
            answer = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        writer.close()
        raise ConnectionLost(f"containerd's streaming server did not answer: {error}") from error
    if not answer.startswith("HTTP/1.1 101"):
        writer.close()
        raise RuntimeFailure("AttachFailed", f"containerd refused to attach: {answer.splitlines()[0]}")
    session = AttachSession(reader, writer)
    try:
        await session.open(stdin=stdin, tty=tty)
    except BaseException:
        await session.close()
        raise
    return session
