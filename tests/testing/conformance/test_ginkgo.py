"""Wishes as ginkgo's command line, and its output as progress."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.testing.conformance import ginkgo, results
from kijabi.testing.conformance.ginkgo import Files, Progress, Wish

POD = "[sig-node] Pods should run (a+b) [Conformance]"
POD_TOO = "[sig-node] Pods should run (a+b) [Conformance] [Slow]"
CRD = "[sig-api-machinery] CRD should exist [Conformance]"
TESTS = [POD, POD_TOO, CRD]
FILES = Files(ginkgo=Path("/b/ginkgo"), suite=Path("/b/e2e"), kubectl=Path("/b/kubectl"), kubeconfig=Path("/k"),
              output=Path("/out"))  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "tests"),
    [
        (Wish(), TESTS),
        (Wish(focus="CRD"), [CRD]),
        (Wish(focus="should", skip=r"\[Slow\]"), [POD, CRD]),
        (Wish(sig="node"), [POD, POD_TOO]),
        (Wish(sig="sig-api-machinery"), [CRD]),
        (Wish(sig="node,api-machinery"), TESTS),
        (Wish(sig="api"), []),
    ],
)
def test_wishes(wish: Wish, tests: list[str]) -> None:
    assert wish.of(TESTS) == tests


def test_a_pattern_matches_its_tests_alone() -> None:
    found = re.compile(ginkgo.pattern([POD, CRD]))
    assert [test for test in TESTS if found.search(test)] == [POD, CRD]


def test_a_pattern_that_no_command_line_holds_is_refused() -> None:
    with pytest.raises(ConfigError, match="SIG="):
        ginkgo.pattern([POD * 100] * 100)


def test_all_tests_fit_one_command_line() -> None:
    everything = results.names(Path(__file__).parents[3] / "conformance" / "tests.txt")
    assert len(everything) == len(set(everything)) == 462
    assert ginkgo.pattern(everything)


def test_the_command_line() -> None:
    command = ginkgo.command(FILES, [CRD], 3)
    assert command[0] == "/b/ginkgo"
    assert "--procs=3" in command
    before, after = command[: command.index("--")], command[command.index("--") :]
    assert before[-1] == "/b/e2e"
    assert "--kubeconfig=/k" in after
    assert "--kubectl-path=/b/kubectl" in after


def test_progress_reads_the_heads_of_finished_tests() -> None:
    lines = [
        "[SynchronizedBeforeSuite] PASSED [0.036 seconds]",
        "[SynchronizedBeforeSuite] ",
        "------------------------------",
        "• [2.853 seconds]",
        f"{CRD} [sig-api-machinery, Conformance]",
        "/src/crd.go:334",
        "• [FAILED] [20.475 seconds]",
        "[sig-node] Pods [It] should run [NodeConformance] [Conformance] [Slow] [sig-node, Slow, Conformance]",
        "  [FAILED] in [It] - /src/pods.go:1",
        "• [FAILED] [0.1 seconds]",
        "[sig-node] Pods should be no conformance test [sig-node]",
        "S [SKIPPED] [0.001 seconds]",
        f"{POD} [sig-node, Conformance]",
    ]
    progress = Progress(3)
    told = [said for line in lines if (said := progress.feed(line)) is not None]
    assert told == [
        f"[1/3] passed 3 s  {CRD}",
        "[2/3, 1 failed] failed 20 s  [sig-node] Pods should run [NodeConformance] [Conformance] [Slow]",
        f"[3/3, 1 failed] skipped 0 s  {POD}",
    ]
    assert [(one.result, one.seconds) for one in progress.ended] == [
        ("passed", 2.853),
        ("failed", 20.475),
        ("skipped", 0.001),
    ]
