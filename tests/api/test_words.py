"""Values as Go writes them, changes as upstream shows them, and schedules as cron reads them."""

import pytest

from kijabi.api.batch.job_rules import count_indexes
from kijabi.api.batch.schedule import known_zone, problem
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.volume import EmptyDirVolumeSource, Volume
from kijabi.api.gotext import bad_value, difference, go_name
from kijabi.api.meta import LabelSelector, Time
from kijabi.api.quantity import Quantity

NAMES = [
    ("name", "Name"),
    ("hostIP", "HostIP"),
    ("ip", "IP"),
    ("apiVersion", "APIVersion"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("fsGroup", "FSGroup"),
    ("osImage", "OSImage"),
    ("serviceAccount", "DeprecatedServiceAccount"),
]


@pytest.mark.parametrize(("name", "wanted"), NAMES)
def test_names_of_fields(name: str, wanted: str) -> None:
    assert go_name(name) == wanted


VALUES = [
    (None, "null"),
    (True, "true"),
    (7, "7"),
    ('a"b', r'"a\"b"'),
    (("a", "b"), '["a","b"]'),
    ({"b": 1, "a": "<"}, '{"a":"\\u003c","b":1}'),
    (Time(), "null"),
    (LabelSelector(matchLabels={"a": "b"}), '{"matchLabels":{"a":"b"}}'),
    (
        Toleration(key="k", operator="Exists"),
        '{"Key":"k","Operator":"Exists","Value":"","Effect":"","TolerationSeconds":null}',
    ),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_bad_values(value: object, text: str) -> None:
    assert bad_value(value) == text


def test_changes_are_shown_line_by_line() -> None:
    old = EmptyDirVolumeSource(medium="Memory", sizeLimit=Quantity("1Gi"))
    new = EmptyDirVolumeSource(sizeLimit=Quantity("1Gi"))
    assert difference(old, old) == ""
    lines = difference(old, new).splitlines()
    assert lines[0].startswith("@@ -1,")
    assert [line for line in lines if line[0] in "+-"] == ['- "Medium": "Memory",', '+ "Medium": "",']


def test_embedded_fields_come_where_go_has_them() -> None:
    text = bad_value(Volume(name="v", emptyDir=EmptyDirVolumeSource()))
    assert text.startswith('{"Name":"v","HostPath":null,"EmptyDir":{"Medium":""')


SCHEDULES = [
    ("* * * * *", ""),
    ("*/5 0-6/2 1,15 jan-mar MON-fri", ""),
    ("@daily", ""),
    ("@every 1h30m", ""),
    ("TZ=UTC 0 3 * * *", ""),
    ("", "expected exactly 5 fields, found 0: []"),
    ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
    ("60 * * * *", "end of range (60) above maximum (59): 60"),
    ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
    ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
    ("*/0 * * * *", "step of range should be a positive number: */0"),
    ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
    ("1/2/3 * * * *", "too many slashes: 1/2/3"),
    ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
    ("@often", "unrecognized descriptor: @often"),
    ("TZ=Nowhere/Land 0 3 * * *", "provided bad location Nowhere/Land: unknown time zone Nowhere/Land"),
]


@pytest.mark.parametrize(("text", "wanted"), SCHEDULES)
def test_schedules(text: str, wanted: str) -> None:
    assert problem(text) == wanted


def test_zones() -> None:
    assert known_zone("Europe/Berlin")
    assert not known_zone("Europe/Atlantis")
    assert not known_zone("../etc/passwd")


INDEXES = [
    ("", 0),
    ("0", 1),
    ("1,3-5,7", 5),
    ("3,1", "non-increasing order, previous: 3, current: 1"),
    ("2-2", "non-increasing order, previous: 2, current: 2"),
    ("9", 'too large index: "9"'),
    ("x", 'cannot convert string to integer for index: "x"'),
    ("1-2-3", 'the fragment "1-2-3" violates the requirement that an index interval can have at most two parts'),
]


@pytest.mark.parametrize(("text", "wanted"), INDEXES)
def test_indexes_of_jobs(text: str, wanted: int | str) -> None:
    if isinstance(wanted, int):
        assert count_indexes(text, 9) == wanted
    else:
        with pytest.raises(ValueError, match=wanted):
            count_indexes(text, 9)
