"""Asks a webhook whose a token is, with a TokenReview (`--authentication-token-webhook-config-file`).

`bearer.py` asks it last. What it said is remembered for as long as `--authentication-token-webhook-cache-ttl` says.
Source: k8s.io/apiserver `plugin/pkg/authenticator/token/webhook`, documentation "Webhook Token Authentication".
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kijabi.api.authentication.tokenreview import TokenReviewStatus
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authn.bearer import Authenticated, meant
from kijabi.apiserver.webhooks.answers import status_of
from kijabi.apiserver.webhooks.calls import Configured
from kijabi.apiserver.webhooks.client import WebhookError
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.base.expiring import Expiring

log = logging.getLogger(__name__)

GROUP = "authentication.k8s.io"
VERSIONS = ("v1", "v1beta1")
REMEMBERED = 8192
UNKNOWN = Authenticated(UserInfo(""), ())  # remembered of a token that the webhook does not know


class WebhookTokens:
    """One webhook. audiences: of the API server. seconds: how long answers hold. Raises ConfigError."""

    def __init__(self, path: Path, version: str, audiences: Sequence[str], seconds: float) -> None:
        if version not in VERSIONS:
            text = f'unsupported authentication webhook version "{version}"'
            raise ConfigError(f'{text}, supported versions are "v1", "v1beta1"')
        self._hook = Configured(path)
        self._version = f"{GROUP}/{version}"
        self._audiences = tuple(audiences)
        self._seconds = seconds
        self._known: Expiring[bytes, Authenticated] = Expiring(REMEMBERED)

    async def authenticate_token(self, token: str, audiences: Sequence[str] = ()) -> Authenticated | None:
        """See Remote."""
        wanted = tuple(audiences) or self._audiences
        text = "".join(f"{len(part)}:{part}" for part in (token, *wanted))
        key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(key)
        if known is None:
            known = await self._ask(token, wanted) or UNKNOWN
            if self._seconds > 0:
                self._known.put(key, known, self._seconds)
        return None if known is UNKNOWN else known

    async def _ask(self, token: str, wanted: tuple[str, ...]) -> Authenticated | None:
        """The webhook's answer; None if it does not know the token. Raises Unauthorized if it says why, or nothing."""
        spec: dict[str, Any] = {"token": token, "audiences": wanted}
        review = {"kind": "TokenReview", "apiVersion": self._version, "metadata": {}, "spec": spec, "status": {}}
        review["status"] = {"user": {}}
        try:
            answer = await self._hook.post(review)
            status = status_of(TokenReviewStatus, answer, "TokenReview", self._version)
        except WebhookError as error:
            log.error("authentication webhook failed", extra={"reason": str(error)})
            raise Unauthorized(str(error)) from None
        fitting = meant(wanted, status.audiences or self._audiences)
        if fitting and not status.authenticated and status.error:
            raise Unauthorized(status.error)
        if not fitting or not status.authenticated:
            return None
        user = status.user
        return Authenticated(UserInfo(user.username, uid=user.uid, groups=user.groups, extra=user.extra), fitting)

    def close(self) -> None:
        """Ask no more."""
        self._hook.close()
