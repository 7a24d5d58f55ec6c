"""What every component process does around its work: options, logging, the loop, the garbage collector, the lifeline.

A component's module has `options()` for the command line and `main(…)`, which ends in `run`. A component belongs to the
cluster in a data directory, or, with `--kubeconfig`, to a cluster anywhere; `place` says which.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import uvloop

from kijabi.base import log as logs
from kijabi.base.errors import ConfigError
from kijabi.client import kubeconfig as kubeconfigs
from kijabi.client.client import Client
from kijabi.cmd.config import DEFAULT_DIR, ClusterConfig, load
from kijabi.cmd.lifeline import Lifeline, until_stopped

log = logging.getLogger(__name__)

# Allocations between collections. Most objects die by reference count; what lives, lives long (see ARCHITECTURE.md).
GC_THRESHOLDS = (50_000, 50, 100)


def data_dir(help_: str = "The data directory of the cluster that this component belongs to.") -> click.Option:
    """`--data-dir`, as every component has it."""
    names, kind = ["--data-dir", "directory"], click.Path(path_type=Path)
    variable = "KIJABI_DATA_DIR"
    return click.Option(names, type=kind, default=DEFAULT_DIR, envvar=variable, show_default=True, help=help_)


def kubeconfig() -> click.Option:
    """`--kubeconfig`, for a component that runs apart from the cluster's directory."""
    kind = click.Path(path_type=Path, exists=True, dir_okay=False)
    text = "Server and credentials of a cluster without a data directory here; the log goes to standard error."
    return click.Option(["--kubeconfig"], type=kind, help=text)


def option(name: str, help_: str, **more: Any) -> click.Option:
    """One more option of a component."""
    return click.Option([name], help=help_, show_default="default" in more, **more)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a component belongs. cluster: None for one that is elsewhere. file: of its server and credentials."""

    cluster: ClusterConfig | None
    file: Path

    @property
    def identity(self) -> kubeconfigs.Identity:
        """What the file says now."""
        return kubeconfigs.load(self.file)

    def client(self, agent: str) -> Client:
        """A client with this identity, which goes on when its certificate is renewed."""
        return Client(kubeconfigs.followed(self.file), user_agent=agent)


def place(directory: Path, kubeconfig: Path | None, name: str) -> Place:
    """What --data-dir and --kubeconfig mean for the component (or node) of a name; ConfigError if neither helps."""
    if kubeconfig is not None:
        return Place(None, kubeconfig)
    cluster = load(directory)
    file = cluster.component_kubeconfig(name)
    if not file.exists():
        raise ConfigError(f"the cluster in {cluster.dir} has no credentials for {name}: start `kijabi apiserver` first")
    return Place(cluster, file)


def client(file: Path, agent: str) -> Client:
    """A client with the identity of a kubeconfig."""
    return Place(None, file).client(agent)


def read(file: str) -> str:
    """A file named on the command line; ConfigError where it cannot be read."""
    try:
        return Path(file).read_text()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


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
