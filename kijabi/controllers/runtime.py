"""The controller runtime: from an informer's event to a key, from a key to `reconcile`, with back-off.

A controller says which informers wake it and for which keys (`sources`), and puts one key right
(`reconcile`). This module owns the queue and the workers between the two: keys are deduplicated, one key is
reconciled by one worker at a time, a failure comes back later each time. `catalog.py` lists the controllers,
`app.py` runs them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from kijabi.api.resource import Resource
from kijabi.base.errors import ApiError, Conflict, ConnectionLost
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.client.queue import WorkQueue
from kijabi.controllers.config import Config

log = logging.getLogger(__name__)

WORKERS = 5
LONGEST = 600.0
"""Seconds after which a key that waits for a moment is looked at, be that further off: the clock by which the wait was
measured may have been wrong, and set right since."""
NAMESPACE_TERMINATING = "NamespaceTerminating"


class Watched(Protocol):
    """What a source is told by; an informer, as a rule."""

    def add_handler(self, handler: Callable[[Any, Any], None], /) -> None:
        """Call `handler(old, new)` for every change."""
        ...

    async def wait_synced(self) -> None:
        """Wait until what is there already was told."""
        ...


class Source(NamedTuple):
    """What wakes a controller: a change of an object in `informer` is work for the keys that `keys(old, new)`
    gives.

    old is None for an addition, new for a deletion. `keys` is synchronous and quick: it may look into
    indexes.
    """

    informer: Watched
    keys: Callable[[Any, Any], Iterable[str]]


class Bell:
    """A source that a controller rings itself, for a key that something else than a change of an object wakes."""

    def __init__(self) -> None:
        self._handlers: list[Callable[[Any, Any], None]] = []

    def add_handler(self, handler: Callable[[Any, Any], None], /) -> None:
        self._handlers.append(handler)

    async def wait_synced(self) -> None:
        return

    def ring(self, key: str) -> None:
        """There is work for a key."""
        for handler in self._handlers:
            handler(None, key)


class Controller(Protocol):
    """A loop that makes what is into what should be, one key at a time.

    The lifecycle: `sources` is called once, before the informers are waited for; then `reconcile` runs for
    every key that a source names, by several workers, never twice at once for one key. It reads the caches,
    writes to the API server, and must come out right from any state: events may be merged, repeated or late.
    """

    name: str
    workers: int

    def sources(self) -> Sequence[Source]:
        """The informers that wake this controller."""
        ...

    async def reconcile(self, key: str) -> float | None:
        """Put one key right; give the seconds after which to look again, None to wait for an event.

        Raises ApiError or ConnectionLost to be tried again with back-off.
        """
        ...


class Context:
    """What controllers are built from: settings, the client, the shared informers, and a recorder of events
    for each.

    resources: what the server has, by discovery. background: what must run beside the controllers; the
    application runs it in its task group.
    """

    def __init__(
        self, config: Config, client: Client, informers: Informers, resources: Sequence[Resource] = ()
    ) -> None:
        self.config = config
        self.resources = resources
        self.client = client
        self.informers = informers
        self.background: list[Callable[[], Coroutine[None, None, None]]] = []

    def recorder(self, component: str) -> Recorder:
        """A recorder that writes as `component`."""
        made = Recorder(self.client, component, self.config.host)
        self.background.append(made.run)
        return made


def namespace_terminating(error: ApiError) -> bool:
    """The write failed only because its namespace is being deleted: there is nothing to repeat."""
    causes = (error.details or {}).get("causes") or ()
    return any(cause.get("reason") == NAMESPACE_TERMINATING for cause in causes)


async def run(controller: Controller, workers: int | None = None) -> None:
    """Run a controller until cancelled: wait for its informers, then work. workers: how many, if not its own number.

    The informers must be running already, or be started by the caller meanwhile.
    """
    queue = WorkQueue()
    sources = controller.sources()
    for source in sources:
        source.informer.add_handler(_enqueue(queue, source))
    for source in sources:
        await source.informer.wait_synced()
    workers = controller.workers if workers is None else workers
    log.info("started", extra={"controller": controller.name, "workers": workers})
    async with asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(controller, queue), name=f"{controller.name}/{number}")


def _enqueue(queue: WorkQueue, source: Source) -> Callable[[Any, Any], None]:
    def handle(old: Any, new: Any) -> None:
        _add(queue, source.keys(old, new))

    return handle


def _add(queue: WorkQueue, keys: Iterable[str]) -> None:
    for key in keys:
        queue.add(key)


async def work(controller: Controller, queue: WorkQueue) -> None:
    """One worker: take a key, reconcile it, say how it ended; forever."""
    while True:
        key = await queue.get()
        try:
            await _reconcile(controller, queue, key)
        finally:
            queue.done(key)


async def _reconcile(controller: Controller, queue: WorkQueue, key: str) -> None:
    try:
        again = await controller.reconcile(key)
    except Conflict as error:
        log.debug("conflict, trying again", extra=_fields(controller, key, error))
    except (ApiError, ConnectionLost) as error:
        log.warning("failed, trying again", extra=_fields(controller, key, error))
    except Exception:  # One bad object must not stop the others: report it whole, and come back to it.
        log.exception("defect, trying again", extra=_fields(controller, key, None))
    else:
        queue.forget(key)
        if again is not None:
            queue.add_after(key, min(again, LONGEST))
        return
    queue.add_backoff(key)


def _fields(controller: Controller, key: str, error: Exception | None) -> dict[str, str]:
    return {"controller": controller.name, "key": key, "error": str(error) if error else ""}
