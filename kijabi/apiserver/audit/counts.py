"""What the audit log counts of itself, for /metrics (`exposition.py`)."""

from __future__ import annotations


class Counts:
    """Counters by upstream's names (k8s.io/apiserver `pkg/audit/metrics.go`)."""

    def __init__(self) -> None:
        self.events = 0  # handed to the sinks
        self.rejected = 0  # requests refused because they could not be recorded
        self.levels: dict[str, int] = {}  # requests by the policy's level
        self.errors: dict[str, int] = {}  # events that were not recorded, by the part that failed

    def level(self, name: str) -> None:
        """The policy has decided about a request."""
        self.levels[name] = self.levels.get(name, 0) + 1

    def failed(self, part: str, events: int) -> None:
        """So many events were lost."""
        self.errors[part] = self.errors.get(part, 0) + events
