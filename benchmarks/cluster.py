"""A whole cluster by a stop-watch: start to Ready, deployment to Running, and what it costs to do nothing.

As root: `python -m benchmarks cluster`. Times are medians of `ROUNDS`; on a busy machine the processor time of the
start says more than its length. Memory is resident (RSS) and proportional (PSS) of the supervisor, API server,
controllers and scheduler, and the node agent, without containerd.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROUNDS = 3
PORT = 17943
IDLE_SECONDS = 15
SETTLE_SECONDS = 5


def kijabi(directory: Path, command: str, *arguments: str) -> None:
    line = [sys.executable, "-m", "kijabi.cmd.main", command, "--data-dir", str(directory), *arguments]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def kubectl(directory: Path, *arguments: str) -> str:
    environment = {**os.environ, "KUBECONFIG": str(directory / "kubeconfig"), "HOME": str(directory)}
    done = subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout


@contextmanager
def cluster() -> Iterator[Path]:
    """A running cluster with the test images, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="kijabi-bench-"))
    try:
        kijabi(directory, "up", "--port", str(PORT))
        images = [sys.executable, "-m", "kijabi.testing.images", "import", "--data-dir", str(directory)]
        subprocess.run(images, check=True, stdout=subprocess.DEVNULL)
        yield directory
    finally:
        kijabi(directory, "down", "--purge")
        shutil.rmtree(directory, ignore_errors=True)


def up_seconds(directory: Path) -> tuple[list[float], float]:
    """Seconds from the command `kijabi up` to its end, every node Ready, and of processor time (median).

    Warm: keys and images exist. The processor time is that of the command and of all processes it has started.
    """
    times, costs = [], []
    for _ in range(ROUNDS):
        kijabi(directory, "down")
        began, before = time.perf_counter(), _command_seconds()
        kijabi(directory, "up")
        times.append(time.perf_counter() - began)
        costs.append(_command_seconds() - before + sum(map(cpu_seconds, processes(directory).values())))
    return times, statistics.median(costs)


def _command_seconds() -> float:
    """Processor time of the commands run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def deployment_seconds(directory: Path) -> list[float]:
    """Seconds from `kubectl create deployment` to its pod Running, kubectl's own start included."""
    times = []
    for number in range(ROUNDS):
        name = f"bench-{number}"
        began = time.perf_counter()
        kubectl(directory, "create", "deployment", name, "--image=nginx:1.22")
        kubectl(
            directory, "wait", "--for=jsonpath={.status.phase}=Running", "pod", "-l", f"app={name}", "--timeout=60s"
        )
        times.append(time.perf_counter() - began)
        kubectl(directory, "delete", "deployment", name, "--wait")
        kubectl(directory, "wait", "--for=delete", "pod", "-l", f"app={name}", "--timeout=60s")
    return times


def processes(directory: Path) -> dict[str, int]:
    """Name → pid of the supervisor and of the components."""
    rows = json.loads((directory / "run" / "components.json").read_bytes())
    found = {row["name"]: int(row["pid"]) for row in rows}
    found["supervisor"] = int((directory / "run" / "supervisor.lock").read_text())
    return found


def memory(pid: int) -> tuple[float, float]:
    """(RSS, PSS) in MiB."""
    numbers = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            numbers[name] = int(rest.split()[0]) / 1024
    return numbers["Rss"], numbers["Pss"]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(directory: Path) -> tuple[dict[str, tuple[float, float]], float]:
    """Memory by process, and the share of one core that all of them use, over `IDLE_SECONDS`."""
    time.sleep(SETTLE_SECONDS)
    pids = processes(directory)
    before = sum(map(cpu_seconds, pids.values()))
    time.sleep(IDLE_SECONDS)
    used = sum(map(cpu_seconds, pids.values())) - before
    return {name: memory(pid) for name, pid in pids.items()}, used / IDLE_SECONDS


def main() -> None:
    """Measure and print."""
    with cluster() as directory:
        ups, cost = up_seconds(directory)
        _show("kijabi up to Ready, warm", ups, 2.0)
        print(f"  processor time of that      {cost:6.2f} s")
        _show("create deployment to Running", deployment_seconds(directory), 1.5)
        sizes, share = idle(directory)
        for name, (rss, pss) in sorted(sizes.items()):
            print(f"  {name:<27} {rss:6.1f} MiB RSS {pss:6.1f} MiB PSS")
        rss, pss = (sum(pair[i] for pair in sizes.values()) for i in (0, 1))
        print(f"idle memory, all processes    {rss:6.1f} MiB RSS, {pss:.1f} MiB PSS   (goal 250)")
        print(f"idle CPU, all processes       {share:6.2%} of a core   (goal 2 %)")


def _show(what: str, seconds: list[float], goal: float) -> None:
    every = " ".join(f"{value:.2f}" for value in seconds)
    print(f"{what:<29} {statistics.median(seconds):6.2f} s   (goal {goal:g}; all: {every})")
