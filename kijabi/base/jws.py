"""Signed texts (JWS, RFC 7515) and their keys: RSA and elliptic curves, read from PEM files or web keys, named, used.

The API server checks tokens with it, its own and those of other issuers; it and a controller sign them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kijabi.base.errors import ConfigError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS = tuple(sorted((*RSA_ALGORITHMS, "ES256", "ES384", "ES512")))
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
MAX_KEYS = 100  # of one file


class BadToken(Exception):
    """A token's form or signature is wrong; the text is for the log."""


class Parsed(NamedTuple):
    """A token in its parts, of which nothing is proved yet."""

    algorithm: str
    kid: str
    payload: bytes


def key_id(key: PublicKey) -> str:
    """The `kid` of a service-account key: unpadded base64url of SHA-256 over its DER form, as upstream's."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def algorithms(key: PublicKey) -> tuple[str, ...]:
    """The algorithms that a key's signatures may have, the one that it signs with first."""
    if isinstance(key, rsa.RSAPublicKey):
        return RSA_ALGORITHMS
    name = _CURVES.get(key.curve.name)
    return (name,) if name else ()


def private_key(path: Path) -> PrivateKey:
    """The key of a PEM file that signs tokens. Raises ConfigError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(f"{path}: not a readable private key: {error}") from error
    if not isinstance(key, PrivateKey) or not algorithms(key.public_key()):
        raise ConfigError(f"{path}: expected a private key of RSA or of the curves P-256, P-384 or P-521")
    return key


def public_keys(path: Path) -> list[PublicKey]:
    """The keys of a PEM file, which may be public, private, or in certificates. Raises ConfigError."""
    try:
        blocks = path.read_text().split("-----BEGIN ")[1:]
        keys = [key for block in blocks if (key := _public(f"-----BEGIN {block}".encode())) is not None]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not readable as public keys: {error}") from error
    if not keys or len(keys) > MAX_KEYS:
        raise ConfigError(f"{path}: data does not contain any valid RSA or ECDSA public keys")
    return keys


def _public(block: bytes) -> PublicKey | None:
    first = block.split(b"\n", 1)[0]
    key: Any
    if b"PRIVATE KEY" in first:
        private = serialization.load_pem_private_key(block, None)
        key = private.public_key() if isinstance(private, PrivateKey) else None
    elif b"CERTIFICATE" in first:
        key = x509.load_pem_x509_certificate(block).public_key()
    elif b"PUBLIC KEY" in first:
        key = serialization.load_pem_public_key(block)
    else:
        return None
    return key if isinstance(key, PublicKey) and algorithms(key) else None


def _decoded(text: str) -> bytes:
    if "=" in text or not text.isascii():
        raise ValueError("not base64url")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def parse(token: str) -> Parsed | None:
    """The parts of a compact JWS; None if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header = json.loads(_decoded(parts[0]))
        payload = _decoded(parts[1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or "crit" in header:
        return None
    kid = header.get("kid", "")
    return Parsed(str(header.get("alg", "")), kid if isinstance(kid, str) else "", payload)


def sign(payload: Mapping[str, Any], key: PrivateKey) -> str:
    """The compact form of a signed payload, with the name of its key."""
    import jwt  # 2 MB that a cluster without pods does without

    public = key.public_key()
    return jwt.encode(dict(payload), key, algorithm=algorithms(public)[0], headers={"kid": key_id(public)})


def verify(token: str, algorithm: str, keys: Collection[PublicKey]) -> None:
    """Check a token's signature by the keys, of which one suffices. Raises BadToken."""
    import jwt

    fitting = [key for key in keys if algorithm in algorithms(key)]
    for key in fitting:
        try:
            jwt.api_jws.decode(token, key, algorithms=[algorithm])
            return
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
    raise BadToken("go-jose/go-jose: error in cryptographic primitive")


def web_keys(document: Any) -> Iterator[tuple[str, PublicKey]]:
    """The keys of a JSON Web Key Set with their names; what cannot be used for signatures is left out. ValueError."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("no JSON Web Key Set")
    for item in document["keys"][:MAX_KEYS]:
        if isinstance(item, dict) and item.get("use", "sig") == "sig":
            key = _web_key(item)
            if key is not None:
                yield str(item.get("kid", "")), key


def _web_key(item: dict[str, Any]) -> PublicKey | None:
    try:
        if item.get("kty") == "RSA":
            return rsa.RSAPublicNumbers(_number(item["e"]), _number(item["n"])).public_key()
        curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}.get(str(item.get("crv")))
        if item.get("kty") == "EC" and curve is not None:
            return ec.EllipticCurvePublicNumbers(_number(item["x"]), _number(item["y"]), curve).public_key()
    except (KeyError, ValueError, TypeError):
        return None
    return None


def _number(text: Any) -> int:
    return int.from_bytes(_decoded(str(text)), "big")
