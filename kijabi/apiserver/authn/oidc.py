"""OpenID Connect discovery: where others find the keys that check this cluster's service-account tokens.

`server.py` serves the two documents at the paths below (`routes`). Source: KEP-1393, OpenID Connect Discovery
1.0, RFC 7517 (JWKS).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from kijabi.apiserver.authn.tokens import Keys
from kijabi.base.jws import PublicKey, algorithms
from kijabi.client.transport import Response

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
_CACHE = "public, max-age=3600"


def pages(issuer: str, keys_at: str, keys: Keys) -> dict[str, Callable[[], Response]]:
    """The documents by their paths; none where the issuer is no https URL, as the specification wants it to be."""
    if not issuer.startswith("https://"):
        return {}
    return {
        CONFIGURATION_PATH: lambda: configuration(issuer, keys_at, keys),
        KEYS_PATH: lambda: key_set(keys),
    }


def configuration(issuer: str, keys_at: str, keys: Keys) -> Response:
    """The provider's configuration. keys_at: the URL at which others read the keys."""
    document = {
        "issuer": issuer,
        "jwks_uri": keys_at,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": keys.algorithms,
    }
    return _response(document, "application/json")


def key_set(keys: Keys) -> Response:
    """The public keys as a JSON Web Key Set."""
    document = {"keys": [_web_key(kid, key) for kid, key in keys.public.items()]}
    return _response(document, "application/jwk-set+json")


def _response(document: Mapping[str, object], media: str) -> Response:
    headers = {"Content-Type": media, "Cache-Control": _CACHE}
    return Response(headers=headers, body=msgspec.json.encode(document))


def _web_key(kid: str, key: PublicKey) -> dict[str, str]:
    if isinstance(key, rsa.RSAPublicKey):
        public, alg = key.public_numbers(), algorithms(key)[0]
        numbers_of = {"n": _unsigned(public.n), "e": _unsigned(public.e)}
        return {"use": "sig", "kty": "RSA", "kid": kid, "alg": alg, **numbers_of}
    numbers = key.public_numbers()
    size = (key.curve.key_size + 7) // 8
    curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[key.curve.name]
    return {
        "use": "sig", "kty": "EC", "kid": kid, "crv": curve, "alg": algorithms(key)[0],
        "x": _unsigned(numbers.x, size), "y": _unsigned(numbers.y, size),
    }  # fmt: skip


def _unsigned(number: int, size: int = 0) -> str:
    data = number.to_bytes(size or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
