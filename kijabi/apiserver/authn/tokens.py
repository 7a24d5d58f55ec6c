"""Service-account tokens as signed texts: makes them and checks their signatures (JWT, RFC 7519).

`subresources/token.py` has tokens made; `serviceaccounts.py` hands the texts of requests in and gets claims
back, then checks that what they name still exists. Only signatures are remembered, so a token dies with its
pod.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from kijabi.base import jws
from kijabi.base.errors import Unauthorized

CACHE = 4096  # verified tokens remembered
MAX_TOKEN = 16 * 1024
LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount/"


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


class LegacyClaims(msgspec.Struct, frozen=True):
    """What a token says that is kept in a Secret (k8s.io/kubernetes `pkg/serviceaccount/legacy.go`)."""

    iss: str = ""
    sub: str = ""
    aud: tuple[str, ...] | str = ()
    account: str = msgspec.field(default="", name=f"{_LEGACY}service-account.name")
    uid: str = msgspec.field(default="", name=f"{_LEGACY}service-account.uid")
    secret: str = msgspec.field(default="", name=f"{_LEGACY}secret.name")
    namespace: str = msgspec.field(default="", name=f"{_LEGACY}namespace")

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom the token is for; usually it does not say."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud


class Keys:
    """One key that signs, and all keys whose signatures count (after a change of key the old ones still
    do)."""

    def __init__(self, signing: jws.PrivateKey, others: Sequence[jws.PublicKey] = ()) -> None:
        self._signing = signing
        self.public = {jws.key_id(key): key for key in (signing.public_key(), *others)}
        self._verified: OrderedDict[bytes, Claims | LegacyClaims] = OrderedDict()

    @classmethod
    def from_files(cls, private: Path, *public: Path) -> Keys:
        """The signing key, and PEM files of the others."""
        return cls(jws.private_key(private), [key for path in public for key in jws.public_keys(path)])

    @classmethod
    def fresh(cls) -> Keys:
        """A key of its own that nobody keeps: for simulations and tests."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def algorithms(self) -> list[str]:
        """What the tokens may be signed with."""
        return sorted({jws.algorithms(key)[0] for key in self.public.values()})

    def sign(self, claims: Claims) -> str:
        """The token that says this."""
        return jws.sign(msgspec.to_builtins(claims), self._signing)

    def verify(self, token: str, issuers: Collection[str]) -> Claims | LegacyClaims | None:
        """What a token says, if one of the keys signed it; None if it is of none of these issuers.

        Says nothing about its time, audience or objects. Raises Unauthorized for a bad signature.
        """
        if len(token) > MAX_TOKEN:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        claims = self._verified.get(digest)
        if claims is not None:
            self._verified.move_to_end(digest)
            return claims
        parsed = jws.parse(token)
        if parsed is None:
            return None
        issuer = _issuer(parsed.payload)
        if issuer not in issuers:
            return None
        claims = self._check(token, parsed, LegacyClaims if issuer == LEGACY_ISSUER else Claims)
        self._verified[digest] = claims
        if len(self._verified) > CACHE:
            self._verified.popitem(last=False)
        return claims

    def _check(self, token: str, parsed: jws.Parsed, cls: type[Claims] | type[LegacyClaims]) -> Claims | LegacyClaims:
        fitting = [self.public[parsed.kid]] if parsed.kid in self.public else []
        if not parsed.kid:
            fitting = list(self.public.values())
        if not fitting:
            raise Unauthorized("invalid signature, no keys found")
        try:
            jws.verify(token, parsed.algorithm, fitting)
            return msgspec.json.decode(parsed.payload, type=cls)
        except (jws.BadToken, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise Unauthorized(str(error)) from error


def _issuer(payload: bytes) -> str | None:
    """The issuer that a token claims, unverified."""
    try:
        return msgspec.json.decode(payload, type=_Issuer).iss
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
