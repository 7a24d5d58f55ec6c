"""Which of a pod's containers is the newest."""

from __future__ import annotations

from tests.kubelet.things import info, view


def test_the_newest_is_the_last_that_was_tried_whatever_the_clock_said() -> None:
    """A clock that was set back dates the second container before the first."""
    first, second = info("c", "exited", attempt=0, ago=10), info("c", attempt=1, ago=5000)
    assert second.created_at < first.created_at
    seen = view(first, second)
    assert seen.latest("c") is second
    assert [each.attempt for each in seen.containers] == [1, 0]
