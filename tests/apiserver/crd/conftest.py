"""The server that the tests of this folder share the making of."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.apiserver.world import World, running


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running() as found:
        yield found
