"""Events to a file or standard output, a line each; written in a thread, so that a slow disk holds up nobody else.

A Delivery for `sinks.py`. All that comes while the thread is busy goes in its next write, as in the store.
`rotation.py` puts full files away. Formats: k8s.io/apiserver `plugin/pkg/audit/log`, `pkg/audit/format.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from kijabi.api.audit.event import Event
from kijabi.api.gotext import quote
from kijabi.apiserver.audit.sinks import Entry, Undelivered


class Output(Protocol):
    """Where lines go. Used by one thread at a time."""

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines. Raises OSError."""
        ...

    def close(self) -> None:
        """The last line has been written."""
        ...


class _Batch:
    """Lines of one write. done: what went wrong with it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()


class LogFile:
    """Writes events. shape: makes the line of one."""

    name = "log"

    def __init__(self, output: Output, shape: Callable[[Entry], bytes]) -> None:
        self._output = output
        self._shape = shape
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-log")
        self._next: _Batch | None = None
        self._closed = False
        self._idle = asyncio.Event()  # nothing is being written
        self._idle.set()

    async def deliver(self, entries: Sequence[Entry]) -> None:
        """See Delivery."""
        if self._closed:
            raise Undelivered("the log is closed")
        batch = self._next
        if batch is None:
            batch = self._next = _Batch()
            if self._idle.is_set():
                self._idle.clear()
                asyncio.get_running_loop().call_soon(self._write)
        batch.lines += map(self._shape, entries)
        problem = await asyncio.shield(batch.done)
        if problem is not None:
            raise Undelivered(str(problem))

    def _write(self) -> None:
        """Give the thread what has gathered."""
        batch, self._next = self._next, None
        if batch is None:
            self._idle.set()
            return
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._try, batch.lines)
        work.add_done_callback(lambda ended: self._written(batch, ended))

    def _try(self, lines: list[bytes]) -> OSError | None:
        try:
            self._output.write(lines)
        except OSError as error:
            return error
        return None

    def _written(self, batch: _Batch, ended: asyncio.Future[OSError | None]) -> None:
        if not batch.done.done():
            batch.done.set_result(ended.result())
        self._write()

    async def close(self) -> None:
        """See Delivery."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._idle.wait()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._output.close)
        finally:
            self._thread.shutdown(wait=False)


def json_line(entry: Entry) -> bytes:
    """The format `json`."""
    return entry.line


def legacy_line(entry: Entry) -> bytes:
    """The format `legacy`: a line for people."""
    event, user, acting, ref = entry.event, entry.event.user, entry.event.impersonatedUser, entry.event.objectRef
    fields = {
        "id": event.auditID,
        "stage": event.stage,
        "ip": event.sourceIPs[0] if event.sourceIPs else "<unknown>",
        "method": event.verb,
        "user": user.username or "<none>",
        "groups": _listed(user.groups) if user.username and user.groups else "<none>",
        "as": acting.username if acting is not None else "<self>",
        "asgroups": _listed(acting.groups) if acting is not None and acting.groups else "<lookup>",
        "user-agent": event.userAgent,
        "namespace": (ref.namespace if ref is not None else "") or "<none>",
        "uri": event.requestURI,
    }
    text = " ".join(f"{name}={quote(value)}" for name, value in fields.items())
    return f'{_nano(event)} AUDIT: {text} response="{_response(event)}"\n'.encode()


def _listed(groups: Sequence[str]) -> str:
    return ",".join(map(quote, groups))


def _nano(event: Event) -> str:
    """The moment in RFC 3339 without the zeros at the end of its fraction, as Go has it."""
    return event.requestReceivedTimestamp.removesuffix("Z").rstrip("0").rstrip(".") + "Z"


def _response(event: Event) -> str:
    return str(event.responseStatus.code) if event.responseStatus is not None else "<deferred>"
