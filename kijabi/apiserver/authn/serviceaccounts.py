"""Bearer tokens of service accounts: the claims of a signed token against what exists now.

`chain.py` and TokenReview hand a token's text in; `tokens.py` checks its signature; the service account, and
the pod, secret or node that the token is bound to, are looked up in the watch caches, so a token ends with
them. Rules: k8s.io/kubernetes `pkg/serviceaccount` and KEP-1205 (bound service account tokens).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import Reader, UserInfo
from kijabi.apiserver.authn.certificates import CREDENTIAL_ID
from kijabi.apiserver.authn.tokens import Claims, Keys, Kubernetes, Named
from kijabi.apiserver.authz.rules import go_list
from kijabi.base import clock
from kijabi.base.errors import Unauthorized

LEEWAY = 60.0  # clocks of servers differ; and a pod that is going may finish with its token
PREFIX = "system:serviceaccount:"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_NODE_UID = "authentication.kubernetes.io/node-uid"


class Authenticated(NamedTuple):
    """A token that holds: its user, and which of the audiences asked for it is meant for."""

    user: UserInfo
    audiences: tuple[str, ...]


def user_name(namespace: str, name: str) -> str:
    """How a service account is called as a user."""
    return f"{PREFIX}{namespace}:{name}"


def split_user_name(name: str) -> tuple[str, str] | None:
    """Namespace and name of a service account by its user name; None if it is no such name."""
    parts = name.removeprefix(PREFIX).split(":")
    if not name.startswith(PREFIX) or len(parts) != 2 or not all(parts):
        return None
    return parts[0], parts[1]


def groups(namespace: str) -> tuple[str, str]:
    """The groups that every service account of a namespace is in."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


class TokenAuthenticator:
    """Knows the service accounts of this cluster by their tokens. issuer: the `iss` of our tokens. audiences:
    those of this API server, for which a token must be meant unless the asker names others."""

    def __init__(self, keys: Keys, reader: Reader, issuer: str, audiences: Sequence[str]) -> None:
        self._keys = keys
        self._reader = reader
        self.issuer = issuer
        self.audiences = tuple(audiences)

    def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """Whose token this is; None if it is not one of this issuer's.

        Raises Unauthorized, saying why, when it is ours but does not hold.
        """
        claims = self._keys.verify(token, self.issuer)
        if claims is None:
            return None
        wanted = tuple(audiences) or self.audiences
        meant = tuple(each for each in claims.audiences if each in wanted)
        if not meant:
            raise Unauthorized(
                f"token audiences {go_list(claims.audiences)} is invalid for the target audiences {go_list(wanted)}"
            )
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
        return UserInfo(
            name=user_name(namespace, name),
            uid=bound.serviceaccount.uid,
            groups=groups(namespace),
            extra=_extra(claims.jti, bound),
        )

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


def _gone(obj: Any, now: float) -> bool:
    deleted = obj.metadata.deletionTimestamp
    return deleted is not None and deleted.timestamp() < now - LEEWAY


def _extra(jti: str, bound: Kubernetes) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    if jti:
        extra[CREDENTIAL_ID] = (f"JTI={jti}",)
    if bound.pod is not None:
        extra[_POD_NAME], extra[_POD_UID] = (bound.pod.name,), (bound.pod.uid,)
    if bound.node is not None:
        extra[_NODE_NAME] = (bound.node.name,)
        if bound.node.uid:
            extra[_NODE_UID] = (bound.node.uid,)
    return extra
