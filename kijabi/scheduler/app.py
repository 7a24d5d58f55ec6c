"""The scheduler as a process runs it: `cmd` hands in the client and the shared informers."""

from __future__ import annotations

import asyncio

from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.scheduler.loop import DEFAULT_NAME, Scheduler


async def run(client: Client, informers: Informers, *, name: str = DEFAULT_NAME) -> None:
    """Schedule until cancelled. The caller runs the informers."""
    recorder = Recorder(client, name)
    scheduler = Scheduler(client, informers, recorder, name=name)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(recorder.run(), name="events")
        tasks.create_task(scheduler.run(), name="scheduler")
