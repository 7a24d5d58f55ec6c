"""Posts a JSON document to a webhook and gives its answer: by URL, or by Service through a ready endpoint.

Admission (`admission/webhook.py`) and the conversion of custom resources call `Webhooks.post`; `services.py` finds
the endpoint, `pool.py` the connection. Everything is bounded: time, bodies, connections, contexts. Whatever goes wrong
is a WebhookError in the words of Go's HTTP client, which users of Kubernetes know. Rules: k8s.io/apiserver
`pkg/util/webhook/client.go`; redirects are not followed.
"""

from __future__ import annotations

import asyncio
import math
import posixpath
import ssl
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote as escape
from urllib.parse import unquote, urlsplit

import msgspec

from kijabi.api import codec_slow
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import Reader
from kijabi.apiserver.subresources.backend import Address, Dial, dial, error_text
from kijabi.apiserver.webhooks.pool import Pool
from kijabi.apiserver.webhooks.services import DEFAULT_PORT, Unresolved, resolve, server_name
from kijabi.base.errors import ConnectionLost, KijabiError
from kijabi.client.connection import Answer

MAX_ANSWER = 32 << 20  # bytes of an answer
MAX_CONTEXTS = 200  # TLS contexts kept, one for each CA bundle
MAX_SHOWN = 2048  # bytes of a refusal's body that its error shows
USER_AGENT = "kube-apiserver-admission"
_SAFE_PATH = "/:@!$&'()*+,;=~-._"


class Service(Protocol):
    """A ServiceReference, of whichever API group."""

    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...


class ClientConfig(Protocol):
    """A WebhookClientConfig, of whichever API group: a URL or a Service, and the CA of its certificate."""

    @property
    def url(self) -> str | None: ...
    @property
    def service(self) -> Service | None: ...
    @property
    def caBundle(self) -> bytes: ...


class WebhookError(KijabiError):
    """The webhook gave no usable answer. called: whether there was an attempt; code: the HTTP status, if it came."""

    def __init__(self, text: str, *, called: bool = True, code: int = 0) -> None:
        super().__init__(text)
        self.called = called
        self.code = code


class Webhooks(Protocol):
    """What callers need of `WebhookClient`; a simulation brings its own."""

    async def post(
        self, config: ClientConfig, document: Any, timeout: float, *, limit: int = MAX_ANSWER
    ) -> dict[str, Any]:
        """The answer to a document. timeout: seconds, rounded up on the wire. Raises WebhookError."""
        ...

    def close(self) -> None:
        """No more calls."""
        ...


class _Target(NamedTuple):
    """Where a configuration leads. host: as in the URL, with its port if it has one."""

    host: str
    path: str
    name: str


class WebhookClient:
    """Calls webhooks. One for the whole server; `close` it at the end."""

    def __init__(self, reader: Reader, open_: Dial = dial) -> None:
        self._reader = reader
        self._pool = Pool(open_)
        self._contexts: OrderedDict[bytes, ssl.SSLContext] = OrderedDict()

    async def post(
        self, config: ClientConfig, document: Any, timeout: float, *, limit: int = MAX_ANSWER
    ) -> dict[str, Any]:
        """See Webhooks. document: JSON bytes, or what msgspec encodes."""
        target = _target(config)
        context = self._context(config.caBundle)
        path = f"{target.path}?timeout={math.ceil(timeout)}s"
        url = f'Post "https://{target.host}{path}"'
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        data = _request(target, path, body)
        try:
            async with asyncio.timeout(timeout):
                address = self._address(config, target, context)
                try:
                    answer = await self._pool.exchange(address, data, limit)
                except (OSError, ValueError) as error:
                    raise WebhookError(f"{url}: {dial_text(address, error)}") from error
        except TimeoutError:
            raise WebhookError(f"{url}: context deadline exceeded") from None
        except Unresolved as error:
            raise WebhookError(f"{url}: {error}") from None
        except ConnectionLost as error:
            raise WebhookError(f"{url}: {lost_text(error)}") from error
        return document_of(answer)

    def close(self) -> None:
        """Hang up on everybody."""
        self._pool.close()

    def _address(self, config: ClientConfig, target: _Target, context: ssl.SSLContext) -> Address:
        """Whom to dial now. Raises Unresolved."""
        service = config.service
        if service is not None:
            host, port = resolve(self._reader, service.namespace, service.name, service.port or DEFAULT_PORT)
            return Address(host, port, context, target.name)
        parts = urlsplit(f"//{target.host}")
        return Address(parts.hostname or "", parts.port or DEFAULT_PORT, context, target.name)

    def _context(self, bundle: bytes) -> ssl.SSLContext:
        """The TLS rules for a CA bundle, the machine's roots if it is empty. Making one is dear, so some are kept."""
        found = self._contexts.get(bundle)
        if found is None:
            found = self._contexts[bundle] = trust(bundle)
            if len(self._contexts) > MAX_CONTEXTS:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(bundle)
        return found


def trust(bundle: bytes) -> ssl.SSLContext:
    """TLS that trusts exactly the certificates of a PEM bundle, or the machine's roots if it is empty.

    Any of them is an anchor, also one that somebody else signed, as with Go. Raises WebhookError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not bundle:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        text = "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block"
        raise WebhookError(text, called=False) from None
    return context


def _target(config: ClientConfig) -> _Target:
    """What the configuration says. Raises WebhookError."""
    service = config.service
    if service is not None:
        name = server_name(service.namespace, service.name)
        return _Target(f"{name}:{service.port or DEFAULT_PORT}", _path(service.path or "/"), name)
    if not config.url:
        text = "could not get REST client: webhook configuration must have either service or URL"
        raise WebhookError(text, called=False)
    try:
        parts = urlsplit(config.url)
        host, name = parts.netloc.rpartition("@")[2], parts.hostname or ""
        _ = parts.port  # checked here
    except ValueError as error:
        raise WebhookError(f"could not get REST client: Unparsable URL: {error}", called=False) from None
    return _Target(host, _path(unquote(parts.path)), name)


def _path(path: str) -> str:
    """A path in the one form in which Go sends it."""
    return escape(posixpath.normpath("/" + path.lstrip("/")), safe=_SAFE_PATH)


def _request(target: _Target, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {target.host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Length: {len(body)}\r\n"
        "Accept: application/json, */*\r\nContent-Type: application/json\r\n\r\n"
    )
    return head.encode("latin-1", "replace") + body


def document_of(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer. Raises WebhookError, as client-go's REST client words it."""
    body = answer.take()
    if not 200 <= answer.status <= 206:
        raise WebhookError(_refusal(answer.status, body), code=answer.status)
    if not body:
        kind = next((value for name, value in answer.headers.items() if name.lower() == "content-type"), "")
        raise WebhookError(f"0-length response with status code: {answer.status} and content type: {kind}")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = codec_slow.syntax_problem(body) or str(error)
        raise WebhookError(f"{codec_slow.UNREADABLE}{problem}") from None
    if not isinstance(document, dict):
        kind = codec_slow.json_kind(body)
        text = f"json: cannot unmarshal {kind} into Go value of type struct {{ APIVersion string; Kind string }}"
        raise WebhookError(codec_slow.UNREADABLE + text)
    return document


_KNOWN = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


def _refusal(code: int, body: bytes) -> str:
    """What client-go says of an answer that is no success (k8s.io/apimachinery NewGenericServerResponse)."""
    try:
        status = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and isinstance(status.get("message"), str):
        return str(status["message"])[:MAX_SHOWN]
    text = body[:MAX_SHOWN].decode("utf-8", "replace").strip()
    if code in (403, 406, 415):
        return text
    if code in _KNOWN:
        return _KNOWN[code]
    if code >= 500:
        return f"an error on the server ({quote(text or 'unknown')}) has prevented the request from succeeding"
    return f"the server responded with the status code {code} but did not return more information"


def lost_text(error: ConnectionLost) -> str:
    """A cut or garbled answer in Go's words."""
    return "EOF" if str(error).startswith("the peer hung up") else str(error)


_EXPIRED, _MISMATCH = (10,), (62, 64)  # OpenSSL's codes of X509_V_ERR_CERT_HAS_EXPIRED, …_HOSTNAME_/IP_ADDRESS_MISMATCH


def dial_text(address: Address, error: Exception) -> str:
    """Why no connection came about, in Go's words; aggregation says it too."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return error_text(address, error)
    if cause.verify_code in _MISMATCH:
        reason = f"certificate is not valid for {address.name}"
    elif cause.verify_code in _EXPIRED:
        reason = "certificate has expired or is not yet valid"
    else:
        reason = "certificate signed by unknown authority"
    return f"tls: failed to verify certificate: x509: {reason}"
