"""Calls to servers that flags and files name: webhooks of a kubeconfig, and issuers of tokens.

The webhooks of authentication and authorisation (`authn/webhook.py`, `authz/webhook.py`) and whatever else a
kubeconfig names make a `Configured`; `authn/issuer.py` fetches keys with `call`. Connections are `pool.py`'s, texts of
failures those of Go's HTTP client. Rules: k8s.io/apiserver `pkg/util/webhook/webhook.go`, k8s.io/client-go `rest`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from kijabi.apiserver.subresources.backend import Address, Dial, dial
from kijabi.apiserver.webhooks.client import MAX_SHOWN, USER_AGENT, WebhookError, dial_text, document_of, lost_text
from kijabi.apiserver.webhooks.pool import Pool, TooLong
from kijabi.base import clock
from kijabi.base.backoff import delay
from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.client import kubeconfig
from kijabi.client.connection import Answer

log = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds of one call
LONGEST = 60.0  # of a call with all its repetitions: as long as a request may take
TRIES = 5
FIRST_DELAY = 0.5
MAX_BODY = 4 << 20  # bytes of an answer
RELOAD = 60.0  # seconds after which a kubeconfig is read anew, for its certificates and tokens may have been renewed
MAX_REDIRECTS = 10
_MOVED = (301, 302, 303, 307, 308)
_PASSING = (429, 500, 504)  # statuses that may be others next time


class Fetched(NamedTuple):
    """A document, with its headers by lower-case names."""

    body: bytes
    headers: Mapping[str, str]


async def call(
    pool: Pool,
    method: str,
    url: str,
    *,
    context: ssl.SSLContext | None,
    headers: Mapping[str, str],
    body: bytes = b"",
    limit: int = MAX_BODY,
) -> Answer:
    """The answer to one request, whatever its status. The caller sets the time. Raises WebhookError."""
    what = f'{method.capitalize()} "{url}"'
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise WebhookError(f"{what}: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise WebhookError(f'{what}: unsupported protocol scheme "{parts.scheme}"')
    address = Address(host, port, context if parts.scheme == "https" else None, host)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", f"User-Agent: {USER_AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    data = "\r\n".join((*lines, "", "")).encode("latin-1", "replace") + body
    try:
        return await pool.exchange(address, data, limit)
    except TooLong as error:
        raise WebhookError(f"{what}: {error}") from None
    except (OSError, ValueError) as error:
        raise WebhookError(f"{what}: {dial_text(address, error)}") from error
    except ConnectionLost as error:
        raise WebhookError(f"{what}: {lost_text(error)}") from error


async def fetch(pool: Pool, url: str, context: ssl.SSLContext, *, token: str = "", seconds: float = TIMEOUT) -> Fetched:
    """What is at an https URL, wherever it leads. Raises WebhookError unless it is a success."""
    headers = {"Accept": "*/*"} | ({"Authorization": f"Bearer {token}"} if token else {})
    first, what = urlsplit(url).netloc, f'Get "{url}"'
    try:
        async with asyncio.timeout(seconds):
            for _ in range(MAX_REDIRECTS):
                if not url.startswith("https://"):
                    raise WebhookError(f"{what}: {url} is no https URL")
                answer = await call(pool, "GET", url, context=context, headers=headers)
                found = {name.lower(): value for name, value in answer.headers.items()}
                if answer.status not in _MOVED or "location" not in found:
                    break
                url = urljoin(url, found["location"])
                if urlsplit(url).netloc != first:
                    headers.pop("Authorization", None)
            else:
                raise WebhookError(f"{what}: stopped after {MAX_REDIRECTS} redirects")
    except TimeoutError:
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise WebhookError(f"{what}: {text}") from None
    body = answer.take()
    if answer.status != HTTPStatus.OK:
        raise WebhookError(f"{answer.status}: {body[:MAX_SHOWN].decode('utf-8', 'replace')}", code=answer.status)
    return Fetched(body, found)


class Configured:
    """The webhook that a kubeconfig leads to. timeout: seconds of one call. Raises ConfigError for an unusable file."""

    def __init__(self, path: Path, *, timeout: float = TIMEOUT, open_: Dial = dial) -> None:
        self._path = path
        self._timeout = timeout
        self._pool = Pool(open_)
        self._identity = kubeconfig.load(path)
        self._context = _tls(self._identity)
        self._read = clock.monotonic()

    async def post(self, document: Any, *, longest: float = LONGEST) -> dict[str, Any]:
        """The answer to a document. What may pass is tried again, with growing pauses. Raises WebhookError."""
        body = msgspec.json.encode(document)
        failure: WebhookError | None = None
        try:
            async with asyncio.timeout(longest):
                for attempt in range(1, TRIES + 1):
                    try:
                        return await self._once(body)
                    except WebhookError as error:
                        failure = error
                        if attempt == TRIES or not _may_pass(error):
                            raise
                    await asyncio.sleep(delay(attempt, first=FIRST_DELAY, most=LONGEST, factor=1.5, jitter=0.2))
        except TimeoutError:
            pass
        raise failure or WebhookError("webhook call failed: context deadline exceeded")

    async def _once(self, body: bytes) -> dict[str, Any]:
        return document_of(await self.answer(body))

    async def answer(self, body: bytes) -> Answer:
        """The answer to one POST of JSON, whatever its status, without another try. Raises WebhookError."""
        self._refresh()
        identity = self._identity
        url = f"{identity.server}?timeout={self._timeout:g}s"
        headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
        if identity.token:
            headers["Authorization"] = f"Bearer {identity.token}"
        try:
            async with asyncio.timeout(self._timeout):
                return await call(self._pool, "POST", url, context=self._context, headers=headers, body=body)
        except TimeoutError:
            text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise WebhookError(f'Post "{url}": {text}') from None

    def _refresh(self) -> None:
        """Take up renewed credentials; a file that cannot be read leaves the old ones."""
        if clock.monotonic() - self._read < RELOAD:
            return
        self._read = clock.monotonic()
        try:
            found = kubeconfig.load(self._path)
            if found != self._identity:
                self._identity, self._context = found, _tls(found)
        except ConfigError as error:
            log.warning("kubeconfig of a webhook not read again", extra={"reason": str(error)})

    def close(self) -> None:
        """Hang up."""
        self._pool.close()


def _may_pass(error: WebhookError) -> bool:
    return error.code in _PASSING or isinstance(error.__cause__, ConnectionResetError)


def _tls(identity: kubeconfig.Identity) -> ssl.SSLContext | None:
    if not identity.server.startswith("https://"):
        return None
    context = kubeconfig.tls_of(identity)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # any certificate of the bundle is an anchor, as with Go
    return context
