"""What `kubectl get` shows: every kind's columns and cells, against those of Kubernetes."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from kijabi.api import codec
from kijabi.api.catalog import RESOURCES
from kijabi.api.columns import NONE, UNKNOWN, first_few, human_duration, label_text, selector_text, since
from kijabi.api.meta import LabelSelector, LabelSelectorRequirement, Time
from kijabi.api.resource import Resource
from kijabi.base import clock

GOLDEN = Path(__file__).parents[1] / "golden/get"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still."""
    monkeypatch.setattr(clock, "wall", NOW.timestamp)


def timed(value: Any) -> Any:
    """`@-30m` as a time."""
    if isinstance(value, dict):
        return {key: timed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [timed(item) for item in value]
    if isinstance(value, str) and value.startswith("@-"):
        ago = {UNITS[unit]: int(number) for number, unit in re.findall(r"(\d+)([dhms])", value)}
        return (NOW - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return value


def aligned(rows: list[list[str]]) -> str:
    """Rows as kubectl prints them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def shown(cell: Any) -> str:
    """A cell as kubectl prints it."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def table(resource: Resource, objects: Iterable[Any]) -> str:
    """The table of objects, headed by the kind, with wide columns."""
    rows = [[column.name.upper() for column in resource.columns]]
    for value in objects:
        obj = codec.from_builtins(resource.type, value)
        resource.defaults(obj)
        rows.append([shown(column.cell(obj)) for column in resource.columns])
    return f"# {resource.api_version} {resource.kind}\n{aligned(rows)}"


def test_tables_are_those_of_kubernetes() -> None:
    objects = timed(yaml.safe_load((GOLDEN / "objects.yaml").read_text()))
    by_kind = {(each.api_version, each.kind): each for each in RESOURCES}
    found = [
        table(by_kind[kind], group) for kind, group in groupby(objects, lambda obj: (obj["apiVersion"], obj["kind"]))
    ]
    assert "\n".join(found) == (GOLDEN / "tables.txt").read_text()


def test_wide_columns_are_told_apart() -> None:
    pods = next(each for each in RESOURCES if each.qualified == "pods")
    assert [column.name for column in pods.columns if not column.priority] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]


DURATIONS = [
    (-5, "<invalid>"),
    (-1, "0s"),
    (0, "0s"),
    (119, "119s"),
    (120, "2m"),
    (200, "3m20s"),
    (599, "9m59s"),
    (600, "10m"),
    (179 * 60, "179m"),
    (3 * 3600, "3h"),
    (4 * 3600 + 61, "4h1m"),
    (8 * 3600 + 61, "8h"),
    (47 * 3600, "47h"),
    (2 * 86400 + 3 * 3600, "2d3h"),
    (8 * 86400 + 3600, "8d"),
    (700 * 86400, "700d"),
    (730 * 86400, "2y"),
    (731 * 86400, "2y1d"),
    (9 * 365 * 86400 + 86400, "9y"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def test_times() -> None:
    assert since(None) == since(Time()) == UNKNOWN
    assert since(Time("2026-07-01T11:55:00Z")) == "5m"


def test_labels_and_selectors() -> None:
    assert label_text({}) == NONE
    assert label_text({"b": "1", "a": ""}) == "a=,b=1"
    assert selector_text(None) == selector_text(LabelSelector()) == NONE
    terms = (LabelSelectorRequirement("x", "NotIn", ("b", "a")), LabelSelectorRequirement("y", "Exists"))
    assert selector_text(LabelSelector(matchLabels={"k": "v"}, matchExpressions=terms)) == "k=v,x notin (a,b),y"
    assert selector_text(LabelSelector(matchExpressions=(LabelSelectorRequirement("x", "Huh"),))) == "<error>"


def test_long_lists_are_cut() -> None:
    assert first_few(()) == ""
    assert first_few(("a", "b", "c")) == "a,b,c"
    assert first_few(("a", "b", "c", "d", "e")) == "a,b,c + 2 more..."
