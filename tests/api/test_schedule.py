"""When the times of a crontab line come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.batch.schedule import parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("* * * * *", "", "2026-03-01T10:00:00", "2026-03-01T10:01:00"),
        ("*/15 * * * *", "", "2026-03-01T10:46:10", "2026-03-01T11:00:00"),
        ("30 6-16/4 * * 1-5", "", "2026-02-27T14:30:00", "2026-03-02T06:30:00"),
        ("0 0 1 * *", "", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "", "2026-03-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 31 2 *", "", "2026-03-01T00:00:00", None),
        ("0 12 1 * MON", "", "2026-03-02T13:00:00", "2026-03-09T12:00:00"),  # the first, or a Monday
        ("0 12 * * SUN", "", "2026-03-02T13:00:00", "2026-03-08T12:00:00"),
        ("@hourly", "", "2026-03-01T10:00:00", "2026-03-01T11:00:00"),
        ("@weekly", "", "2026-03-02T00:00:00", "2026-03-08T00:00:00"),
        ("@every 1h30m", "", "2026-03-01T10:00:01", "2026-03-01T11:30:01"),
        ("0 9 * * *", "Asia/Seoul", "2026-03-01T00:00:00", "2026-03-02T00:00:00"),
        ("TZ=Asia/Seoul 0 9 * * *", "", "2026-02-28T23:00:00", "2026-03-01T00:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-30T00:30:00"),  # 2:30 is skipped on the 29th
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),  # and comes twice
        ("0 0 * * *", "America/Havana", "2026-03-07T12:00:00", "2026-03-09T04:00:00"),  # a day without midnight
    ],
)
def test_the_next_time(schedule: str, zone: str, after: str, expected: str | None) -> None:
    assert parse(schedule, zone).next(at(after)) == (at(expected) if expected else None)


@given(
    st.sampled_from(["*/7 * * * *", "5,50 */3 * * *", "0 4 1,15 * 2", "59 23 * 2,6 *"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_the_first_minute_that_fits(schedule: str, moment: datetime) -> None:
    after = moment.replace(tzinfo=UTC)
    found = parse(schedule).next(after)
    assert found is not None
    assert found > after
    assert parse(schedule).next(found - timedelta(minutes=1)) == found
    assert parse(schedule).next(after + (found - after) / 2) == found
