"""The audit log as the server knows it: begins a record for each request, and hands finished events to the sinks.

`setup.py` makes one of the flags, `server.py` calls `begin`, `app.py` gives `run` a task. A server without an audit log
has none of this.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from kijabi.api.audit.event import Event
from kijabi.apiserver.attributes import Peer
from kijabi.apiserver.audit.context import CURRENT
from kijabi.apiserver.audit.counts import Counts
from kijabi.apiserver.audit.policy import Policies
from kijabi.apiserver.audit.record import Record
from kijabi.apiserver.audit.sinks import Sink, entry, lost
from kijabi.client.transport import Request

MAX_LATER = 50_000  # ends of watches and streams that wait for the sinks
LAST = 5.0  # seconds for what is left when the server stops


class Auditor:
    """Records requests as a policy says."""

    def __init__(self, policies: Policies, sinks: Sequence[Sink], counts: Counts) -> None:
        self.policies = policies
        self.counts = counts
        self._sinks = tuple(sinks)
        self._later: deque[Event] = deque()
        self._more = asyncio.Event()

    def begin(self, request: Request, peer: Peer, audit_id: str) -> Record:
        """The record of a request that has just come; what the running task calls finds it by `context.py`."""
        record = Record(self, request, peer, audit_id)
        CURRENT.set(record)
        return record

    async def emit(self, event: Event) -> bool:
        """Record an event; whether its request may go on."""
        self.counts.events += 1
        made = entry(event)
        good = True
        for sink in self._sinks:
            good = await sink.take(made) and good
        return good

    def later(self, event: Event) -> None:
        """Record an event that nobody waits for."""
        if len(self._later) >= MAX_LATER:
            lost(self.counts, "buffered", 1, "too many requests end at once")
            return
        self._later.append(event)
        self._more.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for sink in self._sinks:
                    tasks.create_task(sink.run(), name="audit sink")
                tasks.create_task(self._late(), name="ends of watches")
        finally:
            try:
                async with asyncio.timeout(LAST):
                    while self._later:
                        await self.emit(self._later.popleft())
            except TimeoutError:
                lost(self.counts, "buffered", len(self._later), "the server was stopped")
            for sink in self._sinks:
                await self._close(sink)

    async def _late(self) -> None:
        while True:
            while self._later:
                await self.emit(self._later.popleft())
            self._more.clear()
            await self._more.wait()

    async def _close(self, sink: Sink) -> None:
        try:
            async with asyncio.timeout(LAST):
                await sink.close()
        except TimeoutError:
            return  # the sink has counted what it lost
