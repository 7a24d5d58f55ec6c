"""Streams of containers that do not exist: exec, attach and connections of `fake`, made of in-memory pipes."""

from __future__ import annotations

import asyncio

from kijabi.kubelet.runtime.fake_shell import Outcome
from kijabi.kubelet.runtime.interface import ByteReader, ByteWriter
from kijabi.kubelet.streaming.pipe import CHUNK, Pipe

SIGKILL_CODE = 137


class CommandSession:
    """A command that does what `fake_shell` understood of it; an ExecSession."""

    def __init__(self, outcome: Outcome, container_ended: asyncio.Event) -> None:
        self.stdin = Pipe()
        self.stdout = Pipe()
        self.stderr = Pipe()
        self.size = (0, 0)
        self._outcome = outcome
        self._running = asyncio.get_running_loop().create_task(self._run(container_ended))

    async def resize(self, width: int, height: int) -> None:
        """Remember the size."""
        self.size = (width, height)

    async def wait(self) -> int:
        """The exit code."""
        return await asyncio.shield(self._running)

    async def close(self) -> None:
        """Kill the command where it still runs; repeatable."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        for pipe in (self.stdout, self.stderr):
            pipe.end()

    async def _run(self, container_ended: asyncio.Event) -> int:
        try:
            self.stdout.write(self._outcome.stdout.encode())
            self.stderr.write(self._outcome.stderr.encode())
            if self._outcome.echo:
                while data := await self.stdin.read(CHUNK):
                    await self.stdout.feed(data)
            if self._outcome.seconds != 0.0:
                try:
                    async with asyncio.timeout(self._outcome.seconds):
                        await container_ended.wait()
                    return SIGKILL_CODE
                except TimeoutError:
                    pass  # it ran as long as it wanted to
            return self._outcome.code
        finally:
            for pipe in (self.stdout, self.stderr):
                pipe.end()


class AttachedSession:
    """The streams of a container's own process, which says nothing; an ExecSession."""

    def __init__(self, ended: asyncio.Event, *, stdin: bool) -> None:
        self.stdin: Pipe | None = Pipe() if stdin else None
        self.stdout = Pipe()
        self.stderr = Pipe()
        self._ended = ended
        self._closed = asyncio.get_running_loop().create_task(self._follow())

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        """0, once the container has ended or the session is closed."""
        await asyncio.wait((self._closed,))
        return 0

    async def close(self) -> None:
        """Detach; repeatable."""
        self._closed.cancel()
        await asyncio.gather(self._closed, return_exceptions=True)
        self.stdout.end()
        self.stderr.end()

    async def _follow(self) -> None:
        if self.stdin:
            self.stdin.drop()  # nobody reads it
        await self._ended.wait()
        self.stdout.end()
        self.stderr.end()


def echo_connection() -> tuple[ByteReader, ByteWriter]:
    """A connection whose other end sends back what it gets."""
    pipe = Pipe()
    return pipe, pipe


class NoViews:
    """Of a runtime that runs nothing."""

    async def show(self, image_id: str, path: str, owner: str) -> None:
        """See interface.ImageViews."""

    async def release(self, owner: str) -> None:
        """See interface.ImageViews."""
