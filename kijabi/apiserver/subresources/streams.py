"""pods/exec, pods/attach and pods/portforward: from the client, through the API server, to the pod's kubelet.

The server has authorised the verb of the HTTP method; a WebSocket comes as GET, and must be allowed to `create` too.
Then the request goes to the kubelet as it came, and both streams are joined (`splice.py`). Source: k8s.io/kubernetes
`pkg/registry/core/pod/rest/subresources.go`; paths and parameters are those of the kubelet's server.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

import msgspec

from kijabi.api.core.podoptions import PodAttachOptions, PodExecOptions, PodPortForwardOptions
from kijabi.api.meta import TypeMeta
from kijabi.api.status import bad_request, forbidden, generic, internal
from kijabi.apiserver.attributes import Answer, Authorizer
from kijabi.apiserver.call import Call
from kijabi.apiserver.subresources.backend import HOP_HEADERS, Address, Exchange, error_text, exchange
from kijabi.apiserver.subresources.kubelets import Kubelets, container_of
from kijabi.apiserver.subresources.splice import upgraded
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.transport import Request, Response

MAX_ERROR = 64 * 1024  # bytes of a kubelet's refusal that are passed on
_FLAGS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
# What of the client's request the kubelet must see; one line a value, as clients sent them.
_PASSED = (
    "upgrade",
    "x-stream-protocol-version",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "user-agent",
    "origin",
)


class Streams:
    """The handlers of exec, attach and portforward."""

    def __init__(self, kubelets: Kubelets, authorizer: Authorizer) -> None:
        self._kubelets = kubelets
        self._authorizer = authorizer

    async def exec(self, call: Call) -> Answer:
        """Run a command in a container."""
        return await self._container(call, "exec")

    async def attach(self, call: Call) -> Answer:
        """Join the streams of a container's process."""
        return await self._container(call, "attach")

    async def portforward(self, call: Call) -> Answer:
        """Carry TCP connections into a pod."""
        await self._allow_create(call)
        pod = self._kubelets.pod(call.info.name, call.info.namespace)
        address = self._address(pod.spec.nodeName, call)
        ports = _ports(call.request)
        options = PodPortForwardOptions(kind="PodPortForwardOptions", apiVersion="v1", ports=tuple(map(int, ports)))
        await _admit(call, options)
        query = [("port", ",".join(ports))] if ports else []
        return await self._upgrade(call, address, f"/portForward/{_path(call)}", query)

    async def _container(self, call: Call, kind: str) -> Answer:
        await self._allow_create(call)
        pod = self._kubelets.pod(call.info.name, call.info.namespace)
        request = call.request
        container_of(pod, request.param("container"))
        address = self._address(pod.spec.nodeName, call)
        options = stream_options(request, kind)
        await _admit(call, options)
        container = container_of(pod, options.container)  # admission may have chosen another
        query = [(theirs, "1") for ours, theirs in _FLAGS if getattr(options, ours)]
        if isinstance(options, PodExecOptions):
            query += [("command", each) for each in options.command]
        return await self._upgrade(call, address, f"/{kind}/{_path(call)}/{quote(container)}", query)

    async def _allow_create(self, call: Call) -> None:
        if call.info.verb == "create":
            return
        wanted = msgspec.structs.replace(call.info, verb="create")
        decision = await self._authorizer.authorize(call.user, wanted)
        if not decision.allowed:
            raise forbidden(call.resource, call.info.name, decision.reason)

    def _address(self, node: str, call: Call) -> Address:
        if not node:
            raise bad_request(f"pod {call.info.name} does not have a host assigned")
        return self._kubelets.node(node)

    async def _upgrade(self, call: Call, address: Address, path: str, query: list[tuple[str, str]]) -> Answer:
        request = call.request
        target = f"{path}?{urlencode(query)}" if query else path
        headers = [("Connection", "Upgrade"), *passed(request, _PASSED)]
        try:
            found = await exchange(self._kubelets.open, address, request.method, target, headers)
        except (OSError, ConnectionLost, ValueError) as error:
            raise internal(f"error dialing backend: {error_text(address, error)}") from error
        if found.status == 101:
            return upgraded(found)
        if found.status < 400:
            found.close()
            raise internal(f"invalid upgrade response: status code {found.status}")
        return await _refused(found)


async def _admit(call: Call, options: TypeMeta) -> None:
    """Ask admission about a connection, which it sees as its options."""
    if not is_upgrade(call.request):
        raise bad_request("Upgrade request required")
    await call.admit("CONNECT", options)


def stream_options(request: Request, kind: str) -> PodExecOptions | PodAttachOptions:
    """What the query of an exec or attach says."""
    flags = {ours: flag(request, ours) for ours, _ in _FLAGS}
    container = request.param("container")
    if kind == "attach":
        return PodAttachOptions(kind="PodAttachOptions", apiVersion="v1", container=container, **flags)
    command = request.params("command")
    return PodExecOptions(kind="PodExecOptions", apiVersion="v1", container=container, command=command, **flags)


async def _refused(found: Exchange) -> Response:
    """The kubelet's refusal goes to the client as it is."""
    drop = {*HOP_HEADERS, "content-length"}
    headers = {name: value for name, value in found.headers if name.lower() not in drop}
    return Response(status=found.status, headers=headers, body=await found.read(MAX_ERROR))


def refusal(status: int, name: str, text: str) -> ApiError:
    """The kubelet's refusal of a log as an error (k8s.io/apiserver `response_checker.go`)."""
    if status == 500:
        return internal(text)
    if status == 400:
        return bad_request(text)
    return generic(status, target="pods/log", name=name, said=text)


def is_upgrade(request: Request) -> bool:
    """Does the client want to change the protocol?"""
    words = request.headers.get("connection", "").lower().replace(",", " ").split()
    return "upgrade" in words and bool(request.headers.get("upgrade"))


def passed(request: Request, names: Iterable[str]) -> list[tuple[str, str]]:
    """Some of a request's headers, a repeated one as often as it came (the HTTP side joins repetitions with a line
    feed)."""
    return [(name, value) for name in names for value in request.headers.get(name, "").split("\n") if value]


def _path(call: Call) -> str:
    return f"{quote(call.info.namespace)}/{quote(call.info.name)}"


def flag(request: Request, name: str) -> bool:
    """A truth value of the query as upstream reads it into options: anything but `false` and `0` is true."""
    values = request.params(name)
    return bool(values) and values[0].lower() not in ("false", "0")


def _ports(request: Request) -> list[str]:
    """The ports that the old WebSocket form names in its query; all must be port numbers."""
    ports = [each for value in request.params("ports") for each in value.split(",")]
    for port in ports:
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise bad_request(f'strconv.ParseInt: parsing "{port}": invalid syntax')
    return ports
