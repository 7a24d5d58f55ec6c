"""Bearer tokens of service accounts: the claims of a signed token against what exists now.

`bearer.py` hands a token's text in; `tokens.py` checks its signature; the service account, and the pod, secret or node
that the token is bound to, are looked up in the watch caches, so a token ends with them. Tokens that are kept in
Secrets are `legacy.py`'s. Rules: k8s.io/kubernetes `pkg/serviceaccount` and KEP-1205 (bound service account tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import Reader, UserInfo
from kijabi.apiserver.audit import context
from kijabi.apiserver.authn import names
from kijabi.apiserver.authn.bearer import Authenticated
from kijabi.apiserver.authn.legacy import LegacyTokens
from kijabi.apiserver.authn.names import CREDENTIAL_ID, NODE_NAME
from kijabi.apiserver.authn.tokens import CACHE, LEGACY_ISSUER, Claims, Keys, Kubernetes, LegacyClaims, Named
from kijabi.apiserver.authz.rules import go_list
from kijabi.base import clock
from kijabi.base.errors import Unauthorized

LEEWAY = 60.0  # clocks of servers differ; and a pod that is going may finish with its token
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_NODE_UID = "authentication.kubernetes.io/node-uid"


class TokenAuthenticator:
    """Knows the service accounts of this cluster by their tokens. issuers: the `iss` of our tokens, of old ones too.
    audiences: those of this API server, for which a token must be meant unless the asker names others. legacy: for the
    tokens that are kept in Secrets."""

    def __init__(
        self,
        keys: Keys,
        reader: Reader,
        issuers: Sequence[str],
        audiences: Sequence[str],
        legacy: LegacyTokens | None = None,
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._legacy = legacy
        self._issuers = frozenset((*issuers, LEGACY_ISSUER) if legacy is not None else issuers)
        self.audiences = tuple(audiences)
        self._users: dict[int, tuple[Claims, UserInfo]] = {}  # by the identity of claims that `keys` remembers

    def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """Whose token this is; None if it is not one of these issuers'.

        Raises Unauthorized, saying why, when it is ours but does not hold.
        """
        claims = self._keys.verify(token, self._issuers)
        if claims is None:
            return None
        wanted = tuple(audiences) or self.audiences
        own = claims.audiences
        if not own:
            context.annotate("authentication.k8s.io/legacy-token", claims.sub)
            own = self.audiences
        meant = tuple(each for each in own if each in wanted)
        if not meant:
            raise Unauthorized(f"token audiences {go_list(own)} is invalid for the target audiences {go_list(wanted)}")
        if isinstance(claims, LegacyClaims):
            assert self._legacy is not None  # its issuer is known only then
            return Authenticated(self._legacy.check(token, claims), meant)
        now = clock.wall()
        _check_times(claims, now)
        return Authenticated(self._check_objects(claims, now), meant)

    def _check_objects(self, claims: Claims, now: float) -> UserInfo:
        bound = claims.kubernetes
        namespace, name = bound.namespace, bound.serviceaccount.name
        account = self._reader.get(ServiceAccount, name, namespace)
        if account is None:
            raise Unauthorized(f"serviceaccounts {quote(name)} not found")
        if account.metadata.uid != bound.serviceaccount.uid:
            raise Unauthorized(
                f"service account UID ({account.metadata.uid}) does not match claim ({bound.serviceaccount.uid})"
            )
        if _gone(account, now):
            raise Unauthorized(f"service account {namespace}/{name} has been deleted")
        if bound.secret is not None:
            self._check_bound(Secret, "secret", bound.secret, namespace, now)
        if bound.pod is not None:
            self._check_bound(Pod, "pod", bound.pod, namespace, now)
        elif bound.node is not None:
            self._check_bound(Node, "node", bound.node, "", now)
        known = self._users.get(id(claims))
        if known is None or known[0] is not claims:
            if len(self._users) >= CACHE:
                self._users.clear()
            known = self._users[id(claims)] = claims, _user(claims)
        return known[1]

    def _check_bound(self, cls: type[Any], kind: str, ref: Named, namespace: str, now: float) -> None:
        there = self._reader.get(cls, ref.name, namespace)
        if there is not None and there.metadata.uid != ref.uid:
            raise Unauthorized(
                f"{kind} UID ({there.metadata.uid}) does not match service account {kind} ref claim ({ref.uid})"
            )
        if there is None or _gone(there, now):
            raise Unauthorized("service account token has been invalidated")


def _check_times(claims: Claims, now: float) -> None:
    if now > claims.exp + LEEWAY:
        raise Unauthorized("service account token has expired")
    if now < claims.nbf - LEEWAY:
        raise Unauthorized("service account token is not valid yet")
    if now < claims.iat - LEEWAY:
        raise Unauthorized("service account token is issued in the future")
    after = claims.kubernetes.warnafter
    if after and now > after:
        text = f"subject: {claims.sub}, seconds after warning threshold: {int(now) - after}"
        context.annotate("authentication.k8s.io/stale-token", text)


def _gone(obj: Any, now: float) -> bool:
    deleted = obj.metadata.deletionTimestamp
    return deleted is not None and deleted.timestamp() < now - LEEWAY


def _user(claims: Claims) -> UserInfo:
    """The user that a token's claims describe, whatever became of him."""
    bound = claims.kubernetes
    space = bound.namespace
    return UserInfo(
        name=names.user(space, bound.serviceaccount.name),
        uid=bound.serviceaccount.uid,
        groups=(*names.groups(space), names.AUTHENTICATED),
        extra=_extra(claims.jti, bound),
    )


def _extra(jti: str, bound: Kubernetes) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    if jti:
        extra[CREDENTIAL_ID] = (f"JTI={jti}",)
    if bound.pod is not None:
        extra[_POD_NAME], extra[_POD_UID] = (bound.pod.name,), (bound.pod.uid,)
    if bound.node is not None:
        extra[NODE_NAME] = (bound.node.name,)
        if bound.node.uid:
            extra[_NODE_UID] = (bound.node.uid,)
    return extra
