"""The controller manager as a process runs it: `cmd` hands in settings, a client and the shared informers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from kijabi.api.resource import Resource
from kijabi.base import rand
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.client.lease import Elector
from kijabi.controllers import runtime
from kijabi.controllers.catalog import chosen, cloud_controllers
from kijabi.controllers.cloud import providers
from kijabi.controllers.config import Config
from kijabi.controllers.discovery import discover
from kijabi.controllers.runtime import Context

LEASE = "kube-controller-manager"

log = logging.getLogger(__name__)


async def run(config: Config, client: Client, informers: Informers, started: Callable[[], None] = lambda: None) -> None:
    """Run every controller until cancelled. The caller runs the informers. started: called once all have synced.

    With `leader_elect` nothing is done before this process leads; raises LeadershipLost when it leads no more.
    """
    await lead(config, client, lambda: work(config, client, informers, started))


async def lead(config: Config, client: Client, task: Callable[[], Awaitable[None]]) -> None:
    """Do a task while leading, if leaders are elected, else at once."""
    if config.leader_elect:
        await Elector(client, LEASE, f"{config.host}_{rand.uuid()}").lead(task)
    else:
        await task()


async def work(
    config: Config, client: Client, informers: Informers, started: Callable[[], None] = lambda: None
) -> None:
    """Build the controllers and run them, with what runs beside them."""
    context = Context(config, client, informers, await _resources(client))
    flags = config.flags
    controllers = [build(context) for build in chosen(flags)]
    clouds = [build(context) for build in cloud_controllers(providers.make(context))]
    controllers += [controller for controller in clouds if flags.runs(controller.name, by_default=True)]
    async with asyncio.TaskGroup() as tasks:
        for beside in context.background:
            tasks.create_task(beside())
        for controller in controllers:
            workers = flags.workers(controller.name, controller.workers)
            tasks.create_task(runtime.run(controller, workers), name=f"controller/{controller.name}")
        await informers.wait_synced()
        started()


async def _resources(client: Client) -> list[Resource]:
    """What the server has; waits for a server that is not up yet."""
    backoff = Backoff(first=0.1, most=5.0)
    while True:
        try:
            return await discover(client, "delete", "list", "watch")
        except (ApiError, ConnectionLost) as error:
            wait = backoff.next()
            log.info("no discovery yet", extra={"error": str(error), "retry_in": round(wait, 3)})
            await asyncio.sleep(wait)
