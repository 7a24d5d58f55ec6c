"""The audit log of a server behind TLS: real users, a log file that a restart goes on with, and a webhook."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from kijabi.apiserver import pki
from tests.apiserver.authn.test_secured import JANE, cluster
from tests.apiserver.hookserver import Authority

ADMIN = pki.Identity("admin", ("system:masters",))
NAMESPACES = "/api/v1/namespaces"
POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/vers*"]
- level: RequestResponse
  verbs: [create]
- level: Metadata
"""


class Receiver:
    """A webhook behind TLS that keeps the events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.came = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        found = msgspec.json.decode(await request.read())
        assert found["kind"] == "EventList"
        assert request.query["timeout"] == "30s"
        self.events += found["items"]
        self.came.set()
        return web.Response()

    async def until(self, count: int) -> None:
        """Wait for so many events."""
        async with asyncio.timeout(20):
            while len(self.events) < count:
                self.came.clear()
                await self.came.wait()


async def receiver(folder: Path) -> tuple[Receiver, web.AppRunner, Path]:
    """One that listens, and the kubeconfig that leads to it."""
    authority, made = Authority(), Receiver()
    app = web.Application()
    app.router.add_post("/k8s/audit", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    context: ssl.SSLContext = authority.server(folder, "localhost")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    (folder / "ca.pem").write_bytes(authority.pem)
    config = folder / "webhook.yaml"
    server = f"https://localhost:{runner.addresses[0][1]}/k8s/audit"
    config.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: a, cluster: {{server: "{server}", certificate-authority: ca.pem}}}}]
users: [{{name: a, user: {{token: secret}}}}]
contexts: [{{name: a, context: {{cluster: a, user: a}}}}]
current-context: a
""")
    return made, runner, config


async def test_a_day_of_an_audited_cluster(tmp_path: Path) -> None:
    made, runner, config = await receiver(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    log = tmp_path / "logs" / "audit.log"
    arguments = (
        f"audit-policy-file={tmp_path / 'policy.yaml'}", f"audit-log-path={log}",
        f"audit-webhook-config-file={config}", "audit-webhook-batch-max-wait=10ms",
    )  # fmt: skip
    try:
        async with cluster(tmp_path / "pki", *arguments) as there:
            assert (await there.ask("/version", ADMIN))[0] == 200
            named = {"metadata": {"name": "shop"}}
            assert (await there.ask(NAMESPACES, ADMIN, method="POST", body=named))[0] == 201
            assert (await there.ask(NAMESPACES, JANE))[0] == 403
            acting = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}
            assert (await there.ask(f"{NAMESPACES}/shop", ADMIN, headers=acting))[0] == 200
            token = {"Authorization": "Bearer wrong"}
            assert (await there.ask(NAMESPACES, headers=token))[0] == 401
            await made.until(4)
    finally:
        await runner.cleanup()
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [{"kind": "Event", "apiVersion": "audit.k8s.io/v1", **each} for each in made.events] == lines
    created, refused, acted, unknown = lines
    assert created["user"]["username"] == "admin"
    assert created["sourceIPs"] == ["127.0.0.1"]
    assert created["responseObject"]["metadata"]["name"] == created["objectRef"]["name"] == "shop"
    assert refused["user"]["groups"] == ["dev", "system:authenticated"]
    assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert refused["responseStatus"]["code"] == 403
    assert acted["user"]["username"] == "admin"
    assert acted["impersonatedUser"]["username"] == "jane"
    assert acted["requestURI"] == f"{NAMESPACES}/shop"
    assert unknown["user"] == {}
    assert unknown["stage"] == "ResponseStarted"
    assert unknown["responseStatus"]["reason"] == "Unauthorized"
