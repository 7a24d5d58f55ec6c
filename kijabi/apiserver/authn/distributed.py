"""Claims that a token only points to: the groups of a user, fetched where the token says (distributed claims).

`jwts.py` calls `expand` where groups come from a claim. Source: OpenID Connect Core 1.0 section 5.6.2, k8s.io/apiserver
`plugin/pkg/authenticator/token/oidc`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kijabi.apiserver.authn.issuer import RETRY, Issuer
from kijabi.apiserver.subresources.backend import dial
from kijabi.apiserver.webhooks.calls import fetch
from kijabi.apiserver.webhooks.client import WebhookError, trust
from kijabi.apiserver.webhooks.pool import Pool
from kijabi.base import clock, jws
from kijabi.base.errors import Unauthorized

if TYPE_CHECKING:
    from kijabi.apiserver.authn.jwts import Verifier

MAX_ISSUERS = 64  # whose keys are remembered
_NAMES, _SOURCES = "_claim_names", "_claim_sources"


class Distributed:
    """Fetches one claim. authority: PEM of who signs the sources' certificates; verifier: checks what they give."""

    def __init__(self, claim: str, authority: str, verifier: Callable[[Issuer], Verifier]) -> None:
        self._claim = claim
        self._authority = authority
        self._verifier = verifier
        self._context = trust(authority.encode())
        self._pool = Pool(dial)
        self._known: dict[str, Verifier] = {}
        self._tried: dict[str, float] = {}

    async def expand(self, claims: dict[str, Any]) -> None:
        """Add the claim to a token's claims, if it is elsewhere. Raises Unauthorized."""
        if self._claim in claims or _NAMES not in claims:
            return
        try:
            place = self._source(claims)
            if place is not None:
                claims[self._claim] = await self._fetched(*place)
        except (ValueError, WebhookError, jws.BadToken) as error:
            raise Unauthorized(f"oidc: could not expand distributed claims: {error}") from None

    def _source(self, claims: dict[str, Any]) -> tuple[str, str] | None:
        """Where the claim is, and the token to show there. Raises ValueError."""
        names, sources = claims[_NAMES], claims.get(_SOURCES)
        if not isinstance(names, dict):
            raise ValueError("oidc: error parsing distributed claim names")
        if sources is None:
            raise ValueError("oidc: no claim sources")
        if not isinstance(sources, dict):
            raise ValueError("oidc: could not parse claim sources")
        name = names.get(self._claim)
        if name is None:
            return None
        source = sources.get(name)
        if not isinstance(source, dict):
            raise ValueError(f"id token _claim_names contained a source {name} missing in _claims_sources")
        url, token = source.get("endpoint") or "", source.get("access_token") or ""
        return (url, token) if isinstance(url, str) and isinstance(token, str) and url else None

    async def _fetched(self, url: str, token: str) -> Any:
        from kijabi.apiserver.authn.jwts import untrusted_issuer

        try:
            answer = await fetch(self._pool, url, self._context, token=token)
        except WebhookError as error:
            raise WebhookError(f'while getting distributed claim "{self._claim}": {error}') from None
        signed = answer.body.decode("utf-8", "replace").strip()
        issuer = untrusted_issuer(signed)
        if issuer is None:
            text = f'getting untrusted issuer from endpoint {url} failed for claim "{self._claim}"'
            raise ValueError(f"{text}: malformed token")
        verifier = await self._of(issuer)
        try:
            found = await verifier.verify(signed)
        except jws.BadToken as error:
            raise jws.BadToken(f"verify distributed claim token: {error}") from None
        if self._claim not in found:
            raise ValueError(f'jwt returned by distributed claim endpoint "{url}" did not contain claim: {self._claim}')
        return found[self._claim]

    async def _of(self, url: str) -> Verifier:
        """What checks an issuer's tokens. One that is not found is looked for again after a while. WebhookError."""
        known = self._known.get(url)
        if known is not None:
            return known
        now = clock.monotonic()
        failure = f'verifying untrusted issuer {url} failed: verifier not initialized for issuer: "{url}"'
        if now - self._tried.get(url, float("-inf")) < RETRY or len(self._known) >= MAX_ISSUERS:
            raise WebhookError(failure)
        if len(self._tried) >= MAX_ISSUERS:
            self._tried.clear()
        self._tried[url] = now
        issuer = Issuer(url, authority=self._authority)
        try:
            await issuer.discover()
        except WebhookError as error:
            raise WebhookError(f"{failure}: {error}") from None
        return self._known.setdefault(url, self._verifier(issuer))
