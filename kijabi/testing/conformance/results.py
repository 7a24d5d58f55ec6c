"""What the tests said, kept: `conformance/results.tsv`, the summary, and what must never fail again.

`run` hands in the reports that ginkgo writes as JSON. A run of some tests changes the rows of those and leaves the
others, so the table always has the last word on every test. All functions here are pure, but for `load` and `save`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import msgspec
from msgspec.structs import replace

from kijabi.base.errors import ConfigError
from kijabi.base.files import write_atomic

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
COLUMNS = ("test", "result", "seconds", "version", "date")
MAX_MESSAGE = 4000  # characters of a failure that the JUnit file keeps
CONFORMANCE = "[Conformance]"
LABELS = re.compile(r"^\[sig-([a-z-]+)\]")


class Row(msgspec.Struct, frozen=True):
    """The last word on one test. seconds: how long it took; version: of Kijabi's commit; date: YYYY-MM-DD."""

    test: str
    result: str
    seconds: float
    version: str
    date: str


class Outcome(msgspec.Struct, frozen=True):
    """What one run said of one test. message: why it failed, with the place in the tests' source."""

    test: str
    result: str
    seconds: float
    message: str = ""


class _Location(msgspec.Struct):
    FileName: str = ""
    LineNumber: int = 0


class _Failure(msgspec.Struct):
    Message: str = ""
    Location: _Location = msgspec.field(default_factory=_Location)


class _Spec(msgspec.Struct):
    """The members of a ginkgo report's SpecReports that are read here; times are nanoseconds."""

    LeafNodeType: str = ""
    LeafNodeText: str = ""
    ContainerHierarchyTexts: list[str] | None = None
    State: str = ""
    RunTime: int = 0
    Failure: _Failure = msgspec.field(default_factory=_Failure)


class _Suite(msgspec.Struct):
    SpecReports: list[_Spec] | None = None


def outcomes(report: bytes, *, listing: bool = False) -> list[Outcome]:
    """The conformance tests that ran, from ginkgo's JSON report. listing: of a dry run, where all pass.

    A test that ginkgo left out was not asked for; one that skipped itself says why it cannot run here.
    Raises ConfigError.
    """
    try:
        suites = msgspec.json.decode(report, type=list[_Suite])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"ginkgo's report is damaged: {error}") from None
    found = []
    for spec in (spec for suite in suites for spec in suite.SpecReports or ()):
        if spec.LeafNodeType != "It" or CONFORMANCE not in spec.LeafNodeText:
            continue
        if spec.State == "skipped" and not spec.Failure.Message:
            continue
        result = spec.State if spec.State in (PASSED, SKIPPED) else FAILED
        place = f"{spec.Failure.Location.FileName}:{spec.Failure.Location.LineNumber}"
        message = "" if result == PASSED else f"{spec.Failure.Message.strip() or spec.State}\n{place}"
        found.append(Outcome(_name(spec), result, 0.0 if listing else spec.RunTime / 1e9, message))
    return found


def _name(spec: _Spec) -> str:
    return " ".join((*(spec.ContainerHierarchyTexts or ()), spec.LeafNodeText))


def merge(rows: Mapping[str, Row], ran: Iterable[Outcome], version: str, date: str) -> dict[str, Row]:
    """The table after a run, sorted by test. Rows of tests that did not run stay as they were."""
    new = {said.test: Row(said.test, said.result, round(said.seconds, 1), version, date) for said in ran}
    return dict(sorted({**rows, **new}.items()))


def load(file: Path) -> dict[str, Row]:
    """The table from its file; empty where there is none. Raises ConfigError for a damaged one."""
    if not file.exists():
        return {}
    head, *lines = file.read_text().splitlines()
    if tuple(head.split("\t")) != COLUMNS:
        raise ConfigError(f"{file}: the first line is not {' '.join(COLUMNS)}")
    rows = {}
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            raise ConfigError(f"{file}:{number}: {len(cells)} columns instead of {len(COLUMNS)}")
        test, result, seconds, version, date = cells
        rows[test] = Row(test, result, float(seconds), version, date)
    return rows


def save(file: Path, rows: Mapping[str, Row]) -> None:
    """Write the table."""
    lines = ["\t".join(COLUMNS)]
    lines += [f"{row.test}\t{row.result}\t{row.seconds:.1f}\t{row.version}\t{row.date}" for row in rows.values()]
    write_atomic(file, ("\n".join(lines) + "\n").encode())


def names(file: Path) -> list[str]:
    """The tests in a file with one name a line."""
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def sig(test: str) -> str:
    """Which special interest group a test belongs to: `[sig-node] …` is node's."""
    found = LABELS.match(test)
    return found[1] if found else ""


def summary(rows: Mapping[str, Row], all_tests: Iterable[str]) -> str:
    """One line: how many of all pass, and how many of each group."""
    tests = list(all_tests)
    passing = [test for test in tests if test in rows and rows[test].result == PASSED]
    of, good = Counter(map(sig, tests)), Counter(map(sig, passing))
    groups = ", ".join(f"{name} {good[name]}/{total}" for name, total in sorted(of.items()))
    unknown = sum(test not in rows for test in tests)
    return f"{len(passing)} of {len(tests)} pass ({groups}){f'; {unknown} never ran' if unknown else ''}"


def regressions(expected: Iterable[str], ran: Iterable[Outcome]) -> list[Outcome]:
    """Those that are expected to pass and did not."""
    must = set(expected)
    return [said for said in ran if said.test in must and said.result != PASSED]


def after_another_try(ran: Iterable[Outcome], again: Iterable[Outcome]) -> list[Outcome]:
    """A run whose failures had another try: who passed then has passed, and keeps the message of its failure."""
    passed = {said.test: said for said in again if said.result == PASSED}
    return [
        replace(passed[said.test], message=said.message) if said.result == FAILED and said.test in passed else said
        for said in ran
    ]


def expected_after(expected: Iterable[str], ran: Iterable[Outcome]) -> list[str]:
    """The expected tests with those that a run showed to pass; nothing leaves by itself."""
    return sorted({*expected, *(said.test for said in ran if said.result == PASSED)})


def junit(ran: Iterable[Outcome]) -> str:
    """The run as a JUnit file, with nothing of the tests that did not run."""
    said = sorted(ran, key=lambda one: one.test)
    failures = sum(one.result == FAILED for one in said)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    skipped = sum(one.result == SKIPPED for one in said)
    seconds = sum(one.seconds for one in said)
    counts = f'tests="{len(said)}" failures="{failures}" skipped="{skipped}" time="{seconds:.1f}"'
    lines.append(f'<testsuite name="conformance" {counts}>')
    for one in said:
        head = f'<testcase classname="{sig(one.test)}" name={quoteattr(one.test)} time="{one.seconds:.1f}"'
        if one.result == PASSED:
            lines.append(f"{head}/>")
            continue
        tag = "failure" if one.result == FAILED else "skipped"
        lines.append(f"{head}><{tag}>{escape(_printable(one.message[:MAX_MESSAGE]))}</{tag}></testcase>")
    return "\n".join((*lines, "</testsuite>", ""))


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 has no form for."""
    return "".join(char if char >= " " or char in "\n\t" else "?" for char in text)
