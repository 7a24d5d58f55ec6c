"""Bearer tokens of every kind: each authenticator is asked in turn until one knows the token.

`chain.py` hands in the token of a request, TokenReview one that somebody wants to know about. Those that decide from
memory come first (`tokenfile.py`, `serviceaccounts.py`, `bootstrap.py`); what issuers (`jwts.py`) and webhooks
(`webhook.py`) said is remembered for a moment, and asked once however many wait for it. Source: k8s.io/apiserver
`pkg/authentication/token/{union,cache}`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kijabi.api.gotext import aggregate
from kijabi.apiserver.attributes import UserInfo
from kijabi.base.errors import Unauthorized
from kijabi.base.expiring import Expiring

REMEMBERED = 8192  # answers of those that are asked elsewhere
SECONDS = 10.0  # that they hold
UNKNOWN = "invalid bearer token"


class Authenticated(NamedTuple):
    """A token that holds: its user, and which of the audiences asked for it is meant for."""

    user: UserInfo
    audiences: tuple[str, ...]


class Local(Protocol):
    """Decides at once."""

    def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """Whose token this is; None if that is not known here. Raises Unauthorized when it does not hold."""
        ...


class Remote(Protocol):
    """Decides with somebody's help."""

    async def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """See Local."""
        ...


class Bearer:
    """All authenticators of tokens as one. audiences: of the API server."""

    def __init__(self, local: Sequence[Local], remote: Sequence[Remote], audiences: Sequence[str]) -> None:
        self._local = tuple(local)
        self._remote = tuple(remote)
        self.audiences = tuple(audiences)
        self._known: Expiring[bytes, Authenticated] = Expiring(REMEMBERED)
        self._asking: dict[bytes, asyncio.Future[Authenticated | None]] = {}

    async def authenticate(self, token: str, audiences: Sequence[str] = ()) -> Authenticated:
        """Whose token this is. Raises Unauthorized, with what all who minded it said."""
        errors: list[str] = []
        found = self.here(token, audiences, errors)
        return found if found is not None else await self.elsewhere(token, audiences, errors)

    def here(self, token: str, audiences: Sequence[str], errors: list[str]) -> Authenticated | None:
        """Whose token this is, if that can be told at once; otherwise `elsewhere` is to be asked with the errors."""
        for local in self._local:
            try:
                found = local.authenticate_token(token, audiences)
            except Unauthorized as error:
                errors.append(error.message)
                continue
            if found is not None:
                return found
        return None

    async def elsewhere(self, token: str, audiences: Sequence[str], errors: list[str]) -> Authenticated:
        """What is left to do after `here`. Raises Unauthorized."""
        if self._remote:
            try:
                found = await self._elsewhere(token, audiences)
            except Unauthorized as error:
                errors.append(error.message)
            else:
                if found is not None:
                    return found
        raise Unauthorized(aggregate(errors) or UNKNOWN)

    async def _elsewhere(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        parts = (token, *audiences)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        while True:
            known = self._known.get(key)
            if known is not None:
                return known
            asking = self._asking.get(key)
            if asking is None:
                return await self._lead(key, token, audiences)
            try:
                return await asyncio.shield(asking)
            except asyncio.CancelledError:
                if not asking.cancelled():  # it is the waiting that was given up, not the asking
                    raise

    async def _lead(self, key: bytes, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """Ask for all who want to know; if the one who asks gives up, another of them begins anew."""
        asking = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            found = await self._ask(token, audiences)
        except Unauthorized as error:
            asking.set_exception(error)
            asking.exception()  # perhaps nobody else waits for it
            raise
        except BaseException:
            asking.cancel()
            raise
        finally:
            del self._asking[key]
        asking.set_result(found)
        if found is not None:
            self._known.put(key, found, SECONDS)
        return found

    async def _ask(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        errors: list[str] = []
        for remote in self._remote:
            try:
                found = await remote.authenticate_token(token, audiences)
            except Unauthorized as error:
                errors.append(error.message)
                continue
            if found is not None:
                return found
        if errors:
            raise Unauthorized(aggregate(errors))
        return None

    def forget(self) -> None:
        """What was remembered may not hold any more: who is asked has changed."""
        self._known.clear()


def meant(audiences: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """Which audiences a token that names none is good for: those of the API server that were asked for."""
    return tuple(each for each in audiences if each in own) if audiences else tuple(own)
