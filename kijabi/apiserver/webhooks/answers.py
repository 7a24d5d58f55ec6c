"""The answers of webhooks that fill in an object's status: TokenReview and SubjectAccessReview.

`authn/webhook.py` and `authz/webhook.py` read them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from kijabi.api import codec
from kijabi.api.gotext import quote
from kijabi.api.struct import Struct
from kijabi.apiserver.webhooks.client import WebhookError
from kijabi.base.errors import BadRequest

T = TypeVar("T", bound=Struct)


def status_of(cls: type[T], answer: dict[str, Any], kind: str, version: str) -> T:
    """The status in a webhook's answer. Raises WebhookError for another kind of answer, or none."""
    for name, wanted in (("kind", kind), ("apiVersion", version)):
        if answer.get(name) != wanted:
            found = quote(str(answer.get(name, "")))
            raise WebhookError(f"the webhook's answer has {name} {found}, not {quote(wanted)}")
    try:
        return codec.from_builtins(cls, answer.get("status") or {})
    except BadRequest as error:
        raise WebhookError(error.message) from None
