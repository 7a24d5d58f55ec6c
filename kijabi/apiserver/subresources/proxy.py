"""pods/proxy, services/proxy and nodes/proxy: HTTP through the API server to what runs in the cluster.

The name is `[scheme:]name[:port]`; what follows `proxy` is the path there. Bodies pass through as they come, an upgrade
is spliced (`splice.py`), links in HTML and redirects are made to lead back through the proxy (`rewrite.py`). Rules and
texts: k8s.io/apimachinery `pkg/util/proxy`, k8s.io/kubernetes `pkg/registry/core/{pod,service,node}`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from typing import NamedTuple
from urllib.parse import quote, urlencode

from kijabi.api.core.pod import Pod
from kijabi.api.core.podoptions import NodeProxyOptions, PodProxyOptions, ServiceProxyOptions
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, Endpoint, EndpointSlice
from kijabi.api.gotext import quote as go_quote
from kijabi.api.status import bad_request, internal, not_found, service_unavailable
from kijabi.apiserver.attributes import Answer, StreamAnswer
from kijabi.apiserver.call import Call
from kijabi.apiserver.subresources.backend import HOP_HEADERS, Address, Exchange, error_text, exchange
from kijabi.apiserver.subresources.kubelets import Kubelets, insecure
from kijabi.apiserver.subresources.rewrite import MAX_HTML, Links
from kijabi.apiserver.subresources.splice import upgraded
from kijabi.apiserver.subresources.streams import is_upgrade, passed
from kijabi.base import rand
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.transport import Response

_CORS = frozenset(f"access-control-allow-{each}" for each in ("credentials", "headers", "methods", "origin"))
_SAFE = "/:@!$&'()*+,;=~-._"


_OPTIONS: dict[str, type[PodProxyOptions | ServiceProxyOptions | NodeProxyOptions]] = {
    "pods": PodProxyOptions, "services": ServiceProxyOptions, "nodes": NodeProxyOptions,
}  # fmt: skip


class _Target(NamedTuple):
    """What a proxied name says."""

    scheme: str
    name: str
    port: str


class Proxies:
    """The handlers of the proxy subresources."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets
        self._reader = kubelets.reader

    async def pod(self, call: Call) -> Answer:
        """To a pod's address: the port given, or the first that a container declares."""
        target = _split(call.info.name, "pod")
        pod = self._kubelets.pod(target.name, call.info.namespace)
        host = _unicast(pod.status.podIPs[0].ip if pod.status.podIPs else pod.status.podIP)
        declared = next((port.containerPort for each in pod.spec.containers for port in each.ports), 0)
        default = declared or (443 if target.scheme == "https" else 80)
        port = _number(target.port) if target.port else default
        return await self._forward(call, _address(target.scheme, host, port))

    async def service(self, call: Call) -> Answer:
        """To one of a service's ready pods, by chance."""
        target = _split(call.info.name, "service")
        host, port = self._endpoint(target, call.info.namespace)
        return await self._forward(call, _address(target.scheme, host, port))

    async def node(self, call: Call) -> Answer:
        """To a node's kubelet, or to another port of the node."""
        target = _split(call.info.name, "node")
        kubelet = self._kubelets.node(target.name)
        if not target.port or target.port == str(kubelet.port):
            return await self._forward(call, kubelet)
        _unicast(kubelet.host)
        return await self._forward(call, _address(target.scheme, kubelet.host, _number(target.port)))

    def _endpoint(self, target: _Target, namespace: str) -> tuple[str, int]:
        name, port_name = target.name, target.port
        if port_name.isascii() and port_name.isdigit():
            service = self._reader.get(Service, name, namespace)
            if service is None:
                raise not_found("services", name)
            ports = [port for port in service.spec.ports if port.port == int(port_name)]
            if not ports:
                text = f"no service port {int(port_name)} found for service {go_quote(name)}"
                raise service_unavailable(text)
            port_name = ports[0].name
        found = [
            (endpoint.addresses[0], port.port)
            for piece in self._reader.items(EndpointSlice, namespace)
            if (piece.metadata.labels or {}).get(SERVICE_NAME) == name
            for port in piece.ports
            if (port.name or "") == port_name and port.port
            for endpoint in piece.endpoints
            if self._usable(endpoint, namespace)
        ]
        if not found:
            raise service_unavailable(f"no endpoints available for service {go_quote(name)}")
        return rand.rng().choice(found)

    def _usable(self, endpoint: Endpoint, namespace: str) -> bool:
        """Only addresses that really are pods': an endpoint could name any address of the network."""
        if endpoint.conditions.ready is False or not endpoint.addresses or endpoint.targetRef is None:
            return False
        if endpoint.targetRef.kind != "Pod":
            return False
        pod = self._reader.get(Pod, endpoint.targetRef.name, endpoint.targetRef.namespace or namespace)
        if pod is None:
            return False
        return endpoint.addresses[0] in {pod.status.podIP, *(each.ip for each in pod.status.podIPs)}

    async def _forward(self, call: Call, address: Address) -> Answer:
        request, path = call.request, call.info.rest
        await call.admit("CONNECT", _OPTIONS[call.resource.plural](path=path))
        upgrade = is_upgrade(request)
        if not path and not upgrade and request.method in ("GET", "HEAD"):
            where = request.path + "/" + (f"?{urlencode(request.query)}" if request.query else "")
            return Response(status=301, headers={"Location": where})
        target = quote(path, safe=_SAFE) or "/"
        if request.query:
            target += "?" + urlencode(request.query)
        links = Links.of(request, path, address)
        headers = _headers(call, links, upgrade)
        try:
            found = await exchange(self._kubelets.open, address, request.method, target, headers, request.body)
        except (OSError, ConnectionLost, ValueError) as error:
            raise _unreachable(error, address, upgrade) from error
        if found.status == 101:
            return upgraded(found)
        if upgrade and found.status < 400:
            found.close()
            raise internal(f"invalid upgrade response: status code {found.status}")
        return await _answer(found, links)


def _unreachable(error: Exception, address: Address, upgrade: bool) -> ApiError:
    if upgrade:
        return internal(f"error dialing backend: {error_text(address, error)}")
    return service_unavailable(f"error trying to reach service: {error_text(address, error)}")


async def _answer(found: Exchange, links: Links) -> Answer:
    headers = {
        name: value
        for name, value in found.headers
        if name.lower() not in HOP_HEADERS and name.lower() not in _CORS and name.lower() != "content-length"
    }
    location = next((name for name in headers if name.lower() == "location"), "")
    if location:
        headers[location] = links.rewrite(headers[location])
    elif links.applies(found):
        body = await found.read(MAX_HTML)
        return Response(
            status=found.status, headers=headers, body=links.rewrite_html(body, found.header("content-encoding"))
        )
    length = found.header("content-length")
    if length:
        headers["Content-Length"] = length
    return StreamAnswer(status=found.status, headers=headers, chunks=_body(found))


async def _body(found: Exchange) -> AsyncIterator[bytes]:
    try:
        async for piece in found.chunks():
            yield piece
    finally:
        found.close()


def _headers(call: Call, links: Links, upgrade: bool) -> list[tuple[str, str]]:
    """The client's headers, but for what is between it and the API server, and with where it came from."""
    request = call.request
    names = [name for name in request.headers if name not in HOP_HEADERS and name != "content-length"]
    headers = [(name, value) for name, value in passed(request, names) if not name.startswith("x-remote-")]
    if upgrade:
        headers += [("Connection", "Upgrade"), ("Upgrade", request.headers["upgrade"])]
    origin = call.peer.address
    before = request.headers.get("x-forwarded-for", "")
    headers = [(name, value) for name, value in headers if not name.startswith("x-forwarded-")]
    if origin:
        headers.append(("X-Forwarded-For", f"{before}, {origin}" if before else origin))
    return headers + links.headers()


def _split(text: str, kind: str) -> _Target:
    parts = text.split(":")
    scheme, name, port = "", parts[0], ""
    if len(parts) == 2:
        name, port = parts
    elif len(parts) == 3:
        scheme, name, port = parts
    if len(parts) > 3 or not name or scheme not in ("", "http", "https"):
        raise bad_request(f"invalid {kind} request {go_quote(text)}")
    return _Target(scheme, name, port)


def _number(port: str) -> int:
    if port.isascii() and port.isdigit() and 0 < int(port) < 65536:
        return int(port)
    raise bad_request(f"invalid port {go_quote(port)}")


def _unicast(host: str) -> str:
    """The proxy must not become a way to the API server's own machine or its network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if (
        address is None
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    ):
        raise bad_request("address not allowed")
    return host


def _address(scheme: str, host: str, port: int) -> Address:
    return Address(host, port, insecure() if scheme == "https" else None)
