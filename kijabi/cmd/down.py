"""`kijabi down`: stop everything and leave nothing behind, also after any crash.

First the supervisor is asked to stop its components. Then, for a cluster that ran containers, each node's containerd,
containers, mounts, cgroups, bridge and nftables are removed, whether or not a supervisor was there to ask. Objects,
keys and images stay, unless they are to be purged.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.cmd import config as configuration
from kijabi.cmd import control
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.supervisor import STOP_GRACE, Status, lock

Say = Callable[[str], None]


def down(directory: Path, say: Say, *, purge: bool = False) -> None:
    """Stop the cluster in a directory; nothing to do is fine as well."""
    try:
        config = configuration.load(directory)
    except ConfigError:
        if (directory / "cluster.json").exists() or not purge:
            raise
        say(f"There is no cluster in {directory}")
        return
    asyncio.run(_stop(config, say))
    asyncio.run(_clean(config, say, purge=purge))
    if purge:
        configuration.release_slot(config.dir)
        shutil.rmtree(config.path)
        say(f"Deleted {config.dir}")
    say("The cluster is down")


async def _stop(config: ClusterConfig, say: Say) -> None:
    """Components in reverse order, then the supervisor itself; what a killed supervisor left is ended by pid."""
    try:
        async for states in control.ask(config.path, "stop"):
            say(f"Stopping {', '.join(state.name for state in states)}")
    except ConnectionLost:
        say("No supervisor is running")
    await _supervisor_gone(config)
    file = config.path / "run" / "components.json"
    if file.exists():
        for state in msgspec.json.decode(file.read_bytes(), type=list[Status]):
            if state.pid and _is_ours(state.pid, config):
                os.kill(state.pid, signal.SIGKILL)
        file.unlink()


async def _supervisor_gone(config: ClusterConfig) -> None:
    """Until the supervisor's lock is free: it holds it for as long as it lives."""

    def wait() -> None:
        lock(config, wait=True).close()

    try:
        async with asyncio.timeout(STOP_GRACE * 3):
            await asyncio.to_thread(wait)
    except TimeoutError:
        raise ConfigError(f"the supervisor of {config.dir} does not end; see {config.logs}") from None


def _is_ours(pid: int, config: ClusterConfig) -> bool:
    """Whether a pid still is a component of this cluster and not somebody else's new process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    return b"kijabi.cmd.main" in words and config.dir.encode() in words


async def _clean(config: ClusterConfig, say: Say, *, purge: bool) -> None:
    if config.runtime != "cri":
        shutil.rmtree(config.run, ignore_errors=True)
        return
    from kijabi.cmd.machine import Machine

    say("Removing containers, networks and mounts")
    await Machine(config).remove(keep_images=not purge)
