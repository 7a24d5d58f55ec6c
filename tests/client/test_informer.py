"""Informers converge on what the server has, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.base.errors import NotFound
from kijabi.client import cache
from kijabi.client.cache import Cache, MutatedCache, key_of
from kijabi.client.client import Client
from kijabi.client.informer import Empty, Following, Informer, Informers
from kijabi.testing import simloop
from kijabi.testing.faults import Faults, FaultyTransport

from .fakeserver import FakeServer
from .test_client import config


@asynccontextmanager
async def running(*informers: Any) -> AsyncIterator[None]:
    """Informers at work for the length of the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informer.run()) for informer in informers]
        yield
        for task in tasks:
            task.cancel()


def colour(obj: ConfigMap) -> Iterable[str]:
    return (obj.data["colour"],) if obj.data and "colour" in obj.data else ()


@pytest.mark.parametrize("streams", [True, False])
def test_it_follows(streams: bool) -> None:
    async def main() -> None:
        server = FakeServer(streams=streams)
        client = Client(server)
        for number in range(3):
            await client.create(config(f"c{number}", colour="red"))
        informer = Informer(client, ConfigMap, indexes={"colour": colour})
        told: list[tuple[str, str]] = []
        informer.add_handler(
            lambda old, new: told.append((key_of(new or old), "+" if not old else "-" if not new else "~"))
        )
        assert not informer.synced
        async with running(informer):
            await informer.wait_synced()
            assert sorted(told) == [("default/c0", "+"), ("default/c1", "+"), ("default/c2", "+")]
            told.clear()
            await client.create(config("c3", colour="blue"))
            await client.patch(ConfigMap, "c0", {"data": {"colour": "blue"}}, namespace="default")
            await client.delete(ConfigMap, "c1", "default")
            await asyncio.sleep(1)
            assert told == [("default/c3", "+"), ("default/c0", "~"), ("default/c1", "-")]
            assert {item.metadata.name for item in informer.index("colour", "blue")} == {"c0", "c3"}
            assert {item.metadata.name for item in informer.index("colour", "red")} == {"c2"}
            assert set(informer.index_values("colour")) == {"blue", "red"}
            assert informer.get("default/c1") is None
            assert len(informer) == len(informer.items()) == 3
            assert informer.version == "7"
            late: list[str] = []
            informer.add_handler(lambda old, new: late.append(key_of(new or old)))
            assert sorted(late) == ["default/c0", "default/c2", "default/c3"]

    simloop.run(main())


def test_it_pages_where_the_server_cannot_stream() -> None:
    async def main() -> None:
        server = FakeServer(streams=False)
        client = Client(server)
        for number in range(1201):
            await client.create(config(f"c{number:04}"))
        server.requests.clear()
        informer = Informer(client, ConfigMap)
        async with running(informer):
            await informer.wait_synced()
        assert len(informer) == 1201
        lists = [query for method, _, query in server.requests if method == "GET" and "watch" not in query]
        assert [query.get("limit") for query in lists] == ["500"] * 3

    simloop.run(main())


def test_it_relists_when_history_is_gone_and_tells_what_it_missed() -> None:
    async def main() -> None:
        server = FakeServer()
        network = FaultyTransport(server, Faults(lost_request=0, lost_reply=0, cut=0, expired=0, expired_event=0))
        direct, client = Client(server), Client(network)
        for name in ("stays", "changes", "goes"):
            await direct.create(config(name))
        informer = Informer(client, ConfigMap)
        told: list[tuple[str | None, str | None]] = []
        async with running(informer):
            await informer.wait_synced()
            network.partition()
            await asyncio.sleep(1)
            await direct.patch(ConfigMap, "changes", {"data": {"x": "1"}}, namespace="default")
            await direct.delete(ConfigMap, "goes", "default")
            await direct.create(config("comes"))
            await server.store.compact(server.store.revision)
            kept = informer.get("default/stays")
            informer.add_handler(lambda old, new: told.append((old and key_of(old), new and key_of(new))))
            told.clear()
            network.reconnect()
            await asyncio.sleep(60)
            assert sorted(told, key=str) == [
                ("default/changes", "default/changes"),
                ("default/goes", None),
                (None, "default/comes"),
            ]
            assert informer.get("default/stays") is kept

    simloop.run(main())


def test_a_transform_decides_what_is_kept() -> None:
    def shorten(obj: ConfigMap) -> ConfigMap:
        obj.data = {}
        return obj

    async def main() -> None:
        client = Client(FakeServer())
        await client.create(config("a", big="x" * 1000))
        informer = Informer(client, ConfigMap, transform=shorten)
        async with running(informer):
            await informer.wait_synced()
            await client.create(config("b", big="x" * 1000))
            await asyncio.sleep(1)
            assert [item.data for item in informer.items()] == [{}, {}]

    simloop.run(main())


def test_a_selection_sees_objects_leave_it() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        informer = Informer(client, ConfigMap, namespace="default", fields="metadata.name=a")
        async with running(informer):
            await informer.wait_synced()
            await client.create(config("a"))
            await client.create(config("b"))
            await client.create(config("a", "elsewhere"))
            await asyncio.sleep(1)
            assert [key_of(item) for item in informer.items()] == ["default/a"]

    simloop.run(main())


def test_an_idle_informer_reconnects_without_listing() -> None:
    async def main() -> None:
        server = FakeServer()
        client = Client(server)
        await client.create(config("a"))
        informer = Informer(client, ConfigMap)
        async with running(informer):
            await informer.wait_synced()
            for number in range(20):
                await asyncio.sleep(170)
                await client.create(config(f"b{number}"))
            await asyncio.sleep(1)
            assert len(informer) == 21
        initial = [query for _, _, query in server.requests if "sendInitialEvents" in query]
        assert len(initial) == 1
        assert sum("watch" in query for _, _, query in server.requests) > 5
        assert server.watches == 0

    simloop.run(main())


def test_a_server_that_hangs_up_at_once_is_not_hammered() -> None:
    async def main() -> None:
        server = FakeServer()
        client = Client(server)
        informer = Informer(client, ConfigMap)
        async with running(informer):
            await informer.wait_synced()
            network = FaultyTransport(server, Faults(latency=(0, 0), lost_request=1.0, loss_seconds=(0.0, 0.0)))
            client.transport = network
            await asyncio.sleep(3600)
            assert network.injected["lost_request"] < 200

    simloop.run(main())


def test_shared_informers() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        await client.create(config("a", colour="red"))
        informers = Informers(client)
        configs = informers.of(ConfigMap)
        assert informers.of(ConfigMap, indexes={"colour": colour}) is configs
        assert informers.of(ConfigMap, indexes={"colour": colour}) is configs
        assert informers.of(ConfigMap, namespace="other") is not configs
        with pytest.raises(ValueError, match="another index called colour"):
            informers.of(ConfigMap, indexes={"colour": lambda obj: ()})
        async with running(informers):
            await informers.wait_synced()
            assert len(configs.index("colour", "red")) == 1
            later = informers.of(Pod)
            await later.wait_synced()
        assert len(list(informers)) == 3

    simloop.run(main())


def test_writing_to_a_cached_object_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "DETECT_MUTATIONS", True)
    held: Cache[ConfigMap] = Cache({})
    held.put("default/a", config("a"))
    held.verify()
    obj = held.objects["default/a"]
    obj.data = {"x": "1"}
    with pytest.raises(MutatedCache, match="ConfigMap default/a"):
        held.verify()
    with pytest.raises(MutatedCache):
        held.put("default/a", config("a"))


def test_indexes_follow_changes() -> None:
    def words(obj: ConfigMap) -> Iterable[str]:
        return (obj.data or {}).values()

    held: Cache[ConfigMap] = Cache({"words": words})
    held.put("a", config("a", x="one", y="two"))
    held.put("a", config("a", x="two", y="three"))
    held.put("b", config("b", x="two"))
    assert [len(held.index("words", word)) for word in ("one", "two", "three")] == [0, 2, 1]
    assert next(iter(held.index("words", "three"))).data == {"x": "two", "y": "three"}
    held.remove("a")
    held.remove("never there")
    assert set(held.index_values("words")) == {"two"}
    with pytest.raises(KeyError):
        held.index("unknown", "x")


@pytest.mark.parametrize("seed", range(8))
def test_it_converges_after_any_faults(seed: int) -> None:
    """List plus events is the present: after faults end, the cache and what handlers made of events agree
    with it.
    """

    async def main() -> tuple[list[tuple[str, str]], float]:
        loop: Any = asyncio.get_running_loop()
        server = FakeServer(streams=bool(seed % 3))
        network = FaultyTransport(server, Faults(cut=0.1, expired=0.2, expired_event=0.05))
        direct = Client(server)
        informer = Informer(Client(network), ConfigMap, indexes={"colour": colour})
        mirror: dict[str, ConfigMap] = {}

        def handle(old: ConfigMap | None, new: ConfigMap | None) -> None:
            if old is not None and new is not None:
                assert mirror[key_of(old)] is old
            if new is None:
                assert old is not None
                del mirror[key_of(old)]
            else:
                assert (key_of(new) in mirror) == (old is not None)
                mirror[key_of(new)] = new

        informer.add_handler(handle)
        async with running(informer):
            for step in range(200):
                name = f"c{loop.rng.randrange(8)}"
                try:
                    if loop.rng.random() < 0.4:
                        await direct.delete(ConfigMap, name, "default")
                    else:
                        data = {"step": str(step), "colour": loop.rng.choice(["red", "blue"])}
                        await direct.patch(ConfigMap, name, {"data": data}, namespace="default")
                except NotFound:
                    await direct.create(config(name))
                if loop.rng.random() < 0.1:
                    await server.store.compact(server.store.revision)
                if loop.rng.random() < 0.05:
                    network.partition()
                await asyncio.sleep(loop.rng.random())
                network.reconnect()
            network.heal()
            await asyncio.sleep(120)
            there = {key_of(item): item for item in (await direct.list(ConfigMap)).items}
            cached = {key_of(item): item for item in informer.items()}
            assert cached == there == mirror
            for shade in ("red", "blue"):
                expected = {key for key, item in there.items() if shade in colour(item)}
                assert {key_of(item) for item in informer.index("colour", shade)} == expected
            assert isinstance(informer.state, Following | Empty)
        assert network.injected
        return sorted((key, item.metadata.resourceVersion) for key, item in cached.items()), loop.now

    assert simloop.run(main(), seed) == simloop.run(main(), seed)
