"""The memory engine passes the contract."""

from __future__ import annotations

from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore
from kijabi.store.suite import StoreSuite
from kijabi.store.timeline import Retention


class TestMemoryStore(StoreSuite):
    async def open(self, retention: Retention | None = None, max_backlog: int = 10_000) -> Store:
        return MemoryStore(retention, max_backlog=max_backlog)
