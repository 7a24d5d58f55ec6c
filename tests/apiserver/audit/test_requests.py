"""Requests and what the audit log says of them: a whole server, its log file, and a webhook that receives."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from kijabi.apiserver import flags
from kijabi.apiserver.app import Settings
from kijabi.apiserver.attributes import Peer, StreamAnswer, UserInfo
from kijabi.apiserver.audit import context, record
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.client.transport import Request
from tests.apiserver.world import MERGE, World, configmap, pod, running

MAPS = "/api/v1/namespaces/default/configmaps"
EVERYTHING = "rules:\n- level: RequestResponse\n"


class Audited:
    """A world, and what its log says."""

    def __init__(self, world: World, log: Path) -> None:
        self.world = world
        self.log = log

    def events(self, audit_id: str = "") -> list[dict[str, Any]]:
        found = [msgspec.json.decode(line) for line in self.log.read_bytes().splitlines()]
        return [each for each in found if audit_id in ("", each["auditID"])]

    async def ask(self, method: str, url: str, body: Any = None, **headers: str) -> list[dict[str, Any]]:
        """The events of one request, without the times."""
        sent = {"audit-id": "one", **{name.replace("_", "-"): value for name, value in headers.items()}}
        before = len(self.events("one"))
        await self.world.ask(method, url, body, sent)
        return self.events("one")[before:]


@asynccontextmanager
async def audited(folder: Path, policy: str = EVERYTHING, *arguments: str) -> AsyncIterator[Audited]:
    (folder / "policy.yaml").write_text(f"apiVersion: audit.k8s.io/v1\nkind: Policy\n{policy}")
    log = folder / "audit.log"
    given = flags.parse([f"audit-policy-file={folder / 'policy.yaml'}", f"audit-log-path={log}", *arguments])
    async with running(settings=Settings(flags=given)) as world:
        yield Audited(world, log)


async def test_a_creation(tmp_path: Path) -> None:
    async with audited(tmp_path) as log:
        received, complete = await log.ask("POST", f"{MAPS}?x=%20", configmap("a"), user_agent="kubectl")
    assert received["stage"] == "RequestReceived"
    assert "responseStatus" not in received
    assert received["stageTimestamp"] == received["requestReceivedTimestamp"]
    assert complete["stage"] == "ResponseComplete"
    assert complete["level"] == "RequestResponse"
    assert complete["verb"] == "create"
    assert complete["requestURI"] == f"{MAPS}?x=+"
    assert complete["user"]["username"] == "kubernetes-admin"
    assert complete["userAgent"] == "kubectl"
    assert complete["objectRef"] == {
        "resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"
    }  # fmt: skip
    assert complete["responseStatus"] == {"metadata": {}, "code": 201}
    assert complete["requestObject"]["data"] == {"k": "v"}
    assert complete["requestObject"]["kind"] == "ConfigMap"
    assert complete["responseObject"]["metadata"]["uid"]
    # A slow machine adds how long each part took.
    told = {name: text for name, text in complete["annotations"].items() if ".latency.k8s.io/" not in name}
    assert told == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}


async def test_the_body_has_its_defaults_and_answers_may_lose_their_managers(tmp_path: Path) -> None:
    async with audited(tmp_path, "omitManagedFields: true\n" + EVERYTHING) as log:
        body = pod()
        body["spec"]["serviceAccountName"] = "none"
        _, refused = await log.ask("POST", "/api/v1/namespaces/default/pods", body)
        await log.world.post(MAPS, configmap("a"))
        _, listed = await log.ask("GET", MAPS)
        _, table = await log.ask("GET", MAPS, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        _, packed = await log.ask("GET", MAPS, accept="application/vnd.kubernetes.protobuf")
        _, text = await log.ask("GET", f"{MAPS}/a", accept="application/yaml")
    assert refused["requestObject"]["spec"]["restartPolicy"] == "Always"
    assert refused["responseStatus"]["reason"] == refused["responseObject"]["reason"] == "Forbidden"
    assert refused["responseStatus"]["code"] == 403
    named = [each["metadata"]["name"] for each in listed["responseObject"]["items"]]
    assert "a" in named
    assert "managedFields" not in msgspec.json.encode(listed).decode()
    assert table["responseObject"]["kind"] == "Table"
    assert packed["responseObject"]["kind"] == "ConfigMapList"
    assert [each["metadata"]["name"] for each in packed["responseObject"]["items"]] == named
    assert text["responseObject"]["metadata"]["name"] == "a"


async def test_slow_requests_tell_where_the_time_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with audited(tmp_path) as log:
        _, quick = await log.ask("POST", MAPS, configmap("a"))
        monkeypatch.setattr(record, "SLOW", 0.0)
        _, slow = await log.ask("POST", MAPS, configmap("b"))
    assert len(quick["annotations"]) == 2
    layers = {key.removeprefix("apiserver.latency.k8s.io/") for key in slow["annotations"]}
    assert {"authentication", "authorization", "etcd", "total"} <= layers


async def test_patches_and_deletions(tmp_path: Path) -> None:
    apply = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: w}\n"
    async with audited(tmp_path) as log:
        await log.world.post(MAPS, configmap("a"))
        _, merged = await log.ask("PATCH", f"{MAPS}/a", {"data": {"k": None}}, **MERGE)
        kind = "application/apply-patch+yaml"
        _, applied = await log.ask("PATCH", f"{MAPS}/a?fieldManager=m&force=true", apply, content_type=kind)
        _, broken = await log.ask("PATCH", f"{MAPS}/a", b'{"data"', **MERGE)
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        _, gone = await log.ask("DELETE", f"{MAPS}/a", options)
        _, missing = await log.ask("GET", f"{MAPS}/a")
    assert merged["requestObject"] == {"data": {"k": None}}
    assert applied["requestObject"]["data"] == {"k": "w"}
    assert "requestObject" not in broken
    assert broken["responseStatus"]["message"] == "invalid JSON patch"
    assert gone["requestObject"]["gracePeriodSeconds"] == 0
    assert gone["responseStatus"]["status"] == "Success"
    assert gone["responseStatus"]["code"] == 200
    assert missing["responseStatus"]["reason"] == "NotFound"
    assert missing["responseStatus"]["details"] == {"name": "a", "kind": "configmaps"}


async def test_a_watch_ends_later_than_it_begins(tmp_path: Path) -> None:
    async with audited(tmp_path) as log:
        watching = await log.world.watch(f"{MAPS}?watch=1", {"audit-id": "w"})
        assert [each["stage"] for each in log.events("w")] == ["RequestReceived", "ResponseStarted"]
        watching.answer.watcher.close()
    last = log.events("w")[-1]
    assert last["stage"] == "ResponseComplete"
    assert "responseObject" not in last
    assert last["responseStatus"]["code"] == 200


async def test_a_large_list_is_recorded_when_it_has_gone_out(tmp_path: Path) -> None:
    async with audited(tmp_path) as log:
        for number in range(6):
            body = {"metadata": {"name": f"large-{number}"}, "data": {"k": "x" * 60_000}}
            await log.world.post(MAPS, body)
        answer = await log.world.ask("GET", MAPS, None, {"audit-id": "l"})
        assert isinstance(answer, StreamAnswer)
        assert [each["stage"] for each in log.events("l")] == ["RequestReceived"]
        sent = b"".join([chunk async for chunk in answer.chunks])
    document = msgspec.json.decode(sent if sent.startswith(b"{") else gzip.decompress(sent))
    complete = log.events("l")[-1]
    assert complete["stage"] == "ResponseComplete"
    assert complete["responseObject"] == document


async def test_levels_and_stages(tmp_path: Path) -> None:
    policy = """omitStages: [RequestReceived]
rules:
- {level: None, verbs: [get]}
- {level: Metadata, verbs: [create]}
- {level: Request, verbs: [update]}
"""
    async with audited(tmp_path, policy) as log:
        assert await log.ask("GET", "/version") == []
        (created,) = await log.ask("POST", MAPS, configmap("a", metadata={"uid": ""}))
        (updated,) = await log.ask("PUT", f"{MAPS}/a", configmap("a"))
        assert await log.ask("DELETE", f"{MAPS}/a") == []
        levels = log.world.app.metrics.audit.levels
        page = (await log.world.get("/metrics")).raw.decode()
    assert not created.keys() & {"requestObject", "responseObject"}
    assert created["objectRef"]["name"] == "a"
    assert "requestObject" in updated
    assert "responseObject" not in updated
    assert levels["None"] >= 2
    assert levels["Metadata"] == levels["Request"] == 1
    assert 'apiserver_audit_level_total{level="Metadata"} 1.0' in page
    assert "apiserver_audit_event_total 2.0" in page


async def test_where_a_request_came_from(tmp_path: Path) -> None:
    async with audited(tmp_path) as log:
        headers = {"x-forwarded-for": "1.2.3.4, what, ::1", "x-real-ip": "5.6.7.8", "user-agent": "x" * 2000}
        request = Request(method="GET", path="/version", headers={**headers, "audit-id": "one"}, target="/version?")
        await log.world.app.api.handle(request, Peer(address="10.0.0.1"))
        (_, event) = log.events("one")
    assert event["sourceIPs"] == ["1.2.3.4", "::1", "5.6.7.8", "10.0.0.1"]
    assert event["userAgent"] == "x" * 1024 + "...TRUNCATED"
    assert event["requestURI"] == "/version?"
    assert "objectRef" not in event
    assert event["verb"] == "get"


class Someone:
    """An authenticator that does as it is told."""

    def __init__(self, act: Callable[[], UserInfo | None]) -> None:
        self._act = act

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        return self._act()


async def test_who_acts_as_whom(tmp_path: Path) -> None:
    jane, joe = UserInfo("jane"), UserInfo("joe", extra={"a": ("b",)})

    def act() -> UserInfo:
        context.identified(jane)
        context.impersonated(joe, "impersonate:user-info")
        return joe

    async with audited(tmp_path, "rules:\n- {level: Metadata, users: [jane]}\n") as log:
        log.world.app.api.authenticator = Someone(act)
        received, complete = await log.ask("GET", "/version")
    assert received["user"] == complete["user"] == {"username": "jane"}
    assert "impersonatedUser" not in received
    assert complete["impersonatedUser"] == {"username": "joe", "extra": {"a": ["b"]}}
    assert complete["authenticationMetadata"] == {"impersonationConstraint": "impersonate:user-info"}


async def test_who_is_not_let_in_is_recorded_without_a_name(tmp_path: Path) -> None:
    def refuse() -> UserInfo:
        raise Unauthorized("Unauthorized")

    async with audited(tmp_path) as log:
        log.world.app.api.authenticator = Someone(refuse)
        (event,) = await log.ask("GET", MAPS)
    assert event["stage"] == "ResponseStarted"
    assert event["user"] == {}
    assert event["responseStatus"]["code"] == 401


async def test_a_panic_is_a_stage_of_its_own(tmp_path: Path) -> None:
    async with audited(tmp_path) as log:

        async def fall(*_: Any) -> None:
            raise ZeroDivisionError("ouch")

        log.world.app.api.plain = fall
        _, event = await log.ask("GET", "/version")
    assert event["stage"] == "Panic"
    assert event["responseStatus"]["message"] == "APIServer panic'd: ouch"


async def test_a_strict_log_that_cannot_be_written_stops_requests(tmp_path: Path) -> None:
    async with audited(tmp_path, EVERYTHING, "audit-log-mode=blocking-strict") as log:
        world = log.world
        assert (await world.post(MAPS, configmap("a"))).status == 201
        delivery = world.app.auditor._sinks[0]._delivery  # type: ignore[union-attr]
        delivery._output._descriptor = 10_000  # such a descriptor there is not
        answer = await world.post(MAPS, configmap("b"))
        assert answer.status == 500
        assert answer.raw == f'Internal Server Error: "{MAPS}": failed to store audit event\n'.encode()
        delivery._output._descriptor = -1
        assert (await world.get(f"{MAPS}/b")).status == 404
        assert world.app.metrics.audit.rejected == 1


async def test_events_reach_a_webhook_in_batches(tmp_path: Path) -> None:
    lists: list[dict[str, Any]] = []
    came = asyncio.Event()
    refusals = [500]

    async def receive(request: web.Request) -> web.Response:
        if refusals:
            return web.Response(status=refusals.pop())
        assert request.path == "/audit"
        assert request.content_type == "application/json"
        lists.append(msgspec.json.decode(await request.read()))
        came.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/audit", receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = tmp_path / "webhook.yaml"
    config.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "http://127.0.0.1:{runner.addresses[0][1]}/audit"}}}}]
users: [{{name: a, user: {{}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
current-context: a
""")
    more = (
        f"audit-webhook-config-file={config}", "audit-webhook-batch-max-size=2", "audit-webhook-initial-backoff=1ms"
    )  # fmt: skip
    try:
        async with audited(tmp_path, EVERYTHING, *more) as log:
            await log.ask("POST", MAPS, configmap("a"))
            async with asyncio.timeout(20):
                await came.wait()
        assert lists[0]["kind"] == "EventList"
        sent = [each for found in lists for each in found["items"] if each["auditID"] == "one"]
        logged = log.events("one")
        assert [{"kind": "Event", "apiVersion": "audit.k8s.io/v1", **each} for each in sent] == logged
    finally:
        await runner.cleanup()


async def test_a_bad_policy_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rules\[0\].level"):
        async with audited(tmp_path, "rules: [{}]\n"):
            raise AssertionError("it started")
