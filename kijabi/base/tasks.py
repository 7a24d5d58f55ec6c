"""Every task has a parent and every wait a name: helpers over `asyncio.TaskGroup`.

Mains, controllers and the kubelet's loops use them. There is no fire-and-forget here: what is started ends
with the block that started it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kijabi.base import clock
from kijabi.base.backoff import Backoff

T = TypeVar("T")

log = logging.getLogger(__name__)
_ASIDE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")  # its thread starts with the first work

# A guarded task that ran so many seconds before it failed starts its back-off anew.
STEADY = 60.0


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run coroutines beside the block and cancel them when it ends; they have ended when this has.

    If one of them fails, the block is cancelled and the failure raised, in an ExceptionGroup. A task is named
    after its function.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one, name=getattr(one, "__qualname__", "background")) for one in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def first(*waits: Coroutine[Any, Any, T]) -> T:
    """The result of whichever ends first; the others are cancelled and have ended when this returns.

    A failure of any of them, before that, is raised as it is.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(wait) for wait in waits]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return next(task for task in tasks if task in done).result()


async def cancel_on(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of work, or None if the event came first; then work was cancelled and has ended."""
    return await first(work, _none_after(event))


async def _none_after(event: asyncio.Event) -> None:
    await event.wait()


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most so long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def guarded(
    work: Callable[[], Awaitable[None]],
    *,
    name: str,
    backoff: Backoff | None = None,
    failed: Callable[[Exception], None] | None = None,
) -> None:
    """Run `work()` until it returns; when it fails, log why, tell `failed`, and start it again with back-off.

    For parts of a process that must not take the others down. Cancellation ends it.
    """
    waits = backoff or Backoff(first=0.5, most=60.0)
    while True:
        started = clock.monotonic()
        try:
            await work()
            return
        except Exception as error:
            if clock.monotonic() - started >= STEADY:
                waits.reset()
            pause = waits.next()
            log.exception("failed, starting it again", extra={"task": name, "retry_in": round(pause, 3)})
            if failed is not None:
                failed(error)
        await asyncio.sleep(pause)


async def aside(work: Callable[[], T]) -> T:
    """The result of `work()`, computed in a thread so that the loop goes on meanwhile; one computation at a time.

    For what may take long and waits for nothing. It goes on when the caller is cancelled, so it must be bounded. A
    simulation's loop owns time and has no threads: there it is computed at once.
    """
    loop = asyncio.get_running_loop()
    if hasattr(loop, "wall_time"):
        return work()
    return await loop.run_in_executor(_ASIDE, work)


async def every(seconds: float, work: Callable[[], Awaitable[None]], *, name: str) -> None:
    """Call `work()` again and again, so many seconds after its last end.

    A failure is logged, and the next call is no sooner for it.
    """
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            log.exception("failed, trying again later", extra={"task": name, "retry_in": seconds})
