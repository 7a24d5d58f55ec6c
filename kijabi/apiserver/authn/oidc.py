"""OpenID Connect discovery: where others find the keys that check this cluster's service-account tokens.

`server.py` serves the two documents at the paths below (`routes`). Source: KEP-1393, OpenID Connect Discovery
1.0, RFC 7517 (JWKS).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from kijabi.apiserver.authn.tokens import ALGORITHM, Keys
from kijabi.client.transport import Response

CONFIGURATION_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/openid/v1/jwks"
_CACHE = "public, max-age=3600"


def configuration(issuer: str, server: str) -> Response:
    """The provider's configuration. server: the URL at which others reach this API server."""
    document = {
        "issuer": issuer,
        "jwks_uri": server.rstrip("/") + KEYS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }
    return _response(document, "application/json")


def key_set(keys: Keys) -> Response:
    """The public keys as a JSON Web Key Set."""
    document = {"keys": [_web_key(kid, key) for kid, key in keys.public.items()]}
    return _response(document, "application/jwk-set+json")


def _response(document: Mapping[str, object], media: str) -> Response:
    headers = {"Content-Type": media, "Cache-Control": _CACHE}
    return Response(headers=headers, body=msgspec.json.encode(document))


def _web_key(kid: str, key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    size = (key.curve.key_size + 7) // 8
    return {
        "use": "sig",
        "kty": "EC",
        "kid": kid,
        "crv": "P-256",
        "alg": ALGORITHM,
        "x": _unsigned(numbers.x, size),
        "y": _unsigned(numbers.y, size),
    }


def _unsigned(number: int, size: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()
