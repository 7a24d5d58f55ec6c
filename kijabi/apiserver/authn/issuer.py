"""The keys of an issuer of JWTs: found by its discovery document, remembered, fetched anew when a token has another.

`jwts.py` has one for each issuer. A dead or slow issuer holds up nobody but those whose token no known key explains.
Source: OpenID Connect Discovery 1.0, RFC 7517; behaviour of go-oidc as k8s.io/apiserver uses it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Collection

import msgspec

from kijabi.api.gotext import quote
from kijabi.apiserver.subresources.backend import Dial, dial
from kijabi.apiserver.webhooks.calls import fetch
from kijabi.apiserver.webhooks.client import WebhookError, trust
from kijabi.apiserver.webhooks.pool import Pool
from kijabi.base import clock, jws

log = logging.getLogger(__name__)

WELL_KNOWN = "/.well-known/openid-configuration"
RETRY = 10.0  # seconds between two tries to find the issuer
REFRESH = 1.0  # least seconds between two looks at its keys, however many unknown ones are claimed
EARLY = 30.0  # seconds before the end of their cache time from which on keys may be fetched anew
_MAX_AGE = re.compile(r"(?:^|[, ])max-age=([0-9]{1,9})")


class _Discovered(msgspec.Struct):
    """What counts of a discovery document."""

    issuer: str = ""
    jwks_uri: str = ""


class Issuer:
    """One issuer. place: of its discovery document, "" for the usual one; authority: PEM of who signs its certificate,
    "" for the machine's roots."""

    def __init__(self, url: str, place: str = "", authority: str = "", *, open_: Dial = dial) -> None:
        self.url = url
        self._place = place or url.removesuffix("/") + WELL_KNOWN
        self._context: ssl.SSLContext = trust(authority.encode())
        self._pool = Pool(open_)
        self._keys: list[tuple[str, jws.PublicKey]] = []
        self._keys_at = ""
        self._fresh_until = float("-inf")
        self._looked = float("-inf")
        self._looking = asyncio.Lock()
        self._closed = False
        self.found = asyncio.Event()

    async def run(self) -> None:
        """Find the issuer, however long it takes."""
        while not self.found.is_set() and not self._closed:
            try:
                await self.discover()
            except WebhookError as error:
                log.error("issuer of tokens not found", extra={"issuer": self.url, "reason": str(error)})
                await asyncio.sleep(RETRY)

    async def discover(self) -> None:
        """Read the discovery document. Raises WebhookError."""
        fetched = await fetch(self._pool, self._place, self._context)
        try:
            document = msgspec.json.decode(fetched.body, type=_Discovered)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            text = f"oidc: failed to decode provider discovery object: {error}"
            raise WebhookError(text) from None
        if document.issuer != self.url:
            text = "oidc: issuer did not match the issuer returned by provider"
            raise WebhookError(f"{text}, expected {quote(self.url)} got {quote(document.issuer)}")
        if not document.jwks_uri:
            raise WebhookError("provider did not return JWKS URL")
        self._keys_at = document.jwks_uri
        self.found.set()

    async def verify(self, token: str, parsed: jws.Parsed) -> None:
        """Check a token's signature. Raises BadToken."""
        if self._explains(token, parsed):
            return
        now = clock.monotonic()
        if now + EARLY < self._fresh_until:
            raise jws.BadToken("failed to verify signature: failed to verify id token signature")
        try:
            await self._look(now)
        except WebhookError as error:
            raise jws.BadToken(f"failed to verify signature: fetching keys {error}") from None
        if not self._explains(token, parsed):
            raise jws.BadToken("failed to verify signature: failed to verify id token signature")

    def _explains(self, token: str, parsed: jws.Parsed) -> bool:
        fitting: Collection[jws.PublicKey] = [key for kid, key in self._keys if not parsed.kid or kid == parsed.kid]
        if not fitting:
            return False
        try:
            jws.verify(token, parsed.algorithm, fitting)
        except jws.BadToken:
            return False
        return True

    async def _look(self, since: float) -> None:
        """Fetch the keys, unless somebody did since then, or just before. Raises WebhookError."""
        async with self._looking:
            if self._looked > since - REFRESH:
                return
            self._looked = clock.monotonic()
            fetched = await fetch(self._pool, self._keys_at, self._context)
            try:
                self._keys = list(jws.web_keys(msgspec.json.decode(fetched.body)))
            except (ValueError, UnicodeError, RecursionError) as error:
                raise WebhookError(f"oidc: failed to decode keys: {error}") from None
            self._looked = clock.monotonic()
            control = fetched.headers.get("cache-control", "").lower()
            age = _MAX_AGE.search(control)
            stored = age is not None and "no-store" not in control and "no-cache" not in control
            self._fresh_until = self._looked + (int(age[1]) if stored and age is not None else 0)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._pool.close()
