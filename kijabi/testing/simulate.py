"""`python -m kijabi.testing.simulate --seeds A-B`: the whole cluster in virtual time, once for each seed.

Prints a line for each seed that fails, with how to replay it, and a summary; exit code 1 if any failed, or if many
put some rule never to the test. `make sim` calls it. A seed is one history, byte for byte: where PYTHONHASHSEED would
change that, this starts itself again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter, process_time

from kijabi.testing import simloop
from kijabi.testing.scenario import Result, Scenario

REPLAY = "PYTHONHASHSEED=0 python -m kijabi.testing.simulate --seeds {0} --verbose"
# Lines of a failure that are shown without --verbose.
SHOWN = 12
# Seconds of the processor that a seed may take without being named: what takes so much more than others may spin.
SLOW = 5.0
# So many seeds must put each rule to the test.
MANY = 500
# Virtual seconds that any simulation may take.
HORIZON = 20_000.0


def simulate(seed: int, *, trace: bool = False) -> tuple[Result, str]:
    """Run one seed: what it did, and how it failed, or an empty text."""
    scenario, started = Scenario(seed, trace=trace), process_time()
    try:
        simloop.run(scenario.play(), seed, horizon=HORIZON)
        failure = ""
    except Exception as error:  # Whatever a simulation ends with is a finding to be shown.
        failure = _told(scenario.store.violations[0] if scenario.store.violations else _root(error))
    scenario.result.cpu = process_time() - started
    if trace:
        print("\n".join(scenario.store.trace or ()))
    return scenario.result, failure


def _root(error: BaseException) -> BaseException:
    """The failure itself, out of the groups that tasks wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> str:
    """The failure in words; where it came from only where it is not one of the simulation's own findings."""
    if isinstance(error, AssertionError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {error}\n" + "".join(traceback.format_exception(error))


def seeds_of(text: str) -> list[int]:
    """`7`, `1-200`, or several with commas."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _run(seeds: list[int], jobs: int, trace: bool) -> Iterator[tuple[int, Result, str]]:
    if jobs == 1:
        for seed in seeds:
            yield (seed, *simulate(seed, trace=trace))
        return
    with ProcessPoolExecutor(jobs) as pool:
        for seed, (result, failure) in zip(seeds, pool.map(simulate, seeds), strict=True):
            yield seed, result, failure


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m kijabi.testing.simulate", description=__doc__)
    parser.add_argument("--seeds", default="1-50", metavar="A-B", help="which seeds, such as 7 or 1-200")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to use")
    parser.add_argument("--verbose", action="store_true", help="what user and world did, and the whole failure")
    parser.add_argument("--trace", action="store_true", help="every write too")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "kijabi.testing.simulate", *sys.argv[1:]])
    logging.getLogger("kijabi").addHandler(logging.NullHandler())
    logging.getLogger("kijabi").propagate = False
    seeds = seeds_of(given.seeds)
    jobs = 1 if given.trace or len(seeds) == 1 else given.jobs
    started, failed, slow, done, judged = perf_counter(), [], [], Counter[str](), Counter[str]()
    for number, (seed, result, failure) in enumerate(_run(seeds, jobs, given.trace), 1):
        done.update(writes=result.writes, seconds=int(result.seconds), cpu=int(1000 * result.cpu))
        judged.update(result.judged)
        if result.cpu > SLOW:
            slow.append(f"{seed} ({result.cpu:.0f} s)")
        if given.verbose:
            print("\n".join(result.done))
            print(f"seed {seed}: {result.writes} writes, {result.seconds:.0f} s, history {result.digest[:16]}")
        if failure:
            failed.append(seed)
            lines = [line[:300] for line in failure.splitlines() if not line.startswith("  File")]
            shown = failure if given.verbose else "\n".join(lines[:SHOWN])
            print(f"seed {seed} FAILED\n{shown}\nreplay: {REPLAY.format(seed)}", flush=True)
        elif number % 50 == 0:
            print(f"{number} of {len(seeds)} seeds, {len(failed)} failed", flush=True)
    took, each = perf_counter() - started, done["cpu"] / 1000 / len(seeds)
    print(
        f"{len(seeds)} seeds in {took:.1f} s ({each:.2f} s of CPU each): {done['writes']} writes in "
        f"{done['seconds']} virtual s; failed: {failed or 'none'}"
    )
    if slow:
        print(f"over {SLOW:.0f} s of CPU: {', '.join(slow)}")
    print("judged: " + ", ".join(f"{name} {count}" for name, count in sorted(judged.items())))
    idle = [name for name, times in judged.items() if not times] if len(seeds) >= MANY else []
    if idle:
        print(f"never put to the test: {', '.join(idle)}")
    return 1 if failed or idle else 0


if __name__ == "__main__":
    sys.exit(main())
