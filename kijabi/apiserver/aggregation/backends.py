"""How aggregated API servers are reached: an endpoint of their Service, TLS by the APIService's words, our certificate.

`proxy.py` passes clients' requests on through `exchange`; `availability.py`, `discovery.py` and `openapi.py` ask in
their own name with `fetch`. The server behind knows us by the front proxy's client certificate and believes the
`X-Remote-` headers only from its holder ("Configure the Aggregation Layer" in the Kubernetes documentation).
"""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

from kijabi.api.apiregistration.apiservice import APIService, ServiceReference
from kijabi.apiserver.attributes import Reader, UserInfo
from kijabi.apiserver.pki import Pair
from kijabi.apiserver.subresources.backend import Address, Dial, Exchange, dial, exchange
from kijabi.apiserver.subresources.kubelets import insecure
from kijabi.apiserver.webhooks.client import WebhookError, dial_text, trust
from kijabi.apiserver.webhooks.services import DEFAULT_PORT, resolve, server_name
from kijabi.base.errors import ConnectionLost, KijabiError

MAX_CONTEXTS = 256  # TLS contexts kept, one for each way to trust
_HEADER_SAFE = "!#$&'*+^`|~"
Headers = list[tuple[str, str]]
ClientPair = Callable[[], Pair | None]


class Unreachable(KijabiError):
    """The server behind an APIService gave no usable answer; the text says why, as upstream words it."""


class Untrusted(KijabiError):
    """The APIService does not say how to trust its server in a way that can be followed."""


class Fetched(NamedTuple):
    """A whole answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Backends:
    """Reaches them. pair: the front proxy's certificate of now, None where servers need none (simulation)."""

    def __init__(self, reader: Reader, pair: ClientPair, open_: Dial = dial) -> None:
        self._reader = reader
        self._pair = pair
        self._open = open_
        self._contexts: dict[tuple[bytes, bool, int], ssl.SSLContext] = {}

    def address(self, service: APIService) -> Address:
        """An endpoint, and how to trust it. Raises webhooks.services.Unresolved, Untrusted."""
        place = _place(service)
        context = self._context(service.spec.caBundle, service.spec.insecureSkipTLSVerify)
        host, port = resolve(self._reader, place.namespace, place.name, place.port or DEFAULT_PORT)
        return Address(host, port, context, server_name(place.namespace, place.name))

    async def exchange(
        self, address: Address, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b""
    ) -> Exchange:
        """Pass a request on. Raises Unreachable."""
        try:
            return await exchange(self._open, address, method, target, headers, body)
        except (OSError, ConnectionLost, ValueError) as error:
            raise Unreachable(dial_text(address, error)) from error

    async def fetch(
        self, service: APIService, path: str, user: UserInfo, headers: Headers, *, seconds: float, limit: int
    ) -> Fetched:
        """GET a path as a user, whole. limit: bytes of the body. Raises Unreachable, Unresolved, Untrusted."""
        address = self.address(service)
        sent = [*headers, *identity(user), ("Accept-Encoding", "gzip"), ("User-Agent", "kube-aggregator")]
        try:
            async with asyncio.timeout(seconds):
                found = await self.exchange(address, "GET", path, sent)
                body = await found.read(limit + 1)
        except TimeoutError:
            raise Unreachable("context deadline exceeded") from None
        except ConnectionLost as error:
            raise Unreachable(str(error)) from error
        if len(body) > limit:
            raise Unreachable(f"the answer is longer than {limit} bytes")
        if "gzip" in found.header("content-encoding"):
            body = _unpacked(body, limit)
        return Fetched(found.status, {name.lower(): value for name, value in found.headers}, body)

    def _context(self, bundle: bytes, anybody: bool) -> ssl.SSLContext:
        """TLS that trusts a CA bundle, or anybody, and shows our certificate. A renewed certificate makes new ones."""
        pair = self._pair()
        written = pair.cert.stat().st_mtime_ns if pair is not None else 0
        found = self._contexts.get((bundle, anybody, written))
        if found is None:
            try:
                found = insecure() if anybody else trust(bundle)
            except WebhookError as error:
                raise Untrusted(str(error)) from None
            if pair is not None:
                found.load_cert_chain(pair.cert, pair.key)
            if len(self._contexts) >= MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[bundle, anybody, written] = found
        return found


def _place(service: APIService) -> ServiceReference:
    found = service.spec.service
    assert found is not None, "local APIServices have no backend"
    return found


def _unpacked(body: bytes, limit: int) -> bytes:
    """A body without its compression. Raises Unreachable for what is none, or too much."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            found = file.read(limit + 1)
    except (OSError, EOFError, ValueError) as error:
        raise Unreachable(f"malformed gzip: {error}") from error
    if len(found) > limit:
        raise Unreachable(f"the answer is longer than {limit} bytes")
    return found


def identity(user: UserInfo) -> Headers:
    """The headers that say whose request this is."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    for key, values in user.extra.items():
        found += [(f"X-Remote-Extra-{quote(key, safe=_HEADER_SAFE)}", value) for value in values]
    return found
