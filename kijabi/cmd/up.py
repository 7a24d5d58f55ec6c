"""`kijabi up`: from nothing to a cluster whose nodes are Ready.

Checks the machine, settles what the cluster is (`config`), makes its keys and kubeconfigs, starts the supervisor
detached, and follows its reports until every component is ready; a node agent is ready when its Node is.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.cli import doctor
from kijabi.cmd import config as configuration
from kijabi.cmd import control, supervisor
from kijabi.cmd.config import ClusterConfig

Say = Callable[[str], None]

PATIENCE = 60.0  # seconds until the cluster must be ready
_SETTINGS = (
    "port", "nodes", "runtime", "apiserver_args", "controller_args",
    "cloud_provider", "cloud_config", "load_balancer_pool",
)  # fmt: skip
_CLOUD = {"cloud_provider", "cloud_config", "load_balancer_pool"}
FOR_FAKE = ("root",)  # checks that the fake runtime does without


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for; None keeps what the cluster has, or the default for a new one.

    apiserver_args, controller_args, load_balancer_pool: all of them; they take the place of those before.
    """

    directory: Path
    port: int | None = None
    nodes: int | None = None
    runtime: str | None = None
    apiserver_args: tuple[str, ...] | None = None
    controller_args: tuple[str, ...] | None = None
    cloud_provider: str | None = None
    cloud_config: str | None = None
    load_balancer_pool: tuple[str, ...] | None = None


def settle(wishes: Wishes) -> ClusterConfig:
    """The cluster as it will be, saved in its directory. A running cluster is not changed."""
    directory = str(wishes.directory.absolute())
    asked = {name: value for name in _SETTINGS if (value := getattr(wishes, name)) is not None}
    try:
        old = configuration.load(wishes.directory)
    except ConfigError:
        if (wishes.directory / "cluster.json").exists():
            raise
        old = None
    if old is not None:
        new = msgspec.structs.replace(old, **asked)
        configuration.claim_slot(directory, old.slot)
    else:
        new = ClusterConfig(dir=directory, slot=configuration.claim_slot(directory), **asked)
    if asked.keys() & _CLOUD:
        from kijabi.cmd import cloud

        cloud.check(new)
    if new != old:
        new.save()
    return new


def check_machine(config: ClusterConfig) -> None:
    """ConfigError that names what is missing and the command that mends it."""
    if config.runtime == "fake":
        return
    findings = [finding for finding in doctor.examine() if finding.check.needed]
    if findings:
        lines = [f"  {finding.problem}: {finding.check.command()}" for finding in findings]
        raise ConfigError("\n".join(["this machine lacks:", *lines, "`kijabi doctor --install` does all of it"]))


def refuse_changes(old: ClusterConfig, wishes: Wishes) -> None:
    """ConfigError if a running cluster is asked to be another than it is."""
    for name in _SETTINGS:
        asked, has = getattr(wishes, name), getattr(old, name)
        if asked not in (None, has):
            option = "--" + name.removesuffix("s" if name.endswith("_args") else "").replace("_", "-")
            shown = f"{option} {(' '.join(has) if isinstance(has, tuple) else has) or 'none'}"
            raise ConfigError(f"the cluster in {old.dir} runs with {shown}: `kijabi down` comes before a change")


def check_ports(config: ClusterConfig) -> None:
    """ConfigError if another program listens where the cluster is to listen."""
    needed = [(config.port, "choose another with --port")]
    if config.runtime == "cri":
        needed.append((config.kubelet_port, "the kubelet needs it"))
    for port, advice in needed:
        if not configuration.port_is_free(port):
            raise ConfigError(f"port {port} is in use by another program: {advice}")


def running(config: ClusterConfig) -> bool:
    """Whether a supervisor holds the cluster's lock."""
    try:
        supervisor.lock(config).close()
    except ConfigError:
        return True
    return False


def start_detached(config: ClusterConfig) -> subprocess.Popen[bytes]:
    """The supervisor, in a session of its own, with its errors in DIR/logs/supervisor.err."""
    config.logs.mkdir(parents=True, exist_ok=True)
    with (config.logs / "supervisor.err").open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "kijabi.cmd.supervisor", config.dir],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            cwd="/",
        )


def hold(config: ClusterConfig) -> None:
    """Until Ctrl-C or SIGTERM; ConfigError if the cluster ends by itself before that."""
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    while not end.wait(1.0):
        if not running(config):
            raise ConfigError(f"the supervisor of {config.dir} has ended; see {config.logs}")


def is_hopeless(component: supervisor.Status) -> bool:
    """It said more than once that it is configured wrongly: no patience mends that."""
    wrong = f"{ConfigError.__name__}: " in component.last_exit
    return component.state == "backoff" and component.restarts > 0 and wrong


async def wait_ready(config: ClusterConfig, process: subprocess.Popen[bytes] | None, say: Say) -> None:
    """Follow the supervisor until all is ready; ConfigError with the reasons if it takes too long or dies."""
    shown: dict[str, str] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            await _supervisor_there(config, process)
            async for components in control.ask(config.path, "wait"):
                for component in components:
                    line = f"{component.state}{f': {component.last_exit}' if component.state == 'backoff' else ''}"
                    if shown.get(component.name) != line:
                        shown[component.name] = line
                        say(f"  {component.name}: {line}")
                if all(component.state == "ready" for component in components):
                    return
                if any(is_hopeless(component) for component in components):
                    break
    except TimeoutError:
        pass
    reasons = "; ".join(f"{name}: {line}" for name, line in shown.items() if line != "ready")
    raise ConfigError(f"the cluster did not become ready ({reasons or 'no reports'}); see {config.logs}")


async def _supervisor_there(config: ClusterConfig, process: subprocess.Popen[bytes] | None) -> None:
    """Until the control socket answers. The supervisor needs some 50 ms to make it, and nothing announces it."""
    while True:
        try:
            async for _ in control.ask(config.path, "status"):
                return
        except ConnectionLost:
            if process is not None and process.poll() is not None:
                text = (config.logs / "supervisor.err").read_text(errors="replace").strip()
                raise ConfigError(f"the supervisor ended: {text[-500:]}") from None
            await asyncio.sleep(0.005)


def up(wishes: Wishes, say: Say, *, foreground: bool = False) -> ClusterConfig:
    """Start the cluster, or find it running. With `foreground` the caller holds it afterwards."""
    known = wishes.directory / "cluster.json"
    if known.exists() and running(old := configuration.load(wishes.directory)):
        refuse_changes(old, wishes)
        if foreground:
            raise ConfigError(f"the cluster in {old.dir} runs in the background: `kijabi down` stops it")
        say(f"The cluster in {old.dir} is running")
        asyncio.run(wait_ready(old, None, say))
        return old
    config = settle(wishes)
    check_machine(config)
    check_ports(config)
    from kijabi.cmd.keys import make_keys

    say(f"Starting a cluster of {config.nodes} node{'s' if config.nodes > 1 else ''} in {config.dir}")
    make_keys(config)
    if config.runtime == "cri":
        from kijabi.cmd.machine import Machine

        asyncio.run(Machine(config).prepare())
    asyncio.run(wait_ready(config, start_detached(config), say))
    return config
