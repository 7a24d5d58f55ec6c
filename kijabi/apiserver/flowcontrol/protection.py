"""Puts the parts of flow control together, as the flags say: the gate, its limits, and what keeps its objects right.

`app.py` makes one for the server, gives the gate to `server.py`, and runs it.
"""

from __future__ import annotations

import asyncio

from kijabi.apiserver.flags import Flags
from kijabi.apiserver.flowcontrol import dump
from kijabi.apiserver.flowcontrol.estimate import Estimator
from kijabi.apiserver.flowcontrol.gate import FlowControl
from kijabi.apiserver.flowcontrol.inflight import Gate, MaxInFlight
from kijabi.apiserver.flowcontrol.statuses import Statuses
from kijabi.apiserver.flowcontrol.watches import WatchLimit
from kijabi.apiserver.flowdefaults import Place, Upkeep
from kijabi.apiserver.plain import Plain
from kijabi.apiserver.routes import Routes
from kijabi.apiserver.storage import Storage
from kijabi.apiserver.turns import Turns


class Protection:
    """What keeps one client from starving the others. control: None where priorities and fairness are turned off."""

    def __init__(self, storage: Storage, routes: Routes, turns: Turns, flags: Flags) -> None:
        self.storage = storage
        self.watches = WatchLimit(flags.max_watches_per_user)
        self.control: FlowControl | None = None
        self.gate: Gate
        reads, writes = flags.max_requests_inflight, flags.max_mutating_requests_inflight
        if flags.enable_priority_and_fairness and reads + writes > 0:
            self.control = FlowControl(storage.caches, Estimator(routes), turns, reads + writes)
            self.gate = self.control
        else:
            self.gate = MaxInFlight(reads, writes)

    def install(self, plain: Plain) -> None:
        """Serve the pages that show who waits."""
        if self.control is not None:
            for path, page in dump.pages(self.control).items():
                plain.add_unlisted(path, page)

    async def run(self, place: Place) -> None:
        """Until cancelled. place: makes or mends one of the standard objects."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Upkeep(self.storage, place).run(), name="standard flow schemas")
            if self.control is not None:
                tasks.create_task(self.control.run(), name="seats of priority levels")
                tasks.create_task(Statuses(self.storage, self.control.changed).run(), name="flow schema conditions")
