"""Waits that can be ended from outside: how a server's death and a partition reach those who wait, at no cost.

`direct` runs requests in it and `faults` the waits for a stream's next chunk. It does what `asyncio.timeout` does: it
cancels the waiting task and turns the cancellation into an error where the wait was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from kijabi.base.errors import ConnectionLost

T = TypeVar("T")


class Waits:
    """Waits of tasks, each of one at a time. `abort` ends them all: they raise ConnectionLost."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[object], None] = {}
        self._aborted: dict[asyncio.Task[object], str] = {}

    async def run(self, work: Awaitable[T]) -> T:
        """Wait for something; a cancellation from elsewhere stays one."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = None
        try:
            return await work
        except asyncio.CancelledError:
            why = self._aborted.get(task)
            if why is not None and task.uncancel() == 0:
                raise ConnectionLost(why) from None
            raise
        finally:
            self._tasks.pop(task)
            self._aborted.pop(task, None)

    def abort(self, why: str) -> None:
        """End all waits."""
        for task in self._tasks:
            self._aborted[task] = why
            task.cancel()
