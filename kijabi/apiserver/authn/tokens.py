"""Service-account tokens as signed texts: makes them and checks their signatures (JWT, RFC 7519, ES256).

`subresources/token.py` has tokens made; `serviceaccounts.py` hands the texts of requests in and gets claims
back, then checks that what they name still exists. Only signatures are remembered, so a token dies with its
pod.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kijabi.apiserver.pki import key_id, load_key
from kijabi.base.errors import ConfigError, Unauthorized

log = logging.getLogger(__name__)

CACHE = 4096  # verified tokens remembered
MAX_TOKEN = 16 * 1024
ALGORITHM = "ES256"


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that a token is bound to."""

    name: str = ""
    uid: str = ""


class Kubernetes(msgspec.Struct, frozen=True, omit_defaults=True):
    """The private claim `kubernetes.io` (k8s.io/kubernetes `pkg/serviceaccount/claims.go`)."""

    namespace: str = ""
    serviceaccount: Named = Named()
    pod: Named | None = None
    secret: Named | None = None
    node: Named | None = None
    warnafter: int | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says. Times are whole seconds since the epoch."""

    iss: str = ""
    sub: str = ""
    aud: tuple[str, ...] | str = ()
    exp: float = 0
    iat: float = 0
    nbf: float = 0
    jti: str = ""
    kubernetes: Kubernetes = msgspec.field(default_factory=Kubernetes, name="kubernetes.io")

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom the token is for; a single one may be written without a list."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud


class _Issuer(msgspec.Struct):
    iss: str = ""


class Keys:
    """One key that signs, and all keys whose signatures count (after a change of key the old ones still
    do)."""

    def __init__(self, signing: ec.EllipticCurvePrivateKey, others: Sequence[ec.EllipticCurvePublicKey] = ()) -> None:
        self._signing = signing
        self.public = {key_id(key): key for key in (signing.public_key(), *others)}
        self._kid = next(iter(self.public))
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    @classmethod
    def from_files(cls, private: Path, public: Path) -> Keys:
        """The signing key, and the PEM bundle of public keys beside it."""
        others: list[ec.EllipticCurvePublicKey] = []
        try:
            blocks = public.read_text().split("-----BEGIN ")[1:]
            for block in blocks:
                key = serialization.load_pem_public_key(f"-----BEGIN {block}".encode())
                if isinstance(key, ec.EllipticCurvePublicKey):
                    others.append(key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{public}: not readable as public keys: {error}") from error
        return cls(load_key(private), others)

    @classmethod
    def fresh(cls) -> Keys:
        """A key of its own that nobody keeps: for simulations and tests."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, claims: Claims) -> str:
        """The token that says this."""
        import jwt  # 2 MB that a cluster without pods does without

        payload: dict[str, Any] = msgspec.to_builtins(claims)
        return jwt.encode(payload, self._signing, algorithm=ALGORITHM, headers={"kid": self._kid})

    def verify(self, token: str, issuer: str) -> Claims | None:
        """What a token says, if one of the keys signed it; None if it is not of this issuer at all.

        Says nothing about its time, audience or objects. Raises Unauthorized for a bad signature.
        """
        if len(token) > MAX_TOKEN:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        claims = self._verified.get(digest)
        if claims is not None:
            self._verified.move_to_end(digest)
            return claims
        if _issuer(token) != issuer:
            return None
        claims = self._check(token)
        self._verified[digest] = claims
        if len(self._verified) > CACHE:
            self._verified.popitem(last=False)
        return claims

    def _check(self, token: str) -> Claims:
        import jwt

        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            key = self.public.get(str(kid)) if kid else next(iter(self.public.values()))
            if key is None:
                raise Unauthorized("invalid signature, no keys found")
            payload = jwt.api_jws.decode(token, key, algorithms=[ALGORITHM])
            return msgspec.json.decode(payload, type=Claims)
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            raise Unauthorized(f"invalid bearer token: {error}") from error


def _issuer(token: str) -> str | None:
    """The issuer that a token claims, unverified; None if it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Issuer).iss
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
