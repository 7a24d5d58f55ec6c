"""Tokens of other issuers (OpenID Connect): signature, issuer, audience and time, then the claims as a user.

`bearer.py` asks `Issuers`, which has an authenticator for each issuer of `config.py` and takes up changes of the file.
Keys are `issuer.py`'s, rules for claims `claims.py`'s. Source: k8s.io/apiserver `plugin/pkg/authenticator/token/oidc`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authn import config
from kijabi.apiserver.authn.bearer import Authenticated, meant
from kijabi.apiserver.authn.claims import Claims, compiled, user_of
from kijabi.apiserver.authn.distributed import Distributed
from kijabi.apiserver.authn.issuer import Issuer
from kijabi.apiserver.authn.tokens import MAX_TOKEN
from kijabi.apiserver.authz.rules import go_list
from kijabi.apiserver.storage import Storage
from kijabi.base import clock, jws
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.base.filewatch import follow

log = logging.getLogger(__name__)

LEEWAY = 60.0  # of the time before which a token must not be used
PATIENCE = 60.0  # seconds that a changed configuration may take to find all issuers
_GOOGLE, _GOOGLE_PLAIN = "https://accounts.google.com", "accounts.google.com"


class Verifier:
    """Checks all of a token but its claims about the user. audiences: one of them must be the token's."""

    def __init__(self, issuer: Issuer, audiences: Sequence[str], algorithms: Collection[str]) -> None:
        self.issuer = issuer
        self._audiences = tuple(audiences)
        self._algorithms = tuple(algorithms)

    async def verify(self, token: str) -> Claims:
        """The claims of a token that holds. Raises BadToken."""
        parsed = jws.parse(token)
        if parsed is None:
            raise jws.BadToken("oidc: malformed jwt")
        if parsed.algorithm not in self._algorithms:
            expected = go_list(self._algorithms)
            text = f'expected {expected} got "{parsed.algorithm}"'
            raise jws.BadToken(f"oidc: id token signed with unsupported algorithm, {text}")
        await self.issuer.verify(token, parsed)
        claims = claims_of(parsed.payload)
        if claims is None:
            raise jws.BadToken("oidc: failed to unmarshal claims")
        self._check(claims)
        return claims

    def _check(self, claims: Claims) -> None:
        issuer = claims.get("iss")
        if issuer != self.issuer.url and (self.issuer.url, issuer) != (_GOOGLE, _GOOGLE_PLAIN):
            text = f'expected "{self.issuer.url}" got "{issuer}"'
            raise jws.BadToken(f"oidc: id token issued by a different provider, {text}")
        given = claims.get("aud")
        audiences = [each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str)]
        if not set(audiences) & set(self._audiences):
            if len(self._audiences) == 1:
                raise jws.BadToken(f'oidc: expected audience "{self._audiences[0]}" got {go_list(audiences)}')
            wanted = go_list(sorted(self._audiences))
            raise jws.BadToken(f"oidc: expected audience in {wanted} got {go_list(audiences)}")
        now = clock.wall()
        expiry, begin = _number(claims.get("exp")), claims.get("nbf")
        if expiry < now:
            raise jws.BadToken("oidc: token is expired")
        if begin is not None and now + LEEWAY < _number(begin):
            raise jws.BadToken("oidc: current time before the nbf (not before) time")


def claims_of(payload: bytes) -> Claims | None:
    """The claims in a payload, None if it holds no object."""
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def untrusted_issuer(token: str) -> str | None:
    """Who a token says that it is from; nothing of it is proved."""
    parsed = jws.parse(token) if len(token) <= MAX_TOKEN else None
    claims = claims_of(parsed.payload) if parsed is not None else None
    if claims is None:
        return None
    issuer = claims.get("iss")
    return _GOOGLE if issuer == _GOOGLE_PLAIN else issuer if isinstance(issuer, str) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


class JwtAuthenticator:
    """One issuer with its rules."""

    def __init__(self, configuration: config.JWTAuthenticator, algorithms: Collection[str]) -> None:
        issuer = configuration.issuer
        self._configuration = configuration
        self._rules = compiled(configuration, "")[0]
        self.issuer = Issuer(issuer.url, issuer.discoveryURL or "", issuer.certificateAuthority)
        self._verifier = Verifier(self.issuer, issuer.audiences, algorithms)
        self._distributed: Distributed | None = None
        claim = configuration.claimMappings.groups.claim
        if claim:
            make: Callable[[Issuer], Verifier] = lambda other: Verifier(other, issuer.audiences, algorithms)  # noqa: E731
            self._distributed = Distributed(claim, issuer.certificateAuthority, make)

    async def authenticate(self, token: str) -> UserInfo:
        """The user of a token that is this issuer's. Raises Unauthorized."""
        if not self.issuer.found.is_set():
            raise Unauthorized("oidc: authenticator not initialized")
        try:
            claims = await self._verifier.verify(token)
        except jws.BadToken as error:
            raise Unauthorized(f"oidc: verify token: {error}") from None
        if self._distributed is not None:
            await self._distributed.expand(claims)
        return await user_of(claims, self._configuration, self._rules)

    def close(self) -> None:
        """Ask the issuer no more."""
        self.issuer.close()


class Issuers:
    """All issuers. audiences: of the API server. own: issuers that are not allowed, for they are our own."""

    def __init__(
        self,
        configuration: config.AuthenticationConfiguration,
        algorithms: Collection[str],
        audiences: Sequence[str],
        own: Collection[str],
        path: Path | None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._algorithms = tuple(algorithms)
        self._audiences = tuple(audiences)
        self._own = tuple(own)
        self._path = path
        self._content = path.read_bytes() if path is not None else b""
        self._anonymous = configuration.anonymous
        self.changed = changed
        self._known = self._made(configuration)

    def _made(self, configuration: config.AuthenticationConfiguration) -> dict[str, JwtAuthenticator]:
        return {each.issuer.url: JwtAuthenticator(each, self._algorithms) for each in configuration.jwt}

    async def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """See Remote."""
        fitting = meant(audiences, self._audiences)
        if not fitting or not self._known:
            return None
        authenticator = self._known.get(untrusted_issuer(token) or "")
        if authenticator is None:
            return None
        return Authenticated(await authenticator.authenticate(token), fitting)

    async def run(self, _: Storage | None = None) -> None:
        """Find the issuers, and take up the file's changes; for ever if there is a file."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._known.values():
                tasks.create_task(each.issuer.run(), name=f"issuer {each.issuer.url}")
            if self._path is not None:
                await follow(self._path, self._content, self._changed)

    async def _changed(self, content: bytes) -> bool:
        """The new issuers are taken up when all are found; until then the old ones stay."""
        try:
            configuration = config.of_file(content, self._own)
            if configuration.anonymous != self._anonymous:
                raise ConfigError("anonymous: Forbidden: changed from initial configuration file")
            made = self._made(configuration)
        except ConfigError as error:
            log.error("authentication configuration not reloaded", extra={"reason": str(error)})
            return True
        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
                for each in made.values():
                    tasks.create_task(each.issuer.run(), name=f"issuer {each.issuer.url}")
        except TimeoutError:
            log.error("authentication configuration not reloaded", extra={"reason": "an issuer was not found"})
            return False
        old, self._known = self._known, made
        for each in old.values():
            each.close()
        self.changed()
        log.info("authentication configuration reloaded", extra={"path": str(self._path)})
        return True
