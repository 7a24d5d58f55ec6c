"""What the harness makes of ginkgo's reports, and what it keeps."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from kijabi.base.errors import ConfigError
from kijabi.testing.conformance import results
from kijabi.testing.conformance.results import FAILED, PASSED, SKIPPED, Outcome, Row

POD = "[sig-node] Pods should run [Conformance]"
JOB = "[sig-apps] Job should end [NodeConformance] [Conformance]"


def spec(containers: list[str], text: str, state: str = PASSED, message: str = "", **more: Any) -> dict[str, Any]:
    failure = {"Message": message, "Location": {"FileName": "/src/pods.go", "LineNumber": 7}} if message else {}
    return {
        "LeafNodeType": "It",
        "ContainerHierarchyTexts": containers,
        "LeafNodeText": text,
        "State": state,
        "RunTime": 1_500_000_000,
        "Failure": failure,
        **more,
    }


def report(*specs: dict[str, Any]) -> bytes:
    return json.dumps([{"SuitePath": "/e2e", "SpecReports": list(specs)}]).encode()


def test_a_report_names_each_test_by_its_containers_and_text() -> None:
    [said] = results.outcomes(report(spec(["[sig-node] Pods"], "should run [Conformance]")))
    assert said == Outcome(POD, PASSED, 1.5)


def test_a_failure_has_its_message_and_place() -> None:
    [said] = results.outcomes(report(spec(["[sig-node] Pods"], "should run [Conformance]", "failed", "no pod")))
    assert said.result == FAILED
    assert said.message == "no pod\n/src/pods.go:7"


@pytest.mark.parametrize("state", ["panicked", "timedout", "interrupted", "aborted", "failed"])
def test_whatever_is_neither_passed_nor_skipped_failed(state: str) -> None:
    [said] = results.outcomes(report(spec(["[sig-node] Pods"], "should run [Conformance]", state)))
    assert said.result == FAILED
    assert state in said.message


def test_only_conformance_tests_that_were_asked_for_count() -> None:
    said = results.outcomes(
        report(
            spec(["[sig-node] Pods"], "should fly"),
            spec(["[sig-node] Pods"], "should hop [Conformance]", "skipped"),
            spec(["[sig-node] Pods"], "should run [Conformance]", "skipped", "needs a GPU"),
            spec([], "BeforeSuite [Conformance]", LeafNodeType="SynchronizedBeforeSuite"),
        )
    )
    assert [(one.test, one.result) for one in said] == [(POD, SKIPPED)]


def test_a_damaged_report_is_told() -> None:
    with pytest.raises(ConfigError, match="damaged"):
        results.outcomes(b"[{")


def test_a_run_of_some_leaves_the_others(tmp_path: Path) -> None:
    before = {POD: Row(POD, PASSED, 2.0, "aaaa", "2026-01-01"), JOB: Row(JOB, FAILED, 3.0, "aaaa", "2026-01-01")}
    after = results.merge(before, [Outcome(JOB, PASSED, 1.26)], "bbbb", "2026-01-02")
    assert list(after) == [JOB, POD]
    assert after[POD] == before[POD]
    assert after[JOB] == Row(JOB, PASSED, 1.3, "bbbb", "2026-01-02")
    results.save(tmp_path / "results.tsv", after)
    assert results.load(tmp_path / "results.tsv") == after


def test_no_table_is_an_empty_one_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    assert results.load(tmp_path / "none.tsv") == {}
    file = tmp_path / "results.tsv"
    file.write_text("test\tresult\n")
    with pytest.raises(ConfigError, match="first line"):
        results.load(file)
    file.write_text("\t".join(results.COLUMNS) + "\n" + POD + "\tpassed\n")
    with pytest.raises(ConfigError, match=":2: 2 columns"):
        results.load(file)


def test_names_leave_out_comments(tmp_path: Path) -> None:
    file = tmp_path / "tests.txt"
    file.write_text(f"# facts\n{POD}\n\n{JOB}\n")
    assert results.names(file) == [POD, JOB]


def test_the_summary_counts_each_group_and_what_never_ran() -> None:
    rows = {POD: Row(POD, PASSED, 1, "a", "d")}
    assert results.summary(rows, [POD, JOB]) == "1 of 2 pass (apps 0/1, node 1/1); 1 never ran"


def test_what_passes_at_the_second_try_has_passed_and_tells_of_the_first() -> None:
    ran = [Outcome(POD, FAILED, 1, "a race"), Outcome(JOB, FAILED, 1, "why"), Outcome("other", PASSED, 2)]
    again = [Outcome(POD, PASSED, 3), Outcome(JOB, FAILED, 3, "still")]
    assert results.after_another_try(ran, again) == [
        Outcome(POD, PASSED, 3, "a race"),
        Outcome(JOB, FAILED, 1, "why"),
        Outcome("other", PASSED, 2),
    ]


def test_a_regression_is_an_expected_test_that_does_not_pass() -> None:
    ran = [Outcome(POD, FAILED, 1, "why"), Outcome(JOB, FAILED, 1, "new")]
    assert results.regressions([POD], ran) == [ran[0]]
    assert results.regressions([POD], [Outcome(POD, SKIPPED, 0, "why")])
    assert not results.regressions([POD], [Outcome(POD, PASSED, 1)])


def test_what_is_expected_grows_by_what_passes_and_never_shrinks_by_itself() -> None:
    assert results.expected_after([POD], [Outcome(POD, FAILED, 1), Outcome(JOB, PASSED, 1)]) == [JOB, POD]


def test_junit_holds_any_message() -> None:
    ran = [Outcome(POD, FAILED, 1.5, 'a <b> & "c"\x00\x1b['), Outcome(JOB, SKIPPED, 0, "no GPU")]
    suite = ElementTree.fromstring(results.junit(ran))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "1")
    job, pod = suite
    assert job.get("name") == JOB
    assert job.find("skipped") is not None
    assert pod.get("classname") == "node"
    failure = pod.find("failure")
    assert failure is not None
    assert failure.text == 'a <b> & "c"??['
