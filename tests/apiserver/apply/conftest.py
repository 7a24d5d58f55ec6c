"""A server with managers who write to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.apiserver.apply.things import Managers
from tests.apiserver.world import running


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Managers]:
    async with running() as world:
        await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield Managers(world)
