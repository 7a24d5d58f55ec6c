"""When those who are refused shall come again: later the more there are of them.

`gate.py` tells of each refusal and asks for the seconds that go into Retry-After (k8s.io/apiserver
`pkg/util/flowcontrol/dropped_requests_tracker.go`). Pure: it is told the time.
"""

from __future__ import annotations

from collections import deque

LONGEST = 32


class Retry:
    """Of one priority level."""

    def __init__(self) -> None:
        self.seconds = 1
        self._history: deque[tuple[int, int]] = deque()  # (second, refusals in it), the present one apart
        self._second = 0
        self._count = 0
        self._raised = 0  # the second in which `seconds` last grew

    def refused(self, now: float) -> int:
        """One more; when it shall come again."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return self.seconds
        self._history.append((self._second, self._count))
        oldest = second - min(2 * self.seconds, LONGEST)
        while self._history and self._history[0][0] < oldest:
            self._history.popleft()
        self._second, self._count = second, 1
        self._adapt(second)
        return self.seconds

    def _adapt(self, now: int) -> None:
        lately = sum(count for second, count in self._history if now - self.seconds <= second < now)
        if now - self._raised >= self.seconds and lately >= 3 * self.seconds:
            self.seconds = min(2 * self.seconds, LONGEST)
            self._raised = now
        elif lately < self.seconds and self.seconds > 1:
            self.seconds -= 1
