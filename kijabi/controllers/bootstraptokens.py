"""Bootstrap tokens: one controller signs what a joining machine must know with each of them, another removes those
that are out of date. Both run only on request (`--controller-arg controllers=*,bootstrapsigner,tokencleaner`).

The signer writes signatures into the ConfigMap kube-public/cluster-info, so that a machine which knows a token can tell
that the address and certificate there are the right ones. `signatures` and `due` are pure (documentation
"Authenticating with Bootstrap Tokens"; detached content: RFC 7515, appendix F).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from kijabi.api.core.bootstraptoken import NAMESPACE, TYPE, expiry, named, text
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.secret import Secret
from kijabi.base import clock
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer, Informers
from kijabi.controllers.runtime import Context, Source

PUBLIC, INFO = "kube-public", "cluster-info"
CONTENT = "kubeconfig"
SIGNATURE = "jws-kubeconfig-"


def _tokens(informers: Informers) -> Informer[Secret]:
    return informers.of(Secret, namespace=NAMESPACE, fields=f"type={TYPE}")


def due(secret: Secret) -> float | None:
    """When a token ends, in seconds since the epoch; None: never, minus infinity: its time is no time."""
    try:
        return expiry(secret)
    except ValueError:
        return float("-inf")


def sign(content: str, token: str, secret: str) -> str:
    """The signature of a content that does not stand in it, by a token's id and secret."""
    head = _base64(f'{{"alg":"HS256","kid":"{token}"}}'.encode())
    signed = f"{head}.{_base64(content.encode())}"
    return f"{head}..{_base64(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signatures(content: str, secrets: Iterable[Secret], now: float) -> dict[str, str]:
    """Keys and values of the signatures by all tokens that are meant for it and in force."""
    found: dict[str, str] = {}
    for secret in secrets:
        token, value, ends = text(secret, "token-id"), text(secret, "token-secret"), due(secret)
        fit = token and token == named(secret) and value and text(secret, "usage-bootstrap-signing") == "true"
        if fit and (ends is None or ends > now):
            found[SIGNATURE + token] = sign(content, token, value)
    return found


class BootstrapSigner:
    """The controller of signatures; its only key is the ConfigMap."""

    name = "bootstrap-signer"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.tokens = _tokens(context.informers)
        self.info = context.informers.of(ConfigMap, namespace=PUBLIC, fields=f"metadata.name={INFO}")

    def sources(self) -> Sequence[Source]:
        return tuple(Source(each, lambda old, new: (INFO,)) for each in (self.tokens, self.info))

    async def reconcile(self, key: str) -> float | None:
        info = self.info.get(f"{PUBLIC}/{INFO}")
        if info is None or CONTENT not in info.data:
            return None
        now = clock.wall()
        tokens = tuple(self.tokens.items())
        rest = {name: value for name, value in info.data.items() if not name.startswith(SIGNATURE)}
        data = rest | signatures(info.data[CONTENT], tokens, now)
        if data != info.data:
            try:
                await self.client.update(replace(info, data=data))
            except NotFound:
                return None
        ends = (end for token in tokens if (end := due(token)) is not None and end > now)
        return min(ends, default=now) - now or None


class TokenCleaner:
    """The controller that removes tokens when they end; a key is a Secret's."""

    name = "token-cleaner"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.tokens = _tokens(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.tokens, lambda old, new: (key_of(new),) if new is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        secret = self.tokens.get(key)
        ends = due(secret) if secret is not None else None
        if secret is None or ends is None:
            return None
        if (wait := ends - clock.wall()) > 0:
            return wait
        own = secret.metadata
        try:
            await self.client.delete(Secret, own.name, own.namespace, uid=own.uid)
        except (NotFound, Conflict):
            return None
        return None
