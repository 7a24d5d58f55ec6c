"""The embedded engine passes the contract, survives what kills it and refuses what it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from kijabi.store.embedded import EmbeddedStore
from kijabi.store.interface import Store
from kijabi.store.suite import StoreSuite
from kijabi.store.timeline import Retention


class TestEmbeddedStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "store"

    async def open(self, retention: Retention | None = None, max_backlog: int = 10_000) -> Store:
        return EmbeddedStore.open(self.path, retention, max_backlog=max_backlog)
