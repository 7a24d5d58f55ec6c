"""Several awaits at once with one parent, and the first error as it is.

`asyncio.TaskGroup` wraps errors in groups; callers here want the error that a single await would have raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all side by side and give their results in order; on the first error the others are cancelled."""
    pending = list(work)
    if len(pending) == 1:
        return [await pending[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in pending]
    except BaseExceptionGroup as errors:
        raise first(errors) from None
    return [task.result() for task in tasks]


def first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first single error in a group of groups."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
