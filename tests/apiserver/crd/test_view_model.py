"""A law of views: a list, and the events since then, are the next list, whatever a webhook does."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.webhooks.client import WebhookError
from kijabi.store.memory import MemoryStore
from tests.apiserver.crd.definitions import CRDS, GROUP, definition, install, version
from tests.apiserver.crd.test_conversion import ONE, TWO, V1, V2, convert, host
from tests.apiserver.world import MERGE, World

NAME = f"hosts.{GROUP}"
STEPS = ("create", "change", "delete", "storage", "list", "watch", "fail")


class Hook:
    """A webhook in this process: takes its time, and fails when it is told to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.failures = 0

    async def post(self, config: Any, document: Any, timeout: float, *, limit: int = 0) -> dict[str, Any]:
        for _ in range(self.random.randrange(6)):
            await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise WebhookError("told to fail")
        return convert(msgspec.json.decode(document))

    def close(self) -> None:
        return


class Follower:
    """A client that lists and watches version 2, as informers do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.known: dict[str, dict[str, Any]] = {}
        self.watch: Any = None

    async def list(self) -> None:
        answer = await self.world.get(TWO)
        if answer.status != 200:
            return
        self.known = {each["metadata"]["name"]: each for each in answer.body["items"]}
        url = f"{TWO}?watch=true&resourceVersion={answer.version}"
        started = await self.world.ask("GET", url)
        self.watch = started if started.status == 200 else None

    async def follow(self) -> bool:
        """Take all events; whether the watch goes on."""
        if self.watch is None:
            return False
        data = b""
        while self.watch.watcher.more:
            data += self.watch.watcher.take()
        for event in map(msgspec.json.decode, data.splitlines()):
            name = event["object"]["metadata"].get("name", "")
            assert event["type"] != "ERROR", event
            before = self.known.get(name)
            if event["type"] == "DELETED":
                assert self.known.pop(name)
            else:
                assert (before is None) == (event["type"] == "ADDED")
                self.known[name] = event["object"]
        return not self.watch.watcher.ended


def hosts(storage: str) -> dict[str, Any]:
    webhook = {"clientConfig": {"url": "https://hook.example.com/"}, "conversionReviewVersions": ["v1"]}
    return definition(
        "hosts",
        "Host",
        version("v1", storage=storage == "v1", schema=V1),
        version("v2", storage=storage == "v2", schema=V2),
        conversion={"strategy": "Webhook", "webhook": webhook},
    )


async def _play(steps: list[tuple[str, int]], seed: int) -> None:
    app = App(MemoryStore(), Settings())
    hook = app.webhooks = Hook(seed)
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches))
        world = World(app)
        await install(world, hosts("v1"))
        follower = Follower(world)
        for step, number in steps:
            await _step(world, hook, follower, step, number)
        hook.failures = 0
        final = await world.get(TWO)
        assert final.status == 200, final
        if await follower.follow():
            assert follower.known == {each["metadata"]["name"]: each for each in final.body["items"]}
        one = {each["metadata"]["name"]: each["hostPort"] for each in (await world.get(ONE)).body["items"]}
        assert one == {each["metadata"]["name"]: f"{each['host']}:{each['port']}" for each in final.body["items"]}
        task.cancel()


async def _step(world: World, hook: Hook, follower: Follower, step: str, number: int) -> None:
    name = f"n{number % 4}"
    match step:
        case "create":
            await world.post(ONE, host(name, hostPort=f"h{number}:1"))
        case "change":
            await world.patch(f"{TWO}/{name}", {"host": f"c{number}"}, MERGE)
        case "delete":
            await world.delete(f"{(ONE, TWO)[number % 2]}/{name}")
        case "storage":
            crd = (await world.get(f"{CRDS}/{NAME}")).body
            crd["spec"]["versions"] = hosts(("v1", "v2")[number % 2])["spec"]["versions"]
            await world.put(f"{CRDS}/{NAME}", crd)
        case "list":
            await follower.list()
        case "watch":
            if not await follower.follow():
                await follower.list()
        case _:
            hook.failures = number % 3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 99)), min_size=5, max_size=40), st.integers(0, 99))
def test_lists_and_events_agree(steps: list[tuple[str, int]], seed: int) -> None:
    asyncio.run(_play(steps, seed))
