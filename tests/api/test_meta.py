"""Times on the wire, and what else metadata does by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api import codec
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.meta import Condition, ManagedFieldsEntry, MicroTime, ObjectMeta, Time
from kijabi.api.struct import NO_JSON
from kijabi.base.errors import BadRequest

MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


def test_times_are_kept_in_utc_to_the_second() -> None:
    assert Time.parse("2026-01-02T03:04:05+02:00") == "2026-01-02T01:04:05Z"
    assert Time.parse("2026-01-02T03:04:05.999999999Z") == "2026-01-02T03:04:05Z"
    assert MicroTime.parse("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05.000000Z"
    east = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=3)))
    assert Time.of(east).datetime() == east


@pytest.mark.parametrize(
    "text", ["", "x", "2026-01-02", "2026-13-02T03:04:05Z", "20260102T030405Z", "2026-01-02T03:04:05"]
)
def test_other_texts_are_refused_as_go_refuses_them(text: str) -> None:
    with pytest.raises(ValueError, match="parsing time"):
        Time.parse(text)


def test_the_zero_time_is_one_false_and_unwritten() -> None:
    assert Time() is Time("") is Time.parse(None)
    assert not Time()
    assert Time().datetime() == datetime(1, 1, 1, tzinfo=UTC)
    assert b"lastTransitionTime" not in codec.encode(Condition(type="Ready", lastTransitionTime=Time.parse(None)))


@given(MOMENTS, MOMENTS)
def test_text_order_is_the_order_of_time(left: datetime, right: datetime) -> None:
    assert (MicroTime.of(left) < MicroTime.of(right)) == (left < right)
    assert MicroTime.of(left).datetime() == left
    assert Time.parse(str(Time.of(left))) == Time.of(left)


def test_managed_fields_lie_raw_and_are_read_on_demand() -> None:
    entry = ManagedFieldsEntry(manager="kubectl", operation="Apply", time=Time("2026-01-02T03:04:05Z"))
    meta = ObjectMeta(name="a", managedFields=codec.write_managed([entry]))
    again = codec.decode(ConfigMap, codec.encode(ConfigMap(metadata=meta))).metadata
    assert codec.read_managed(again) == (entry,)
    assert codec.write_managed([]) is NO_JSON
    assert codec.read_managed(ObjectMeta()) == ()
    broken = codec.decode(ConfigMap, b'{"metadata":{"managedFields":5}}').metadata
    with pytest.raises(BadRequest, match="managedFields"):
        codec.read_managed(broken)
