"""A cluster for the tests, the tests on it, and the cluster away again.

The command line in `__main__.py` calls it. The cluster is one of `kijabi up` with two nodes, a data directory and a
port of its own, so another cluster on this machine is not in the way; `--kubeconfig` names a running one instead.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kijabi.base import clock
from kijabi.base.errors import ConfigError
from kijabi.testing.conformance import build, images, registry, results
from kijabi.testing.conformance import ginkgo as runner
from kijabi.testing.conformance.build import Builder
from kijabi.testing.images.__main__ import import_image, node_sockets
from kijabi.testing.images.build import Built
from kijabi.testing.programs import Say

PORT = 18443
NODES = 2
PARALLEL_IMPORTS = 2


def programs(builder: Builder, kubeconfig: Path, output: Path) -> runner.Files:
    """What a run needs, built where it is not there."""
    return runner.Files(
        ginkgo=builder.program(build.GINKGO),
        suite=builder.program(build.E2E),
        kubectl=builder.program(build.KUBECTL),
        kubeconfig=kubeconfig,
        output=output,
    )


def listed(builder: Builder) -> list[str]:
    """The conformance tests that the binary has, sorted."""
    with tempfile.TemporaryDirectory() as directory:
        files = programs(builder, Path(directory, "none"), Path(directory))
        done = subprocess.run(runner.listing(files), cwd=directory, capture_output=True, text=True)
        report = files.output / "list.json"
        if done.returncode != 0 or not report.exists():
            raise ConfigError(f"the test binary could not list its tests: {done.stdout[-2000:]}")
        return sorted(said.test for said in results.outcomes(report.read_bytes()))


@contextmanager
def cluster(builder: Builder, say: Say, *, logs: Path) -> Iterator[Path]:
    """A cluster of our own with the test images; its kubeconfig. Nothing of it is left at the end but its logs."""
    archives = images.archives(builder, build.cache_directory() / "images")
    with tempfile.TemporaryDirectory(prefix="kijabi-conformance-") as name:
        directory = Path(name, "cluster")
        _kijabi("up", "--data-dir", str(directory), "--port", str(PORT), "--nodes", str(NODES))
        try:
            began = clock.monotonic()
            asyncio.run(_import(archives, node_sockets(directory)))
            say(f"imported {len(archives)} images into {NODES} nodes in {clock.monotonic() - began:.0f} s")
            kubeconfig = directory / "kubeconfig"
            with registry.serving(archives, _first_node(builder, kubeconfig), directory / "certs.d"):
                yield kubeconfig
        finally:
            _keep_logs(directory / "logs", logs)
            _kijabi("down", "--data-dir", str(directory), "--purge")


async def _import(archives: Sequence[Built], sockets: Sequence[str]) -> None:
    if not sockets:
        raise ConfigError("the cluster has no node with a containerd")
    gate = asyncio.Semaphore(PARALLEL_IMPORTS)

    async def one(built: Built, socket: str) -> None:
        async with gate:
            await import_image(built, socket)

    async with asyncio.TaskGroup() as group:
        for built in archives:
            for socket in sockets:
                group.create_task(one(built, socket))


def _first_node(builder: Builder, kubeconfig: Path) -> str:
    """The address of the first node, which is this machine's own on the bridge between the nodes."""
    query = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    command = (str(builder.program(build.KUBECTL)), f"--kubeconfig={kubeconfig}", "get", "nodes", "-o", query)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _kijabi(*arguments: str) -> None:
    command = (sys.executable, "-m", "kijabi.cmd.main", *arguments)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise ConfigError(f"kijabi {arguments[0]}: {done.stdout.strip()[-2000:]}")


def _keep_logs(directory: Path, target: Path) -> None:
    """The components' logs, for whoever asks why a test failed."""
    target.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*"):
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())


def suite(files: runner.Files, tests: Sequence[str], procs: int, say: Say) -> list[results.Outcome]:
    """Run tests on a cluster; what ginkgo said of each.

    Ctrl-C ends it early, with what is known by then; each further one leaves out more of ginkgo's cleaning up.
    Raises ConfigError where ginkgo itself could not run. Its full output is in `output/log.txt`.
    """
    command = runner.command(files, tests, procs)
    log = files.output / "log.txt"
    report = files.output / "report.json"
    report.unlink(missing_ok=True)
    progress = runner.Progress(len(tests))
    with log.open("w") as kept, _interruptible(command, files.output) as process:
        assert process.stdout is not None
        for line in process.stdout:
            kept.write(line)
            if (told := progress.feed(line.rstrip("\n"))) is not None:
                say(told)
    if report.exists():
        return results.outcomes(report.read_bytes())
    if not progress.ended:
        raise ConfigError(f"ginkgo ended with {process.returncode} and no report: {log.read_text()[-2000:]}")
    return progress.ended


@contextmanager
def _interruptible(command: Sequence[str], directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read to its end; Ctrl-C goes to it, and not to us, until it has ended."""
    with subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        env=_environment(os.environ),
    ) as process:
        before = {number: signal.signal(number, lambda *_: process.send_signal(signal.SIGINT)) for number in SIGNALS}
        try:
            yield process
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            with suppress(ProcessLookupError):  # of its own processes some live on where it was killed
                os.killpg(process.pid, signal.SIGKILL)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Ours without what would lead the tests to another cluster, to other images or through a proxy."""
    unwanted = ("KUBECONFIG", "KUBE_TEST_REPO", "KUBE_TEST_REPO_LIST", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {name: value for name, value in given.items() if name.upper() not in unwanted}
