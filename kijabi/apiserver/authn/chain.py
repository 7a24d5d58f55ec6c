"""Authentication as a whole: front proxy, certificate, token, then anonymous, then impersonation.

`server.py` calls `Authentication.authenticate` once for each request, before authorisation. Whoever shows
credentials that do not hold gets 401, even though he could have come without any (k8s.io/apiserver
`pkg/authentication/request`).
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Collection

import msgspec

from kijabi.apiserver.attributes import Authorizer, Peer, UserInfo
from kijabi.apiserver.audit import context
from kijabi.apiserver.authn.bearer import Bearer
from kijabi.apiserver.authn.certificates import CertificateAuthenticator
from kijabi.apiserver.authn.impersonation import Impersonation, wanted
from kijabi.apiserver.authn.names import ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED
from kijabi.apiserver.authn.requestheader import FrontProxyAuthenticator
from kijabi.base.errors import Unauthorized
from kijabi.client.transport import Request

log = logging.getLogger(__name__)

_WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."
_PROTOCOLS = "sec-websocket-protocol"
_ANONYMOUS = UserInfo(name=ANONYMOUS, groups=(UNAUTHENTICATED,))


class Authentication:
    """Finds out who asks. authorizer: decides on impersonation. anonymous: let people in without credentials; paths:
    only there, if any are given."""

    def __init__(
        self,
        certificates: CertificateAuthenticator | None,
        tokens: Bearer | None,
        authorizer: Authorizer,
        *,
        front_proxy: FrontProxyAuthenticator | None = None,
        anonymous: bool = True,
        paths: Collection[str] = (),
    ) -> None:
        self._front_proxy = front_proxy
        self._certificates = certificates
        self._tokens = tokens
        self._impersonation = Impersonation(authorizer)
        self._anonymous = anonymous
        self._paths = frozenset(paths)

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """The user to act as; None if there are no credentials and anonymous requests are not let in.

        Raises Unauthorized for bad credentials; Forbidden or BadRequest for impersonation that is not
        allowed.
        """
        user = await self._identify(request, peer)
        if user is None or not wanted(request):
            return user
        context.identified(user)
        acting, constraint = await self._impersonation.impersonate(request, user)
        if acting is not user:
            context.impersonated(acting, constraint)
        return acting

    async def _identify(self, request: Request, peer: Peer) -> UserInfo | None:
        failure: Unauthorized | None = None
        if self._front_proxy is not None:
            user = await self._front_proxy.authenticate(request, peer)
            if user is not None:
                return authenticated(user)
        if self._certificates is not None:
            try:
                user = await self._certificates.authenticate(request, peer)
                if user is not None:
                    return authenticated(user)
            except Unauthorized as error:
                failure = error
        token = _take_token(request)
        if token:
            try:
                tokens = self._tokens
                if tokens is not None:
                    errors: list[str] = []
                    found = tokens.here(token, (), errors)
                    if found is None:
                        found = await tokens.elsewhere(token, (), errors)
                    return authenticated(found.user)
                failure = Unauthorized("invalid bearer token")
            except Unauthorized as error:
                failure = error
        if failure is not None:
            log.info("credentials refused", extra={"reason": failure.message, "peer": peer.address})
            raise Unauthorized("Unauthorized")
        if not self._anonymous or (self._paths and request.path not in self._paths):
            return None
        return _ANONYMOUS


def authenticated(user: UserInfo) -> UserInfo:
    """A user who showed credentials, in the group of all these."""
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return msgspec.structs.replace(user, groups=(*user.groups, AUTHENTICATED))


def _take_token(request: Request) -> str:
    """The bearer token, taken off the request so that nothing passes it on (to a pod, behind a proxy)."""
    words = request.headers.get("authorization", "").strip().split(" ", 2)
    if len(words) > 1 and words[0].lower() == "bearer" and words[1]:
        del request.headers["authorization"]
        return words[1]
    return _take_websocket_token(request)


def _take_websocket_token(request: Request) -> str:
    """Browsers cannot set headers on a WebSocket: there a token travels as one of the protocols on offer."""
    offered = request.headers.get(_PROTOCOLS, "")
    if _WEBSOCKET_TOKEN not in offered or request.headers.get("upgrade", "").lower() != "websocket":
        return ""
    protocols = [each.strip() for each in offered.split(",")]
    tokens = [each for each in protocols if each.startswith(_WEBSOCKET_TOKEN)]
    others = [each for each in protocols if not each.startswith(_WEBSOCKET_TOKEN)]
    if len(tokens) != 1 or not others:
        raise Unauthorized("Unauthorized")
    encoded = tokens[0].removeprefix(_WEBSOCKET_TOKEN)
    try:
        token = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise Unauthorized("Unauthorized") from error
    request.headers[_PROTOCOLS] = ", ".join(others)
    return token
