"""A virtual-time event loop: sleeping costs nothing, a deadlock is an error, a seed replays everything.

The simulation runs the real API server, controllers, scheduler and kubelet loops here in one process. The
loop owns time (`base/clock.py` asks it for the date) and chance (`base/rand.py` asks it for its generator),
refuses threads and sockets, and when nothing is left but waiting it jumps to the next timer.

Across processes a seed replays only with the same PYTHONHASHSEED, which decides the order of sets of strings.
"""

from __future__ import annotations

import asyncio
import os
import random
import selectors
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

# When every simulation begins.
EPOCH = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
# Virtual seconds after which a simulation that does not end is stopped: ten days.
HORIZON = 10 * 86400.0
# Rounds of the loop at one moment, after which it is stopped too.
MOST_ROUNDS = 300_000
# On whose machine the running task is: each may have a clock of its own that is wrong.
MACHINE: ContextVar[str] = ContextVar("MACHINE", default="")


class Deadlock(RuntimeError):
    """Nothing can ever happen again: every task waits for another."""


class OutOfTime(RuntimeError):
    """The simulation did not end before its horizon: something repeats for ever."""


class NoThreads(RuntimeError):
    """Code that the simulation runs asked for a thread or a socket."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting for a socket, moves the loop's time on."""

    loop: SimLoop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.get_map():  # The first is the loop's own pipe, on which nothing ever comes.
            raise NoThreads("no sockets inside the simulation")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock(f"nothing can ever happen again at {self.loop.now:.3f} s\n{self.loop.waiting()}")
        if timeout > 0:
            self.loop.advance(timeout)
        else:
            self.loop.stand_still()
        return []


class _Task(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks, such as a TaskGroup's, have the same order in each replay."""

    def __init__(self, number: int, coro: Any, **options: Any) -> None:
        self._number = number  # First of all, for a task enters sets when it is made.
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class SimLoop(asyncio.SelectorEventLoop):
    """The loop. seed: of `rng`. horizon: the virtual second at which it stops with OutOfTime."""

    def __init__(self, seed: int = 0, *, horizon: float = HORIZON) -> None:
        self.now = 0.0
        self._rounds = 0
        self.skews: dict[str, float] = {}
        self.slowness = 0.0  # virtual seconds that pass whenever somebody asks for the date: computing takes time
        self.seed = seed
        self.horizon = horizon
        self.rng = random.Random(seed)
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self._numbers = count(1)
        self.set_task_factory(self._numbered)

    def _numbered(self, _: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        number = next(self._numbers)
        options.setdefault("name", f"task-{number}")
        return _Task(number, coro, loop=self, **options)

    def time(self) -> float:
        """Virtual seconds since the simulation began."""
        return self.now

    def wall_time(self) -> float:
        """The date on the clock of the task's machine, in seconds since the epoch."""
        self.now += self.slowness
        return EPOCH + self.now + self.skews.get(MACHINE.get(), 0.0)

    def jump(self, machine: str, seconds: float) -> None:
        """Set a machine's clock forward or (less than 0) back; what waits there is not touched."""
        self.skews[machine] = self.skews.get(machine, 0.0) + seconds

    def correct(self) -> None:
        """Set all clocks right."""
        self.skews.clear()

    def stand_still(self) -> None:
        """One more round at the same moment; raises OutOfTime if it never ends."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise OutOfTime(f"no end of what happens at {self.now:.3f} s (seed {self.seed})\n{self.waiting()}")

    def advance(self, seconds: float) -> None:
        """Move time on."""
        self._rounds = 0
        self.now += seconds
        if self.now > self.horizon:
            raise OutOfTime(f"not over after {self.horizon:.0f} s (seed {self.seed})\n{self.waiting()}")

    def waiting(self) -> str:
        """What every task waits for, a line each."""
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            lines.append(f"  {task.get_name()}: {' < '.join(reversed(_frames(task.get_coro()))) or 'has not begun'}")
        return "\n".join(lines)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A failing callback ends the simulation instead of being logged and forgotten."""
        error = context.get("exception")
        if isinstance(error, BaseException) and "handle" in context:
            raise error
        super().call_exception_handler(context)

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise NoThreads("no threads inside the simulation")


def _frames(waiting: Any) -> list[str]:
    """Where a coroutine waits, outermost first."""
    found = []
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None)
        if frame is not None:
            code = frame.f_code
            found.append(f"{os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_qualname}")
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)
    return found


def run(main: Coroutine[Any, Any, T], seed: int = 0, *, horizon: float = HORIZON) -> T:
    """Run a coroutine to its end in virtual time; raises Deadlock or OutOfTime if it has none."""
    factory: Callable[[], SimLoop] = lambda: SimLoop(seed, horizon=horizon)  # noqa: E731
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
