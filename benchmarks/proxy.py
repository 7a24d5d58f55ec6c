"""The proxy's table: loading a thousand Services with three backends each, and changing one backend of one of them.

As root: `python -m benchmarks proxy`. It runs in a network namespace of its own, which goes with it. Medians of
`ROUNDS`; `rules` is the processor time of making ruleset and script in Python, `nft` the whole of what `nft` does.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable

from kijabi.proxy import nft
from kijabi.proxy.rules import EMPTY, ProxyConfig, Ruleset, frame, ruleset, script
from kijabi.proxy.services import Backend, Frontend

SERVICES = 1000
BACKENDS = 3
ROUNDS = 5
CONFIG = ProxyConfig(table="kijabi-bench", pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")
INSIDE = "inside"


def frontends(changed: int = 0) -> Iterable[Frontend]:
    """A ClusterIP each. changed: another last backend for the first Service."""
    for number in range(SERVICES):
        high, low = divmod(number, 200)
        backends = [Backend(f"10.244.{high * BACKENDS + index}.{low + 1}", 8080) for index in range(BACKENDS)]
        if changed and number == 0:
            backends[-1] = Backend(f"10.244.200.{changed}", 8080)
        yield Frontend(address=f"10.96.{high}.{low + 10}", protocol="tcp", port=80, backends=tuple(backends))


class Costs:
    """What one step took: processor seconds here and in nft, and seconds by the clock."""

    def __init__(self) -> None:
        self.rules: list[float] = []
        self.nft: list[float] = []
        self.clock: list[float] = []

    async def step(self, old: Ruleset, changed: int, prefix: str) -> Ruleset:
        """Go from one ruleset to the next."""
        before, began, cpu = _children(), time.perf_counter(), time.process_time()
        new = ruleset(frontends(changed))
        text = prefix + script(CONFIG, old, new)
        self.rules.append(time.process_time() - cpu)
        await nft.apply(text)
        self.clock.append(time.perf_counter() - began)
        self.nft.append(_children() - before)
        return new

    def show(self, what: str) -> None:
        """Print the medians."""
        rules, program, clock = (statistics.median(column) * 1000 for column in (self.rules, self.nft, self.clock))
        print(f"{what:28} {clock:7.1f} ms   rules {rules:6.1f} ms CPU   nft {program:6.1f} ms CPU")


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def measure() -> None:
    """Load and change, in turns."""
    load, change = Costs(), Costs()
    for number in range(ROUNDS):
        loaded = await load.step(EMPTY, 0, frame(CONFIG))
        await change.step(loaded, number + 1, "")
    load.show(f"load {SERVICES:,} Services")
    change.show("change one of them")
    ratio = statistics.median(a / b for a, b in zip(load.clock, change.clock, strict=True))
    print(f"a load costs {ratio:.0f} changes")


def main() -> None:
    """Measure in a fresh network namespace."""
    subprocess.run(["unshare", "--net", sys.executable, "-m", "benchmarks.proxy", INSIDE], check=True)


if __name__ == "__main__":
    if INSIDE in sys.argv:
        asyncio.run(measure())
    else:
        main()
