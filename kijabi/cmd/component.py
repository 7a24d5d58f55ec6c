"""What every component process does around its work: options, logging, the loop, the garbage collector, the lifeline.

A component's module has `options()` for the command line and `main(…)`, which ends in `run`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
import uvloop

from kijabi.base import log as logs
from kijabi.cmd.config import DEFAULT_DIR, ClusterConfig
from kijabi.cmd.lifeline import Lifeline, until_stopped

log = logging.getLogger(__name__)

# Allocations between collections. Most objects die by reference count; what lives, lives long (see ARCHITECTURE.md).
GC_THRESHOLDS = (50_000, 50, 100)


def data_dir(help_: str = "The data directory of the cluster that this component belongs to.") -> click.Option:
    """`--data-dir`, as every component has it."""
    kind = click.Path(path_type=Path)
    return click.Option(
        ["--data-dir", "directory"], type=kind, default=DEFAULT_DIR, envvar="KIJABI_DATA_DIR", show_default=True, help=help_
    )


def kubeconfig() -> click.Option:
    """`--kubeconfig`, for a component that runs apart from the cluster's directory."""
    kind = click.Path(path_type=Path, exists=True)
    return click.Option(["--kubeconfig"], type=kind, help="Whose credentials to use.  [default: the data directory's]")


def option(name: str, help_: str, **more: Any) -> click.Option:
    """One more option of a component."""
    return click.Option([name], help=help_, show_default="default" in more, **more)


def run(name: str, config: ClusterConfig | None, work: Callable[[Lifeline], Awaitable[None]]) -> None:
    """Run a component until it is stopped. Its log goes to DIR/logs/NAME.log, without a cluster to standard error.

    An unexpected end is logged and raised, so that the supervisor sees the reason.
    """
    logs.setup(name, config.logs / f"{name}.log" if config is not None else None)
    gc.set_threshold(*GC_THRESHOLDS)
    gc.freeze()
    lifeline = Lifeline()

    async def main() -> None:
        try:
            await until_stopped(lambda: work(lifeline), lifeline)
        except BaseException as error:
            log.critical("component ended", exc_info=error)
            raise

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except BaseExceptionGroup as group:
        leaves = _leaves(group)
        print(f"{type(leaves[0]).__name__}: {leaves[0]}", file=sys.stderr)
        raise SystemExit(1) from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Sequence[BaseException]:
    """The exceptions of a group of groups."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
