"""The words for "you may not": the Forbidden that a denied request gets.

`server.py` raises it after authorisation, `registry.py` where one request needs a second permission. The text is that
of k8s.io/apiserver `pkg/endpoints/handlers/responsewriters`, which clients and tests read.
"""

from __future__ import annotations

from kijabi.api import status
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.base.errors import Forbidden


def forbidden(user: UserInfo, info: RequestInfo, reason: str) -> Forbidden:
    """The error for a denied request; reason is what the authoriser said, if anything."""
    text = sanitize(_message(user, info))
    if reason:
        text = f"{text}: {reason}"
    target = f"{info.resource}.{info.group}" if info.group else info.resource
    return status.forbidden(target, info.name, text)


def _message(user: UserInfo, info: RequestInfo) -> str:
    who = f"User {quote(user.name)} cannot {info.verb}"
    if not info.is_resource:
        return f"{who} path {quote(info.path)}"
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    what = f"{who} resource {quote(resource)} in API group {quote(info.group)}"
    return f"{what} in the namespace {quote(info.namespace)}" if info.namespace else f"{what} at the cluster scope"


def sanitize(text: str) -> str:
    """Nothing that a browser could take for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
