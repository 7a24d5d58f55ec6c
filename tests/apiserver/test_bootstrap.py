"""What every cluster has from its first moment, and what is mended at the next start."""

from __future__ import annotations

from kijabi.store.memory import MemoryStore
from tests.apiserver.world import running

TRACKING = "/api/v1/namespaces/kube-system/configmaps/kube-apiserver-legacy-service-account-token-tracking"


async def test_the_day_since_when_old_tokens_are_followed_stays_unless_it_is_none() -> None:
    store = MemoryStore()
    async with running(store) as world:
        today = (await world.get(TRACKING)).body["data"]["since"]
        assert len(today) == 10
        await world.patch(TRACKING, {"data": {"since": "2024-02-29", "mine": "x"}})
    async with running(store) as world:
        assert (await world.get(TRACKING)).body["data"] == {"since": "2024-02-29", "mine": "x"}
        await world.patch(TRACKING, {"data": {"since": "a while ago"}})
    async with running(store) as world:
        assert (await world.get(TRACKING)).body["data"] == {"since": today, "mine": "x"}
