"""How many watches one user may have at once.

Upstream knows no such limit: a client that leaks watches ends there with the server's memory. `server.py` asks before a
watch begins; it counts until the watch has ended.
"""

from __future__ import annotations

from kijabi.api import status
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.flowcontrol.inflight import MASTERS
from kijabi.apiserver.watch import Watcher

RETRY_SECONDS = 10


class WatchLimit:
    """Counts watches by user. most: of each; 0 for no limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: dict[str, int] = {}

    def check(self, user: UserInfo) -> None:
        """Raises TooManyRequests, which says what to do."""
        if self.most and self.counts.get(user.name, 0) >= self.most and MASTERS not in user.groups:
            raise status.too_many_requests(
                f"user {user.name!r} has {self.most} watches under way, and more than that no user may have: end those "
                "that nobody reads, share one watch of a resource among all who need it (an informer), or have the "
                "administrator raise --max-watches-per-user",
                RETRY_SECONDS,
            )

    def count(self, user: UserInfo, watcher: Watcher) -> None:
        """A watch has begun."""
        name = user.name
        self.counts[name] = self.counts.get(name, 0) + 1
        watcher.closed.append(lambda: self._ended(name))

    def _ended(self, name: str) -> None:
        left = self.counts[name] - 1
        if left:
            self.counts[name] = left
        else:
            del self.counts[name]
