"""Bootstrap tokens: Secrets in kube-system by which machines that join prove who they are and check whom they join.

Source: documentation "Authenticating with Bootstrap Tokens"; `apiserver/authn/bootstrap.py` takes them as credentials,
`controllers/bootstraptokens.py` signs with them and removes those that are out of date.
"""

from __future__ import annotations

import re

from kijabi.api.core.secret import Secret
from kijabi.api.meta import Time

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
_NAME = re.compile(r"bootstrap-token-([a-z0-9]{6})")


def text(secret: Secret, key: str) -> str:
    """A value of the Secret, "" if it has none."""
    return bytes(secret.data.get(key, b"")).decode("utf-8", "replace")


def expiry(secret: Secret) -> float | None:
    """When it ends, in seconds since the epoch; None: never. Raises ValueError for what is no time."""
    said = text(secret, "expiration")
    return Time.parse(said).timestamp() if said else None


def named(secret: Secret) -> str:
    """The token's id as the Secret's name has it, "" if it is no such name."""
    match = _NAME.fullmatch(secret.metadata.name)
    return match[1] if match else ""
