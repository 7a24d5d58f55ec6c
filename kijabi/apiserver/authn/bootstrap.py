"""Bootstrap tokens: Secrets in kube-system by which machines that join come in (`--enable-bootstrap-token-auth`).

`bearer.py` asks. Source: documentation "Authenticating with Bootstrap Tokens", k8s.io/kubernetes
`plugin/pkg/auth/authenticator/token/bootstrap`.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Sequence

from kijabi.api.core.bootstraptoken import NAMESPACE, TYPE, expiry, text
from kijabi.api.core.secret import Secret
from kijabi.apiserver.attributes import Reader, UserInfo
from kijabi.apiserver.authn.bearer import Authenticated, meant
from kijabi.base import clock

log = logging.getLogger(__name__)

GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    """Knows machines by such tokens. audiences: of the API server."""

    def __init__(self, reader: Reader, audiences: Sequence[str]) -> None:
        self._reader = reader
        self._audiences = tuple(audiences)

    def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """See Local: whatever is wrong with the Secret, the token is just not known."""
        match = _TOKEN.fullmatch(token)
        fitting = meant(audiences, self._audiences)
        if match is None or not fitting:
            return None
        secret = self._reader.get(Secret, f"bootstrap-token-{match[1]}", NAMESPACE)
        if secret is None:
            return None
        problem = _problem(secret, match[1], match[2])
        if problem:
            log.info("bootstrap token refused", extra={"secret": secret.metadata.name, "reason": problem})
            return None
        groups = text(secret, "auth-extra-groups")
        named = {GROUP, *groups.split(",")} if groups else {GROUP}
        return Authenticated(UserInfo(f"system:bootstrap:{match[1]}", groups=tuple(sorted(named))), fitting)


def _problem(secret: Secret, name: str, value: str) -> str:
    """Why a Secret does not stand for its token, "" if it does."""
    if secret.metadata.deletionTimestamp is not None:
        return "is deleted and awaiting removal"
    if secret.type != TYPE:
        return f"has invalid type, expected {TYPE}"
    if not hmac.compare_digest(text(secret, "token-secret").encode(), value.encode()):
        return "has invalid value for key token-secret"
    if text(secret, "token-id") != name:
        return "has invalid value for key token-id"
    try:
        ends = expiry(secret)
        if ends is not None and ends <= clock.wall():
            return "has expired"
    except ValueError:
        return "has unparsable expiration time"
    if text(secret, "usage-bootstrap-authentication") != "true":
        return "not marked usage-bootstrap-authentication=true"
    groups = text(secret, "auth-extra-groups")
    if groups and not all(_GROUP.fullmatch(group) for group in groups.split(",")):
        return "has invalid value for key auth-extra-groups"
    return ""
