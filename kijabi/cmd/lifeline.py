"""The socket between the supervisor and a component process.

The component writes JSON lines about itself (`ready`, or a problem in words). It reads a byte each time the API server
has come up, so that it need not try in vain, and the end: when the supervisor is gone, so goes the component, and the
next supervisor starts from a clean slate. A component started by hand has no lifeline; then reports go nowhere, the API
server counts as up, and the end never comes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import msgspec

ENVIRONMENT = "KIJABI_LIFELINE"


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a component says of itself: ready, and what is wrong (an empty problem takes the last one back)."""

    ready: bool = False
    problem: str = ""


class Lifeline:
    """A component's end. Made once, at the start of its main."""

    def __init__(self) -> None:
        number = os.environ.pop(ENVIRONMENT, "")
        self._socket = socket.socket(fileno=int(number)) if number else None
        self._ready = False
        self._server_up = asyncio.Event()
        self._told: list[Callable[[], None]] = []
        if self._socket is None:
            self._server_up.set()

    def ready(self) -> None:
        """This component does its work from now on."""
        self._ready = True
        self._send(Report(ready=True))

    def problem(self, text: str) -> None:
        """Something is wrong that the component lives with, in words for `kijabi status`; empty when mended."""
        self._send(Report(ready=self._ready, problem=text))

    def _send(self, report: Report) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(msgspec.json.encode(report) + b"\n")
        except OSError:  # the supervisor is gone; wait_gone() sees it too and ends the process
            return

    async def wait_server(self) -> None:
        """Until the API server has been up once."""
        await self._server_up.wait()

    def when_server_is_up(self, call: Callable[[], None]) -> None:
        """Call this each time that the API server has come up again."""
        self._told.append(call)

    async def wait_gone(self) -> None:
        """Until the supervisor is gone, for ever without one; passes on what it says meanwhile."""
        if self._socket is None:
            await asyncio.Event().wait()
            return
        self._socket.setblocking(False)
        while await asyncio.get_running_loop().sock_recv(self._socket, 64):
            self._server_up.set()
            for call in self._told:
                call()


async def until_stopped(work: Callable[[], Awaitable[None]], lifeline: Lifeline) -> None:
    """Run a component until it ends by itself, SIGTERM or SIGINT comes, or its supervisor is gone.

    An exception of the work is raised here; being stopped is a normal end.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [
        asyncio.ensure_future(work()),
        asyncio.ensure_future(stop.wait()),
        asyncio.ensure_future(lifeline.wait_gone()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
