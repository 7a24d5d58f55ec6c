"""The gate as requests see it: headers, refusals, conditions, seats of watches, limits, debug pages, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.attributes import Peer, RequestInfo, StreamAnswer, UserInfo
from kijabi.apiserver.call import Handler
from kijabi.apiserver.flags import Flags
from kijabi.apiserver.flowcontrol.gate import FlowControl
from kijabi.client.transport import Request, Response
from kijabi.store.memory import MemoryStore
from tests.apiserver.world import World, configmap

BASE = "/apis/flowcontrol.apiserver.k8s.io/v1"
CMS = "/api/v1/namespaces/default/configmaps"
RULE = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}


class Believing:
    """Everybody is who the `user` header says, an administrator where it says nothing."""

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """See Authenticator."""
        name = request.headers.get("user")
        if name is None:
            return UserInfo("admin", groups=("system:masters", "system:authenticated"))
        return UserInfo(name, groups=("system:authenticated",))


@asynccontextmanager
async def serving(**flags: Any) -> AsyncIterator[World]:
    """A server that knows its users, with some flags."""
    app = App(MemoryStore(), Settings(flags=Flags(**flags)))
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches)._replace(authenticator=Believing()))
        yield World(app)
        task.cancel()


def control_of(world: World) -> FlowControl:
    gate = world.app.api.gate
    assert isinstance(gate, FlowControl)
    return gate


async def narrow(world: World, *, queues: int = 0, length: int = 1) -> None:
    """Give the user ann a level of one seat."""
    response: dict[str, Any] = {"type": "Reject"}
    if queues:
        queuing = {"queues": queues, "handSize": 1, "queueLengthLimit": length}
        response = {"type": "Queue", "queuing": queuing}
    limited = {"nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "limitResponse": response}
    level = {"metadata": {"name": "narrow"}, "spec": {"type": "Limited", "limited": limited}}
    assert (await world.post(f"{BASE}/prioritylevelconfigurations", level)).status == 201
    rules = [{"subjects": [{"kind": "User", "user": {"name": "ann"}}], "resourceRules": [RULE]}]
    spec = {"priorityLevelConfiguration": {"name": "narrow"}, "matchingPrecedence": 3, "rules": rules}
    assert (await world.post(f"{BASE}/flowschemas", {"metadata": {"name": "ann"}, "spec": spec})).status == 201
    await world.app.caches.fresh()
    control_of(world).refresh()


async def ask(world: World, user: str = "ann", url: str = CMS) -> Any:
    return await world.ask("GET", url, None, {"user": user})


async def until(true: Callable[[], object]) -> None:
    """Let others go on until something is so."""
    while not true():  # noqa: ASYNC110 (nobody tells of these)
        await asyncio.sleep(0)


class Held:
    """A handler that waits to be let go; stands for a request that is being answered."""

    def __init__(self, world: World) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()
        handler: Handler = self
        world.app.api.handlers["configmaps", ""] = handler

    async def __call__(self, call: Any) -> Response:
        self.begun.set()
        await self.go.wait()
        return Response()


async def test_answers_say_which_schema_and_level_they_were_of() -> None:
    async with serving() as world:
        answer = await ask(world, "bob")
        schema = (await world.get(f"{BASE}/flowschemas/global-default")).body
        level = (await world.get(f"{BASE}/prioritylevelconfigurations/global-default")).body
        assert answer.headers["X-Kubernetes-PF-FlowSchema-UID"] == schema["metadata"]["uid"]
        assert answer.headers["X-Kubernetes-PF-PriorityLevel-UID"] == level["metadata"]["uid"]
        missing = await ask(world, "bob", f"{CMS}/none")
        assert missing.status == 404
        assert missing.headers["X-Kubernetes-PF-FlowSchema-UID"] == schema["metadata"]["uid"]


async def test_a_level_without_queues_refuses_what_it_has_no_seat_for() -> None:
    async with serving(max_requests_inflight=200, max_mutating_requests_inflight=0) as world:
        await narrow(world)
        held = Held(world)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(world))
            await held.begun.wait()
            refused = await ask(world)
            assert (refused.status, refused.body) == (429, b"Too many requests, please try again later.\n")
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"
            assert "X-Kubernetes-PF-PriorityLevel-UID" in refused.headers
            other = tasks.create_task(ask(world, "bob"))
            held.go.set()
        assert (first.result().status, other.result().status) == (200, 200)
        assert control_of(world).figures.of("narrow", "ann").rejected == {"concurrency-limit": 1}


async def test_who_finds_no_seat_waits_in_the_queue_and_goes_on() -> None:
    async with serving(max_requests_inflight=200, max_mutating_requests_inflight=0) as world:
        await narrow(world, queues=1)
        held = Held(world)
        level = control_of(world).levels.by_name["narrow"].queues
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(world))
            await held.begun.wait()
            second = tasks.create_task(ask(world))
            await until(lambda: level.waiting)
            assert (await ask(world)).status == 429
            held.go.set()
        assert (first.result().status, second.result().status) == (200, 200)
        assert level.idle


async def test_a_request_that_waits_too_long_is_refused() -> None:
    async with serving(max_requests_inflight=200, max_mutating_requests_inflight=0) as world:
        await narrow(world, queues=1)
        held = Held(world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(world))
            await held.begun.wait()
            assert (await ask(world, url=f"{CMS}?timeout=100ms")).status == 429
            held.go.set()
        assert control_of(world).figures.of("narrow", "ann").rejected == {"time-out": 1}


async def test_a_client_that_goes_while_it_waits_gives_up_its_place() -> None:
    async with serving(max_requests_inflight=200, max_mutating_requests_inflight=0) as world:
        await narrow(world, queues=1)
        held = Held(world)
        level = control_of(world).levels.by_name["narrow"].queues
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(world))
            await held.begun.wait()
            gone = tasks.create_task(ask(world))
            await until(lambda: level.waiting)
            gone.cancel()
            await until(lambda: not level.waiting)
            follower = tasks.create_task(ask(world))
            held.go.set()
        assert follower.result().status == 200
        assert (level.cancelled, level.idle, level.seats) == (1, True, 0)


async def test_a_request_whose_client_has_gone_is_not_begun() -> None:
    async with serving() as world:
        peer = Peer()
        peer.presence.gone = True
        held = Held(world)
        await world.app.api.handle(Request(method="GET", path=CMS, headers={"user": "ann"}), peer)
        assert not held.begun.is_set()


async def test_administrators_never_wait() -> None:
    async with serving(max_requests_inflight=1, max_mutating_requests_inflight=0) as world:
        held = Held(world)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(world.ask("GET", CMS))
            level = control_of(world).levels.by_name["exempt"].queues
            await until(lambda: level.executing == 50)
            held.go.set()


async def test_a_watch_holds_seats_until_its_initial_events_are_taken() -> None:
    async with serving() as world:
        for number in range(3):
            await world.post(CMS, configmap(f"c{number}"))
        level = control_of(world).levels.by_name["global-default"].queues
        answer = await world.ask("GET", f"{CMS}?watch=1", None, {"user": "bob"})
        assert level.executing == 1
        while answer.watcher.more:
            answer.watcher.take()
        assert level.idle
        answer.watcher.close()
        left = await world.ask("GET", f"{CMS}?watch=1", None, {"user": "bob"})
        left.watcher.close()
        assert level.idle


async def nothing() -> AsyncIterator[bytes]:
    """Chunks of an answer that is not read here."""
    yield b""


@pytest.mark.parametrize(("verb", "seats"), [("list", 1), ("watch", 0)])
async def test_chunks_hold_seats_unless_they_are_a_watch_that_is_passed_on(verb: str, seats: int) -> None:
    async with serving() as world:
        control = control_of(world)
        user = UserInfo("bob", groups=("system:authenticated",))
        info = RequestInfo(verb=verb, path=CMS, is_resource=True, version="v1", resource="configmaps")

        async def work() -> StreamAnswer:
            return StreamAnswer(chunks=nothing())

        answer = await control.answer(user, info, Request(method="GET", path=CMS), Peer(), 60.0, {}, work)
        level = control.levels.by_name["global-default"].queues
        assert level.seats == seats
        await answer.chunks.aclose()  # type: ignore[attr-defined]
        assert level.idle


async def test_one_user_may_have_so_many_watches() -> None:
    async with serving(max_watches_per_user=2) as world:
        watches = [await ask(world, url=f"{CMS}?watch=1") for _ in range(2)]
        refused = await world.call("GET", f"{CMS}?watch=1", None, {"user": "ann"})
        assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
        assert "user 'ann' has 2 watches under way" in refused.message
        watches.append(await ask(world, "bob", f"{CMS}?watch=1"))
        watches.append(await world.ask("GET", f"{CMS}?watch=1"))
        watches[0].watcher.close()
        watches.append(await ask(world, url=f"{CMS}?watch=1"))
        for each in watches:
            each.watcher.close()
        assert world.app.api.watches.counts == {}


async def test_schemas_tell_whether_their_level_is_there() -> None:
    async with serving() as world:

        async def dangling(name: str, wanted: str) -> dict[str, Any]:
            while True:
                found = (await world.get(f"{BASE}/flowschemas/{name}")).body
                for each in found.get("status", {}).get("conditions", ()):
                    if each["status"] == wanted:
                        return dict(each)
                await asyncio.sleep(0)

        found = await dangling("probes", "False")
        assert found["reason"] == "Found"
        await narrow(world)
        await dangling("ann", "False")
        await world.delete(f"{BASE}/prioritylevelconfigurations/narrow")
        found = await dangling("ann", "True")
        text = 'This FlowSchema references the PriorityLevelConfiguration object named "narrow" but '
        assert (found["reason"], found["message"]) == ("NotFound", text + "there is no such object")
        assert (await ask(world)).status == 200  # by the next schema that matches


async def test_a_request_that_takes_too_long_is_told_so() -> None:
    async with serving(request_timeout=0.05) as world:
        Held(world)
        answer = await world.call("GET", CMS, None, {"user": "ann"})
        assert (answer.status, answer.reason) == (504, "Timeout")
        assert answer.message == "Timeout: request did not complete within the allotted timeout"


async def test_turned_off_reads_and_writes_have_a_limit_each() -> None:
    async with serving(
        enable_priority_and_fairness=False, max_requests_inflight=1, max_mutating_requests_inflight=1
    ) as world:
        held = Held(world)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(world))
            await held.begun.wait()
            assert (await ask(world, "bob")).status == 429
            write = tasks.create_task(world.ask("POST", CMS, configmap(), {"user": "bob"}))
            tasks.create_task(world.ask("GET", CMS))
            held.go.set()
        assert write.result().status == 200
        assert "X-Kubernetes-PF-FlowSchema-UID" not in (await ask(world, "bob", "/api/v1/pods")).headers


async def test_the_debug_pages_show_who_waits() -> None:
    async with serving(max_requests_inflight=200, max_mutating_requests_inflight=0) as world:
        await narrow(world, queues=1)
        held = Held(world)
        path = "/debug/api_priority_and_fairness"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(world))
            await held.begun.wait()
            tasks.create_task(ask(world))
            await until(lambda: control_of(world).levels.by_name["narrow"].queues.waiting)
            levels = (await world.get(f"{path}/dump_priority_levels")).raw.decode().splitlines()
            queues = (await world.get(f"{path}/dump_queues")).raw.decode().splitlines()
            plain = (await world.get(f"{path}/dump_requests")).raw.decode().splitlines()
            requests = (await world.get(f"{path}/dump_requests?includeRequestDetails=1")).raw.decode().splitlines()
            held.go.set()
        assert levels[0].split(", ")[0] == "PriorityLevelName"
        row = next(line for line in levels if line.startswith("narrow,"))
        assert [cell.strip() for cell in row.split(",")][1:6] == ["1", "false", "false", "1", "1"]
        row = next(line for line in queues if line.startswith("narrow,"))
        assert [cell.strip() for cell in row.split(",")][1:5] == ["0", "1", "1", "1"]
        waiting = next(line for line in plain if line.startswith("narrow,"))
        cells = [cell.strip() for cell in waiting.split(",")]
        assert cells[:4] == ["narrow", "ann", "0", "0"]
        assert cells[-1] == "0001-01-01T00:00:00Z"
        assert requests[0].endswith("SubResource")
        assert any("ann, " in line and "/api/v1/namespaces/default/configmaps" in line for line in requests[1:])
        listed = (await world.get("/")).body["paths"]
        assert not any("debug" in each for each in listed)


async def test_metrics_have_upstreams_names() -> None:
    async with serving() as world:
        await ask(world, "bob")
        text = (await world.get("/metrics")).raw.decode()
        pair = 'flow_schema="global-default",priority_level="global-default"'
        assert f"apiserver_flowcontrol_dispatched_requests_total{{{pair}}} 1.0" in text
        assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="global-default"} 49.0' in text
        assert f"apiserver_flowcontrol_current_executing_requests{{{pair}}} 0.0" in text
        bucket = 'flow_schema="global-default",le="1",priority_level="global-default"'
        assert f"apiserver_flowcontrol_work_estimated_seats_bucket{{{bucket}}} 1.0" in text


async def answered_before(world: World) -> list[int]:
    """How many answers an abuser with 200 connections gets while a polite user waits for one, again and again."""
    counts, over = [0], asyncio.Event()

    async def hammer() -> None:
        peer = Peer()
        while not over.is_set():
            request = Request(method="GET", path=f"{CMS}/a", headers={"user": "abuser"})
            answer = await world.app.api.handle(request, peer)
            assert isinstance(answer, Response)
            assert answer.status == 200
            counts[0] += 1
            await asyncio.sleep(0)  # on a socket, the next request comes with another look at it

    before = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(200):
            tasks.create_task(hammer())
        await until(lambda: counts[0] > 500)
        for _ in range(30):
            began = counts[0]
            polite = tasks.create_task(ask(world, "polite", f"{CMS}/a"))
            assert (await polite).status == 200
            before.append(counts[0] - began)
            await asyncio.sleep(0)
        over.set()
    return sorted(before)


async def test_one_client_in_a_loop_does_not_starve_the_others() -> None:
    async with serving(enable_priority_and_fairness=False) as world:
        await world.post(CMS, configmap())
        unfair = await answered_before(world)
    async with serving() as world:
        await world.post(CMS, configmap())
        fair = await answered_before(world)
    assert unfair[15] >= 190
    assert fair[15] <= 50
    assert fair[15] * 4 <= unfair[15]
