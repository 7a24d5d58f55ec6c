"""The webhook client by itself: Services, certificates, connections that die, bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kijabi.api.admissionregistration.webhookclient import ServiceReference, WebhookClientConfig
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import (
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
)
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.webhooks import pool
from kijabi.apiserver.webhooks.client import WebhookClient, WebhookError
from kijabi.apiserver.webhooks.services import Unresolved, resolve
from kijabi.testing.objects import Objects
from tests.apiserver.hookserver import HookServer, hook_server


def service(*ports: ServicePort, **spec: Any) -> Service:
    return Service(metadata=ObjectMeta(name="hook", namespace="ns"), spec=ServiceSpec(ports=ports, **spec))


def piece(name: str, port: int, *endpoints: tuple[str, bool | None], port_name: str = "") -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(name=name, namespace="ns", labels={SERVICE_NAME: "hook"}),
        addressType="IPv6" if ":" in endpoints[0][0] else "IPv4",
        ports=(EndpointPort(name=port_name, port=port),),
        endpoints=tuple(
            Endpoint(addresses=(address,), conditions=EndpointConditions(ready=ready)) for address, ready in endpoints
        ),
    )


def test_services() -> None:
    objects = Objects()
    with pytest.raises(Unresolved, match='service "hook" not found'):
        resolve(objects, "ns", "hook")
    objects.put(service(ServicePort(name="tls", port=443), ServicePort(name="other", port=80)))
    with pytest.raises(Unresolved, match='no service port 8080 found for service "hook"'):
        resolve(objects, "ns", "hook", 8080)
    with pytest.raises(Unresolved, match='no endpoints available for service "hook"'):
        resolve(objects, "ns", "hook")
    objects.put(piece("a", 8443, ("10.0.0.1", False), ("10.0.0.2", True), ("10.0.0.3", None), port_name="tls"))
    objects.put(piece("b", 8080, ("10.0.0.9", True), port_name="other"))
    assert {resolve(objects, "ns", "hook") for _ in range(50)} == {("10.0.0.2", 8443), ("10.0.0.3", 8443)}
    objects.put(piece("c", 8443, ("fd00::1", True), port_name="tls"))
    objects.put(service(ServicePort(name="tls", port=443), ipFamilies=("IPv6", "IPv4")))
    assert resolve(objects, "ns", "hook") == ("fd00::1", 8443)
    objects.put(service(type="ExternalName", externalName="example.com"))
    with pytest.raises(Unresolved, match='unsupported service type "ExternalName"'):
        resolve(objects, "ns", "hook")


async def test_a_service_has_the_name_of_its_certificate(tmp_path: Path) -> None:
    async with hook_server(tmp_path, "hook.ns.svc") as server:
        server.answers["/ok/deep"] = lambda document: {"said": document["asked"]}
        objects = Objects(service(ServicePort(port=443)), piece("a", server.port, ("127.0.0.1", True)))
        client = WebhookClient(objects)
        reference = ServiceReference(namespace="ns", name="hook", path="/ok/deep")
        config = WebhookClientConfig(service=reference, caBundle=server.authority.pem)
        assert await client.post(config, {"asked": 1}, 5) == {"said": 1}
        wrong = WebhookClientConfig(url=f"https://localhost:{server.port}/ok/deep", caBundle=server.authority.pem)
        with pytest.raises(WebhookError, match="x509: certificate is not valid for localhost"):
            await client.post(wrong, {}, 5)
        client.close()


async def test_nonsense_configurations() -> None:
    client = WebhookClient(Objects())
    for config, text in (
        (WebhookClientConfig(), "webhook configuration must have either service or URL"),
        (WebhookClientConfig(url="https://a:b:c/"), "Unparsable URL"),
        (WebhookClientConfig(url="https://a/", caBundle=b"no PEM"), "unable to parse bytes as PEM block"),
    ):
        with pytest.raises(WebhookError, match=text) as problem:
            await client.post(config, {}, 1)
        assert not problem.value.called
    with pytest.raises(WebhookError, match=r'Post "https://127.0.0.1:1/\?timeout=1s": dial tcp 127.0.0.1:1: connect: '):
        await client.post(WebhookClientConfig(url="https://127.0.0.1:1/"), {}, 1)


async def test_a_connection_that_died_while_idle_is_replaced(tmp_path: Path) -> None:
    async with hook_server(tmp_path) as server:
        client, config = _pair(server)
        server.answers["/ok"] = lambda document: {"n": document["n"]}
        assert await client.post(config, {"n": 1}, 5) == {"n": 1}
        for connection in tuple(server.connections):
            connection.abort()
        assert await client.post(config, {"n": 2}, 5) == {"n": 2}
        server.answers["/ok"] = lambda _: web.Response(body=b"{}", headers={"Connection": "close"})
        assert await client.post(config, {"n": 3}, 5) == {}
        assert await client.post(config, {"n": 4}, 5) == {}
        client.close()


async def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_CALLS", 2)
    async with hook_server(tmp_path) as server:
        client, config = _pair(server)
        running = most = 0

        async def slow(_: dict[str, Any]) -> dict[str, Any]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.02)
            running -= 1
            return {}

        server.answers["/ok"] = slow
        await asyncio.gather(*(client.post(config, {}, 5) for _ in range(6)))
        assert most == 2
        server.answers["/ok"] = lambda _: web.Response(body=b"[" * 100_000)
        with pytest.raises(WebhookError, match="couldn't get version/kind; json parse error"):
            await client.post(config, {}, 5)
        server.answers["/ok"] = lambda _: {"long": "x" * 1000}
        with pytest.raises(WebhookError, match="the answer is longer than 100 bytes"):
            await client.post(config, {}, 5, limit=100)
        client.close()


def _pair(server: HookServer) -> tuple[WebhookClient, WebhookClientConfig]:
    url = f"https://localhost:{server.port}/ok"
    return WebhookClient(Objects()), WebhookClientConfig(url=url, caBundle=server.authority.pem)
