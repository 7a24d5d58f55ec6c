"""Back-off grows, is bounded, jitters, and replays."""

from __future__ import annotations

from kijabi.base.backoff import Backoff, delay
from kijabi.testing import simloop


def test_it_doubles_up_to_the_most_and_starts_anew() -> None:
    backoff = Backoff(1.0, 10.0, jitter=0.0)
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1


def test_it_survives_any_number_of_failures() -> None:
    assert delay(10**9, first=0.1, most=30, jitter=0.0) == 30
    assert delay(0, first=0.1, most=30, jitter=0.0) == 0.1


def test_jitter_is_bounded_and_replays() -> None:
    async def main() -> list[float]:
        return [delay(1, first=1.0, most=9.0, jitter=0.5) for _ in range(100)]

    waits = simloop.run(main(), 4)
    assert all(1.0 <= wait <= 1.5 for wait in waits)
    assert len(set(waits)) > 90
    assert waits == simloop.run(main(), 4)
