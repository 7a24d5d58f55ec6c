"""The light parent of a cluster's processes: starts them, brings back what dies, and says how they are.

`up` starts it detached; it starts the components of `components(config)` and keeps a control socket at
`DIR/run/control.sock`, where `status`, `wait` (until all are ready) and `stop` are one JSON line each (see `control`).
It imports nothing heavy: it stays resident for as long as the cluster runs.

A component is a small state machine: starting → ready → (it died) backoff → starting …; back-off doubles from 0.2 s
to 30 s and starts afresh once a component was ready for a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal

import msgspec

from kijabi.base import log as logs
from kijabi.base.errors import ConfigError
from kijabi.base.files import write_atomic
from kijabi.cmd import lifeline
from kijabi.cmd.config import ClusterConfig, load

log = logging.getLogger("kijabi.cmd.supervisor")  # not __name__: it is run as a program

FIRST_BACKOFF = 0.2
LONGEST_BACKOFF = 30.0
STEADY = 60.0  # ready for so long (seconds): the next death starts with the first back-off again
STOP_GRACE = 20.0  # seconds between SIGTERM and SIGKILL
REPORT_LIMIT = 64 * 1024


class Status(msgspec.Struct, kw_only=True):
    """One component as `kijabi status` shows it. since: seconds since the epoch of the last change of state."""

    name: str
    state: Literal["starting", "ready", "backoff", "stopped"] = "stopped"
    pid: int = 0
    restarts: int = 0
    problem: str = ""
    last_exit: str = ""


class Component:
    """One process that is kept running."""

    def __init__(self, name: str, argv: Sequence[str], config: ClusterConfig, changed: asyncio.Condition) -> None:
        self.status = Status(name=name)
        self._argv = tuple(argv)
        self._error_file = config.logs / f"{name}.err"
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._end: socket.socket | None = None
        self._stopping = False
        self._retry = asyncio.Event()

    async def run(self) -> None:
        """Start it, and again whenever it ends, until `stop`."""
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF
        while not self._stopping:
            started = loop.time()
            reason = await self._run_once()
            if self._stopping:
                break
            if self.status.state == "ready" and loop.time() - started > STEADY:
                backoff = FIRST_BACKOFF
            self.status.last_exit = reason
            log.warning("ended", extra={"part": self.status.name, "reason": reason, "retry_in": backoff})
            await self._set("backoff")
            await self._wait(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            self.status.restarts += 1
        await self._set("stopped")

    async def _run_once(self) -> str:
        """One life of the process; gives the reason of its end in words."""
        ours, theirs = socket.socketpair()
        with ours, self._error_file.open("wb") as errors:
            with theirs:
                theirs.set_inheritable(True)
                self._process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, lifeline.ENVIRONMENT: str(theirs.fileno())},
                    start_new_session=True,
                )
            self.status.pid, self._end = self._process.pid, ours
            await self._set("starting")
            if self._stopping:
                self._process.terminate()
            reader = asyncio.ensure_future(self._read_reports(ours))
            code = await self._process.wait()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        self.status.pid, self._end = 0, None
        self.status.problem = ""
        return _describe_exit(code, self._error_file)

    async def _read_reports(self, end: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=end.dup(), limit=REPORT_LIMIT)
        try:
            while line := await reader.readline():
                report = msgspec.json.decode(line, type=lifeline.Report)
                self.status.problem = report.problem
                await self._set("ready" if report.ready else self.status.state)
        finally:
            writer.close()

    async def _set(self, state: Literal["starting", "ready", "backoff", "stopped"]) -> None:
        if state not in (self.status.state, "backoff"):
            log.info(state, extra={"part": self.status.name, "pid": self.status.pid})
        async with self._changed:
            self.status.state = state
            self._changed.notify_all()

    async def _wait(self, seconds: float) -> None:
        """The back-off, shorter if `retry` is called."""
        self._retry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._retry.wait(), seconds)

    def tell_server_up(self) -> None:
        """Let it know that the API server has come up. One that is just ending need not know."""
        if self._end is not None:
            with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                self._end.send(b"u")

    def retry(self) -> None:
        """Do not wait any longer to start it again: somebody has come to look."""
        self._retry.set()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when it is gone."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE)
        except TimeoutError:
            process.kill()
            await process.wait()


def _describe_exit(code: int, error_file: Path) -> str:
    """`exit code 1: ValueError: …`: the code or signal, and the last line that it wrote to standard error."""
    what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lines = error_file.read_text(errors="replace").strip().splitlines()
    return f"{what}: {lines[-1][:300]}" if lines else what


def components(config: ClusterConfig) -> list[tuple[str, list[str]]]:
    """The processes of a cluster: (name, command line), in the order in which they are stopped last to first."""
    base = [sys.executable, "-m", "kijabi.cmd.main"]
    place = ["--data-dir", config.dir]
    rows = [("apiserver", [*base, "apiserver", *place]), ("control", [*base, "control", *place])]
    rows += [(name, [*base, "node", *place, "--node-name", name]) for name in config.node_names()]
    return rows


class Supervisor:
    """A cluster's components and the control socket. `run` lasts until `stop` is asked or a signal comes."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self.changed = asyncio.Condition()
        self.components = [Component(name, argv, config, self.changed) for name, argv in components(config)]
        self.stopping = asyncio.Event()

    def snapshot(self) -> list[Status]:
        return [component.status for component in self.components]

    def retry(self) -> None:
        """Start everything now that waits to be started again."""
        for component in self.components:
            component.retry()

    async def run(self) -> None:
        """Everything, until it is asked to stop; then components end in reverse order."""
        from kijabi.cmd.control import serve

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(c.run(), name=c.status.name) for c in self.components]
            side = [
                group.create_task(serve(self), name="control socket"),
                group.create_task(self._write_status(), name="status file"),
                group.create_task(self._announce(), name="announcements"),
            ]
            await self.stopping.wait()
            for component, life in zip(reversed(self.components), reversed(lives), strict=True):
                await component.stop()
                life.cancel()
            for task in side:
                task.cancel()

    async def _announce(self) -> None:
        """Tell every other component, once for each life of either, that the API server has come up."""
        server, *others = self.components
        told: dict[str, tuple[int, int]] = {}
        while True:
            async with self.changed:
                for component in others if server.status.state == "ready" else ():
                    lives = (server.status.pid, component.status.pid)
                    if component.status.pid and told.get(component.status.name) != lives:
                        told[component.status.name] = lives
                        component.tell_server_up()
                await self.changed.wait()

    async def _write_status(self) -> None:
        """Keep DIR/run/components.json true: what a later `down` needs if this process is killed."""
        file = self.config.path / "run" / "components.json"
        while True:
            async with self.changed:
                write_atomic(file, msgspec.json.encode(self.snapshot()))
                await self.changed.wait()


def lock(config: ClusterConfig, *, wait: bool = False) -> IO[str]:
    """The lock that a living supervisor holds; ConfigError when another one does, unless it may be waited for."""
    run = config.path / "run"
    run.mkdir(parents=True, exist_ok=True)
    file = open(run / "supervisor.lock", "a+")  # noqa: SIM115 (it stays open for as long as the process lives)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"the cluster in {config.dir} is running already") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def main(directory: str) -> None:
    """Entry of the supervisor process: `python -m kijabi.cmd.supervisor DIR`."""
    config = load(Path(directory))
    logs.setup("supervisor", config.logs / "supervisor.log")
    with lock(config), contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Supervisor(config).run())


if __name__ == "__main__":
    main(sys.argv[1])
