"""What the status of a job may say, whoever writes it."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.batch.job import Job
from kijabi.api.batch.job_status_rules import validate_status

STARTED = {"startTime": "2026-01-01T00:00:00Z"}
ENDED = {**STARTED, "completionTime": "2026-01-01T00:01:00Z"}


def on(*kinds: str) -> dict[str, Any]:
    """Conditions that are true; `!Kind` for one that is false."""
    found = [{"type": kind.lstrip("!"), "status": "False" if kind[0] == "!" else "True"} for kind in kinds]
    return {"conditions": found}


def job(status: dict[str, Any], **spec: Any) -> Job:
    return codec.from_builtins(Job, {"spec": {"template": {}, **spec}, "status": status})


def said(old: dict[str, Any], new: dict[str, Any], **spec: Any) -> list[str]:
    return [f"{error.field}: {error.message}" for error in validate_status(job(new, **spec), job(old, **spec))]


MET = on("SuccessCriteriaMet")
DONE = {**ENDED, **on("SuccessCriteriaMet", "Complete")}
LOST = {**STARTED, **on("FailureTarget", "Failed")}


@pytest.mark.parametrize(
    ("old", "new", "spec"),
    [
        ({}, STARTED, {}),
        ({**STARTED, **MET}, DONE, {}),
        ({**STARTED, **on("FailureTarget")}, LOST, {}),
        (on("Complete"), {**on("Complete"), "active": 0}, {}),
        ({**STARTED, **on("Suspended")}, on("!Suspended"), {}),
        (STARTED, {}, {"suspend": True}),
        ({"succeeded": 3}, {"succeeded": 2}, {"completionMode": "Indexed", "completions": 2, "parallelism": 2}),
        ({}, on("SuccessCriteriaMet"), {}),
        ({}, {**on("FailureTarget", "Failed")}, {"suspend": True, "completions": 0}),
        ({"completedIndexes": "0-9"}, {"completedIndexes": "0-9", "failed": 1}, {"completions": 2}),
    ],
)
def test_what_may_be_said(old: dict[str, Any], new: dict[str, Any], spec: dict[str, Any]) -> None:
    assert said(old, new, **spec) == []


@pytest.mark.parametrize(
    ("old", "new", "spec", "text"),
    [
        ({}, {"failed": -1}, {}, "must be greater than or equal to 0"),
        ({}, {"uncountedTerminatedPods": {"failed": [""]}}, {}, "must not be empty"),
        ({}, {"uncountedTerminatedPods": {"failed": ["a"], "succeeded": ["a"]}}, {}, "Duplicate value"),
        (
            {},
            {**DONE, **on("SuccessCriteriaMet", "Complete", "Failed")},
            {},
            "cannot set Complete=True and Failed=true",
        ),
        ({}, {**DONE, **on("Complete")}, {}, "without the SuccessCriteriaMet=true condition"),
        ({}, {**STARTED, **on("Failed")}, {}, "without the FailureTarget=true condition"),
        ({}, on("SuccessCriteriaMet", "FailureTarget"), {}, "cannot set SuccessCriteriaMet=True and FailureTarget"),
        ({}, ENDED, {}, "cannot set completionTime when there is no Complete=True condition"),
        ({}, {**DONE, "completionTime": None}, {}, "completionTime is required for Complete jobs"),
        ({}, {**DONE, "completionTime": "2025-01-01T00:00:00Z"}, {}, "must be equal to or after `startTime`"),
        ({}, {**LOST, "active": 1}, {}, "active>0 is invalid for finished job"),
        ({}, {**LOST, "terminating": 1}, {}, "terminating>0 is invalid for finished job"),
        ({}, {**LOST, "uncountedTerminatedPods": {"failed": ["a"]}}, {}, "must be empty for finished job"),
        ({}, on("FailureTarget", "Failed"), {}, "startTime is required for finished job"),
        ({}, {"completedIndexes": "0"}, {"completions": 2}, "when non-indexed completion mode"),
        ({}, {"completedIndexes": "3"}, {"completions": 2}, "error parsing completedIndexes: too large index"),
        ({}, {"failedIndexes": ""}, {}, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"),
        (
            {"completedIndexes": "0-3"},
            {"completedIndexes": "0-3", "failedIndexes": "5,2"},
            {"completions": 9, "completionMode": "Indexed", "backoffLimitPerIndex": 1},
            "error parsing failedIndexes: non-increasing order",
        ),
        (
            {"completedIndexes": "0-3"},
            {"completedIndexes": "0-3", "failedIndexes": "2,5"},
            {"completions": 9, "completionMode": "Indexed", "backoffLimitPerIndex": 1},
            "failedIndexes and completedIndexes overlap at index: 2",
        ),
        ({}, {"ready": 2, "active": 1}, {}, "cannot set more ready pods than active"),
        (LOST, STARTED, {}, "cannot disable the terminal Failed=True condition"),
        (MET, {}, {}, "cannot disable the SuccessCriteriaMet=True condition"),
        (on("Complete"), on("Complete", "SuccessCriteriaMet"), {}, "for Job already has Complete=true conditions"),
        ({"failed": 2}, {"failed": 1}, {}, "cannot decrease the failed counter"),
        ({"succeeded": 2}, {"succeeded": 1}, {}, "cannot decrease the succeeded counter"),
        (DONE, {**DONE, "completionTime": "2026-01-01T00:02:00Z"}, {}, "field is immutable"),
        (STARTED, {}, {}, "field is immutable for unsuspended job once set"),
    ],
)
def test_what_may_not(old: dict[str, Any], new: dict[str, Any], spec: dict[str, Any], text: str) -> None:
    assert any(text in error for error in said(old, new, **spec)), said(old, new, **spec)
