"""ginkgo, the runner of the tests: from what is wished to its command line, from what it prints to progress.

Pure; `run` starts it and reads along. Tests marked [Serial] ginkgo runs by itself after all others, one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from kijabi.base.errors import ConfigError
from kijabi.testing.conformance.results import CONFORMANCE, FAILED, PASSED, SKIPPED, Outcome, sig

SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")
# The head of a finished test's report: `• [2.853 seconds]`, `• [FAILED] [20.4 seconds]`, `S [SKIPPED] [0.01 seconds]`.
FINISHED = re.compile(r"^(?:•|S|P) (?:\[(?P<state>[A-Z ]+)\] )?\[(?P<seconds>[\d.]+) seconds\]$")
LABELS = re.compile(r" \[sig-[^\[\]]*\]$")  # what ginkgo writes after a test's name
MAX_PATTERN = 120_000  # bytes; Linux takes no argument of 128 KiB or more


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests to run: those that match focus and not skip (regular expressions) and belong to a group of `sig`."""

    focus: str = ""
    skip: str = ""
    sig: str = ""

    def of(self, tests: Iterable[str]) -> list[str]:
        """The tests that are wished for."""
        focus, skip = re.compile(self.focus), re.compile(self.skip) if self.skip else None
        groups = self.sig.removeprefix("sig-").split(",") if self.sig else ()
        return [
            test
            for test in tests
            if focus.search(test) and not (skip and skip.search(test)) and (not groups or sig(test) in groups)
        ]


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """The programs and places that a run needs."""

    ginkgo: Path
    suite: Path
    kubectl: Path
    kubeconfig: Path
    output: Path


def pattern(tests: Iterable[str]) -> str:
    """A regular expression for exactly these tests. Raises ConfigError where no command line can hold it."""
    text = "|".join(quoted(test) + "$" for test in tests)
    if len(text) > MAX_PATTERN:
        raise ConfigError("too many tests for one command line: run them group by group with SIG=")
    return text


def quoted(text: str) -> str:
    """A regular expression for exactly this text, as Go reads it (which, unlike Python, takes no escape of a space)."""
    return SPECIAL.sub(r"\\\1", text)


def command(files: Files, tests: Iterable[str], procs: int) -> list[str]:
    """ginkgo's command line for these tests."""
    return [
        str(files.ginkgo),
        f"--procs={procs}",
        "--no-color",
        "-v",
        "--silence-skips",
        "--timeout=24h",
        "--json-report=report.json",
        f"--output-dir={files.output}",
        f"--focus={pattern(tests)}",
        str(files.suite),
        "--",
        *suite_arguments(files),
    ]


def suite_arguments(files: Files) -> list[str]:
    """What the test binary itself is told: a cluster of no particular provider, whose nodes are all to be ready."""
    return [
        f"--kubeconfig={files.kubeconfig}",
        f"--kubectl-path={files.kubectl}",
        "--provider=skeleton",
        "--allowed-not-ready-nodes=0",
        "--disable-log-dump",
    ]


def listing(files: Files) -> list[str]:
    """The command that lists every conformance test and runs none."""
    return [
        str(files.suite),
        "--ginkgo.dry-run",
        f"--ginkgo.focus={quoted(CONFORMANCE)}",
        f"--ginkgo.json-report={files.output / 'list.json'}",
        "--provider=skeleton",
    ]


class Progress:
    """Reads ginkgo's output line by line and gives a line for the terminal at the end of each test."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.ended: list[Outcome] = []  # for a run that is broken off, which ginkgo gives no report of
        self._head: re.Match[str] | None = None

    def feed(self, line: str) -> str | None:
        """Take a line of output; what to show, if a test has just ended."""
        head, self._head = self._head, FINISHED.match(line)
        if head is None or CONFORMANCE not in line:
            return None
        state = (head["state"] or PASSED).lower()
        test = LABELS.sub("", line).replace("[It] ", "")  # which marks where it failed
        result = state if state in (PASSED, SKIPPED) else FAILED
        self.ended.append(Outcome(test, result, float(head["seconds"]), "" if result == PASSED else state))
        failed = sum(one.result == FAILED for one in self.ended)
        counts = f"{len(self.ended)}/{self.total}{f', {failed} failed' if failed else ''}"
        return f"[{counts}] {state} {float(head['seconds']):.0f} s  {test}"
