"""Logs, exec, port-forward and proxy against a kubelet of our own making, over real TLS."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import catalog
from kijabi.api.core.container import Container, ContainerPort
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import DaemonEndpoint, NodeAddress, NodeDaemonEndpoints
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.podstatus import PodIP
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import Endpoint, EndpointPort, EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver import pki, requestinfo
from kijabi.apiserver.admission.chain import Chain
from kijabi.apiserver.attributes import Decision, Peer, RequestInfo, StreamAnswer, UpgradeAnswer, UserInfo
from kijabi.apiserver.authz.union import AlwaysAllow
from kijabi.apiserver.call import Call, Handler
from kijabi.apiserver.subresources.backend import Address, ByteReader, ByteWriter, dial
from kijabi.apiserver.subresources.kubelets import Kubelets
from kijabi.apiserver.subresources.log import Logs
from kijabi.apiserver.subresources.proxy import Proxies
from kijabi.apiserver.subresources.streams import Streams
from kijabi.base.errors import ApiError, BadRequest, ConnectionLost, Forbidden, Invalid, NotFound
from kijabi.client.transport import Request, Response
from kijabi.testing.objects import Objects

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


class Client:
    """The client's end of an upgraded connection, in memory."""

    def __init__(self, *sends: bytes, closes: bool = False) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.received = bytearray()
        self.closed = asyncio.Event()
        for data in (*sends, *((b"",) if closes else ())):
            self.inbox.put_nowait(data)

    async def read(self, limit: int = 65536) -> bytes:
        return await self.inbox.get()

    async def write(self, data: bytes) -> None:
        if self.closed.is_set():
            raise ConnectionLost("closed")
        self.received += data

    def close(self) -> None:
        self.closed.set()


class Kubelet:
    """A server that answers every request as `serve` says, and keeps the heads that it got."""

    def __init__(self, directory: Path) -> None:
        self.pki = pki.Pki(directory)
        self.heads: list[str] = []
        self.serve: Serve | None = None
        self.port = 0

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        assert self.serve is not None
        await self.serve(reader, writer, head)
        writer.close()

    async def start(self) -> asyncio.Server:
        pair = self.pki.kubelet_serving("n1", ["192.0.2.1"])
        context = pki.server_context(pair, self.pki.ca.pair.cert)
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def answers(self, raw: bytes) -> None:
        """Answer with these bytes."""

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
            writer.write(raw)
            await writer.drain()

        self.serve = serve

    def node(self) -> Node:
        node = Node(metadata=ObjectMeta(name="n1"))
        node.status.addresses = (
            NodeAddress(type="Hostname", address="n1"),
            NodeAddress(type="InternalIP", address="127.0.0.1"),
        )
        node.status.daemonEndpoints = NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=self.port))
        return node


def pod(name: str = "p", node: str = "n1", *containers: str) -> Pod:
    names = containers or ("c",)
    spec = PodSpec(nodeName=node, containers=tuple(Container(name=each) for each in names))
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", uid=name), spec=spec)


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[Kubelet]:
    made = Kubelet(tmp_path)
    server = await made.start()
    yield made
    server.close()


def kubelets(kubelet: Kubelet, *objects: Any) -> Kubelets:
    context = pki.client_context(kubelet.pki.ca.pair.cert, kubelet.pki.kubelet_client())
    return Kubelets(Objects(kubelet.node(), *objects), lambda: context)


async def call(
    handler: Handler, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes = b""
) -> Any:
    from urllib.parse import parse_qsl, unquote

    path, _, query = url.partition("?")
    request = Request(
        method=method,
        path=unquote(path),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        headers=headers or {},
        body=body,
    )
    info = requestinfo.parse(request)
    resource = catalog.by_plural(info.group, info.version, info.resource)
    assert resource is not None
    return await handler(
        Call(
            request=request,
            peer=Peer(address="192.0.2.9"),
            user=UserInfo("jane"),
            info=info,
            resource=resource,
            admission=Chain(()),
        )
    )


async def whole(answer: StreamAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks])


POD = "/api/v1/namespaces/ns/pods/p"
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "SPDY/3.1",
    "x-stream-protocol-version": "v5.channel.k8s.io\nv4.channel.k8s.io",
}


async def test_log(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")
    logs = Logs(kubelets(kubelet, pod()))
    answer = await call(logs.get, f"{POD}/log?follow=true&tailLines=3&timestamps=1&sinceTime=2024-01-02T03:04:05Z")
    assert isinstance(answer, StreamAnswer)
    assert answer.headers == {"Content-Type": "text/plain"}
    assert await whole(answer) == b"hello world"
    assert kubelet.heads[0].startswith(
        "GET /containerLogs/ns/p/c?follow=true&timestamps=true&tailLines=3"
        "&sinceTime=2024-01-02T03%3A04%3A05Z&stream=All "
    )


async def test_log_is_followed_as_it_comes(kubelet: Kubelet) -> None:
    go_on = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\none\n")
        await writer.drain()
        await go_on.wait()
        writer.write(b"two\n")

    kubelet.serve = serve
    answer = await call(Logs(kubelets(kubelet, pod())).get, f"{POD}/log?follow=1")
    chunks = answer.chunks
    assert await anext(chunks) == b"one\n"
    go_on.set()
    assert await anext(chunks) == b"two\n"
    await chunks.aclose()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("stream=Both", 'stream: Unsupported value: "Both": supported values: "All", "Stderr", "Stdout"'),
    ],
)
async def test_bad_log_options(kubelet: Kubelet, query: str, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await call(Logs(kubelets(kubelet, pod())).get, f"{POD}/log?{query}")
    assert refused.value.message == f'PodLogOptions "p" is invalid: {text}'


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "a container name must be specified for pod p, choose one of: [a b]"),
        ("?container=x", "container x is not valid for pod p"),
        ("?tailLines=many", 'strconv.ParseInt: parsing "many": invalid syntax'),
        ("?tailLines=9999999999999999999999", 'strconv.ParseInt: parsing "9999999999999999999999": value out of range'),
    ],
)
async def test_bad_log_requests(kubelet: Kubelet, query: str, text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await call(Logs(kubelets(kubelet, pod("p", "n1", "a", "b"))).get, f"{POD}/log{query}")
    assert refused.value.message == text


async def test_log_refused_by_the_kubelet(kubelet: Kubelet) -> None:
    logs = Logs(kubelets(kubelet, pod()))
    text = b'container "c" in pod "p" is waiting to start: ContainerCreating'
    kubelet.answers(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    with pytest.raises(BadRequest, match="is waiting to start: ContainerCreating"):
        await call(logs.get, f"{POD}/log")
    with pytest.raises(NotFound):
        await call(logs.get, "/api/v1/namespaces/ns/pods/gone/log")


async def test_log_of_a_pod_without_node(kubelet: Kubelet) -> None:
    assert await whole(await call(Logs(kubelets(kubelet, pod(node=""))).get, f"{POD}/log")) == b""


async def test_log_over_websocket(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": "base64.binary.k8s.io",
    }
    answer = await call(Logs(kubelets(kubelet, pod())).get, f"{POD}/log", headers=headers)
    assert isinstance(answer, UpgradeAnswer)
    assert answer.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    client = Client()
    await answer.serve(client)
    assert bytes(client.received) == b"\x81\x08" + base64.b64encode(b"hello") + b"\x88\x02\x03\xe8"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20000,
    ],
)
async def test_broken_kubelet(kubelet: Kubelet, raw: bytes) -> None:
    kubelet.answers(raw)
    with pytest.raises(ApiError) as failed:
        await call(Logs(kubelets(kubelet, pod())).get, f"{POD}/log")
    assert failed.value.code == 500


async def test_unreachable_and_foreign_kubelets(kubelet: Kubelet, tmp_path: Path) -> None:
    away = kubelet.node()
    away.status.daemonEndpoints = NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=1))
    found = kubelets(kubelet, pod(), away)
    with pytest.raises(ApiError, match="connect: connection refused"):
        await call(Logs(found).get, f"{POD}/log")
    other = pki.Pki(tmp_path / "other")
    context = pki.client_context(other.ca.pair.cert)
    kubelet.answers(b"HTTP/1.1 200 OK\r\n\r\nsecret")
    strict = Kubelets(Objects(kubelet.node(), pod()), lambda: context)
    with pytest.raises(ApiError) as failed:
        await call(Logs(strict).get, f"{POD}/log")
    assert failed.value.code == 500
    answer = await call(Logs(strict).get, f"{POD}/log?insecureSkipTLSVerifyBackend=true")
    assert await whole(answer) == b"secret"


async def test_exec_is_spliced(kubelet: Kubelet) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\nfirst ")
        while data := await reader.read(100):
            writer.write(data.upper())
            if data.endswith(b"."):
                break

    kubelet.serve = serve
    streams = Streams(kubelets(kubelet, pod()), AlwaysAllow())
    url = f"{POD}/exec?command=echo&command=a%20b&stdin=true&stdout=1&stderr=false&tty=true"
    answer = await call(streams.exec, url, "POST", dict(UPGRADE))
    assert isinstance(answer, UpgradeAnswer)
    assert answer.headers["Upgrade"] == "SPDY/3.1"
    client = Client(b"hello ", b"world.")
    await answer.serve(client)
    assert bytes(client.received) == b"first HELLO WORLD."
    assert client.closed.is_set()
    head = kubelet.heads[0]
    assert head.startswith("POST /exec/ns/p/c?input=1&output=1&tty=1&command=echo&command=a+b HTTP/1.1\r\n")
    assert "x-stream-protocol-version: v5.channel.k8s.io\r\nx-stream-protocol-version: v4.channel.k8s.io\r\n" in head


async def test_client_that_leaves_ends_the_kubelets_side(kubelet: Kubelet) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n")
        while await reader.read(100):
            pass
        ended.set()

    kubelet.serve = serve
    answer = await call(
        Streams(kubelets(kubelet, pod()), AlwaysAllow()).attach, f"{POD}/attach?stdout=1", "POST", dict(UPGRADE)
    )
    await answer.serve(Client(b"x", closes=True))
    async with asyncio.timeout(5):
        await ended.wait()


async def test_exec_refusals(kubelet: Kubelet) -> None:
    streams = Streams(kubelets(kubelet, pod(), pod("q", "")), AlwaysAllow())
    with pytest.raises(BadRequest, match="Upgrade request required"):
        await call(streams.exec, f"{POD}/exec?command=ls", "POST")
    with pytest.raises(BadRequest, match="pod q does not have a host assigned"):
        await call(streams.exec, "/api/v1/namespaces/ns/pods/q/exec", "POST", dict(UPGRADE))
    kubelet.answers(b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone")
    answer = await call(streams.exec, f"{POD}/exec?command=ls", "POST", dict(UPGRADE))
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (404, b"gone")


class MayOnlyGet:
    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return Decision(info.verb == "get", "no")


async def test_websocket_needs_create(kubelet: Kubelet) -> None:
    streams = Streams(kubelets(kubelet, pod()), MayOnlyGet())
    for handler, sub in ((streams.exec, "exec"), (streams.attach, "attach"), (streams.portforward, "portforward")):
        with pytest.raises(Forbidden):
            await call(handler, f"{POD}/{sub}", headers=dict(UPGRADE))


async def test_portforward(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    streams = Streams(kubelets(kubelet, pod()), AlwaysAllow())
    headers = {**UPGRADE, "upgrade": "websocket", "sec-websocket-protocol": "v4.channel.k8s.io"}
    answer = await call(streams.portforward, f"{POD}/portforward?ports=80&ports=81,82", headers=headers)
    assert isinstance(answer, UpgradeAnswer)
    await answer.serve(Client())
    assert kubelet.heads[0].startswith("GET /portForward/ns/p?port=80%2C81%2C82 HTTP/1.1\r\n")
    with pytest.raises(BadRequest):
        await call(streams.portforward, f"{POD}/portforward?ports=http", headers=dict(headers))


def redirected(kubelet: Kubelet, seen: list[Address]) -> Callable[[Address], Awaitable[tuple[ByteReader, ByteWriter]]]:
    """Pods have addresses that this machine has not: send whatever goes to them to the kubelet."""
    context = pki.client_context(kubelet.pki.ca.pair.cert)

    async def open_(address: Address) -> tuple[ByteReader, ByteWriter]:
        seen.append(address)
        return await dial(Address("127.0.0.1", kubelet.port, context, "n1"))

    return open_


def proxies(kubelet: Kubelet, seen: list[Address]) -> Proxies:
    target = pod()
    target.status.podIP, target.status.podIPs = "10.244.0.7", (PodIP(ip="10.244.0.7"),)
    target.spec.containers[0].ports = (ContainerPort(containerPort=8080),)
    local = pod("local")
    local.status.podIP = "127.0.0.1"
    service = Service(
        metadata=ObjectMeta(name="s", namespace="ns"), spec=ServiceSpec(ports=(ServicePort(name="web", port=80),))
    )
    ref = ObjectReference(kind="Pod", namespace="ns", name="p")
    pieces = EndpointSlice(
        metadata=ObjectMeta(name="s-1", namespace="ns", labels={"kubernetes.io/service-name": "s"}),
        ports=(EndpointPort(name="web", port=8080),),
        endpoints=(Endpoint(addresses=("10.244.0.7",), targetRef=ref), Endpoint(addresses=("169.254.169.254",))),
    )
    reader = Objects(kubelet.node(), target, local, service, pieces)
    return Proxies(Kubelets(reader, lambda: None, redirected(kubelet, seen)))


async def test_pod_proxy(kubelet: Kubelet) -> None:
    page = (
        b'<html><a class=x href="/about?a=1&amp;b=2">x</a>'
        b"<img src='http://10.244.0.7:8080/i'>"
        b'<a href="rel">y</a></html>'
    )
    kubelet.answers(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
    )
    seen: list[Address] = []
    proxy = proxies(kubelet, seen)
    base = f"{POD}/proxy"
    answer = await call(
        proxy.pod, f"{base}/in%20dex?q=1", "POST", {"host": "x:6443", "te": "trailers", "accept": "a\nb"}, b"body"
    )
    assert isinstance(answer, Response)
    assert answer.body == (
        b'<html><a class=x href="/api/v1/namespaces/ns/pods/p/proxy/about?a=1&amp;b=2">x</a>'
        b'<img src="/api/v1/namespaces/ns/pods/p/proxy/i"><a href="rel">y</a></html>'
    )
    assert (seen[0].host, seen[0].port) == ("10.244.0.7", 8080)
    head = kubelet.heads[0]
    assert head.startswith("POST /in%20dex?q=1 HTTP/1.1\r\n")
    assert "X-Forwarded-For: 192.0.2.9\r\n" in head
    assert "accept: a\r\naccept: b\r\n" in head
    assert "te:" not in head
    redirect = await call(proxy.pod, f"{base}?a=b")
    assert (redirect.status, redirect.headers["Location"]) == (301, f"{base}/?a=b")


async def test_redirects_lead_back(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")
    answer = await call(proxies(kubelet, []).pod, f"{POD}/proxy/x")
    assert answer.headers["Location"] == f"{POD}/proxy/login"


async def test_service_proxy(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    seen: list[Address] = []
    proxy = proxies(kubelet, seen)
    base = "/api/v1/namespaces/ns/services"
    for name in ("s:web", "s:80", "http:s:web"):
        assert await whole(await call(proxy.service, f"{base}/{name}/proxy/")) == b"ok"
    assert {(each.host, each.port) for each in seen} == {("10.244.0.7", 8080)}
    with pytest.raises(ApiError, match='no service port 81 found for service "s"'):
        await call(proxy.service, f"{base}/s:81/proxy/")
    with pytest.raises(ApiError, match='no endpoints available for service "s"'):
        await call(proxy.service, f"{base}/s:other/proxy/")
    with pytest.raises(BadRequest, match='invalid service request "ftp:s:web"'):
        await call(proxy.service, f"{base}/ftp:s:web/proxy/")


async def test_proxy_is_no_way_to_the_machine_itself(kubelet: Kubelet) -> None:
    proxy = proxies(kubelet, [])
    with pytest.raises(BadRequest, match="address not allowed"):
        await call(proxy.pod, "/api/v1/namespaces/ns/pods/local/proxy/")
    with pytest.raises(BadRequest, match="address not allowed"):
        await call(proxy.node, "/api/v1/nodes/n1:22/proxy/")


async def test_node_proxy(kubelet: Kubelet) -> None:
    kubelet.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    proxy = proxies(kubelet, [])
    assert await whole(await call(proxy.node, "/api/v1/nodes/n1/proxy/healthz")) == b"ok"
    assert await whole(await call(proxy.node, f"/api/v1/nodes/n1:{kubelet.port}/proxy/healthz")) == b"ok"
    assert kubelet.heads[0].startswith("GET /healthz HTTP/1.1\r\n")
