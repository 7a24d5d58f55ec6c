"""pods/log: what a container has written, and goes on writing.

The kubelet keeps the logs (`/containerLogs/…`); here the options are checked with upstream's texts, and the kubelet's
body passes through as it comes. A WebSocket client gets the same bytes in frames (`websocket.py`). Source:
k8s.io/kubernetes `pkg/registry/core/pod/rest/log.go`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from kijabi.api import validation
from kijabi.api.core.podoptions import PodLogOptions
from kijabi.api.gotext import quote as go_quote
from kijabi.api.meta import Time
from kijabi.api.resource import FieldError
from kijabi.api.status import bad_request, internal, invalid
from kijabi.apiserver.attributes import Answer, StreamAnswer
from kijabi.apiserver.call import Call
from kijabi.apiserver.subresources.backend import Exchange, error_text, exchange
from kijabi.apiserver.subresources.kubelets import Kubelets, container_of
from kijabi.apiserver.subresources.streams import MAX_ERROR, flag, is_upgrade, refusal
from kijabi.apiserver.subresources.websocket import stream_answer
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request

STREAMS = ("All", "Stderr", "Stdout")
_TEXT = {"Content-Type": "text/plain"}
_BOOLEANS = ("follow", "previous", "timestamps", "insecureSkipTLSVerifyBackend")
_NUMBERS = ("sinceSeconds", "tailLines", "limitBytes")


class Logs:
    """The handler of pods/log."""

    def __init__(self, kubelets: Kubelets) -> None:
        self._kubelets = kubelets

    async def get(self, call: Call) -> Answer:
        """GET …/pods/NAME/log. Raises NotFound, Invalid, BadRequest, or what the kubelet says."""
        options = read_options(call.request)
        problems = check(options)
        if problems:
            raise invalid("PodLogOptions", call.info.name, problems)
        pod = self._kubelets.pod(call.info.name, call.info.namespace)
        container = container_of(pod, options.container)
        if not pod.spec.nodeName:
            return self._answer(call, _nothing())
        address = self._kubelets.node(pod.spec.nodeName, verify=not options.insecureSkipTLSVerifyBackend)
        path = "/".join(quote(each) for each in (call.info.namespace, call.info.name, container))
        target = f"/containerLogs/{path}?{urlencode(_query(options))}"
        try:
            found = await exchange(self._kubelets.open, address, "GET", target, [("Accept", "*/*")])
        except (OSError, ConnectionLost, ValueError) as error:
            scheme = "https" if address.tls is not None else "http"
            raise internal(f'Get "{scheme}://{address}{target}": {error_text(address, error)}') from error
        if found.status != 200:
            status, text = found.status, await found.read(MAX_ERROR)
            raise refusal(status, call.info.name, text.decode("utf-8", "replace"))
        return self._answer(call, _body(found))

    def _answer(self, call: Call, chunks: AsyncIterator[bytes]) -> Answer:
        if is_upgrade(call.request):
            return stream_answer(call.request, chunks)
        return StreamAnswer(chunks=chunks, headers=dict(_TEXT))


async def _nothing() -> AsyncIterator[bytes]:
    """The log of a pod that has no node yet."""
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece


async def _body(found: Exchange) -> AsyncIterator[bytes]:
    """The kubelet's body. A kubelet that goes away ends the log; the client may ask again."""
    try:
        async for piece in found.chunks():
            yield piece
    except ConnectionLost:
        return
    finally:
        found.close()


def read_options(request: Request) -> PodLogOptions:
    """The query as PodLogOptions. Raises BadRequest for what is no number or time."""
    options = PodLogOptions(container=request.param("container"))
    for name in _BOOLEANS:
        setattr(options, name, flag(request, name))
    for name in _NUMBERS:
        text = request.param(name)
        if request.params(name):
            setattr(options, name, _int64(text))
    since = request.param("sinceTime")
    if since:
        try:
            options.sinceTime = Time.parse(since)
        except ValueError as error:
            raise bad_request(str(error)) from error
    options.stream = request.param("stream") or "All"
    return options


def _int64(text: str) -> int:
    digits = text.removeprefix("-").removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        raise bad_request(f"strconv.ParseInt: parsing {go_quote(text)}: invalid syntax")
    if len(digits) > 19 or not -(2**63) <= int(text) < 2**63:
        raise bad_request(f"strconv.ParseInt: parsing {go_quote(text)}: value out of range")
    return int(text)


def check(options: PodLogOptions) -> list[FieldError]:
    """What is wrong with log options (k8s.io/kubernetes `ValidatePodLogOptions`)."""
    problems: list[FieldError] = []
    if options.tailLines is not None and options.tailLines < 0:
        text = "must be greater than or equal to 0"
        problems.append(validation.invalid("tailLines", options.tailLines, text))
    if options.limitBytes is not None and options.limitBytes < 1:
        problems.append(validation.invalid("limitBytes", options.limitBytes, "must be greater than 0"))
    if options.sinceSeconds is not None and options.sinceTime is not None:
        text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
        problems.append(validation.forbidden("", text))
    elif options.sinceSeconds is not None and options.sinceSeconds < 1:
        problems.append(validation.invalid("sinceSeconds", options.sinceSeconds, "must be greater than 0"))
    if options.stream not in STREAMS:
        problems.append(validation.not_supported("stream", options.stream, STREAMS))
    elif options.stream != "All" and options.tailLines is not None:
        text = "`tailLines` and specific `stream` are mutually exclusive for now"
        problems.append(validation.forbidden("", text))
    return problems


def _query(options: PodLogOptions) -> list[tuple[str, str]]:
    query = [(name, "true") for name in ("follow", "previous", "timestamps") if getattr(options, name)]
    query += [(name, str(getattr(options, name))) for name in _NUMBERS if getattr(options, name) is not None]
    if options.sinceTime is not None:
        query.append(("sinceTime", str(options.sinceTime)))
    return [*query, ("stream", options.stream or "All")]
