"""The words for "you may not": the Forbidden that a denied request gets.

`server.py` raises it after authorisation, `registry.py` where one request needs a second permission. The text is that
of k8s.io/apiserver `pkg/endpoints/handlers/responsewriters`, which clients and tests read.
"""

from __future__ import annotations

import logging
from urllib.parse import quote as escape
from urllib.parse import urlencode

from kijabi.api import status
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import RequestInfo, UserInfo
from kijabi.base.errors import Forbidden
from kijabi.client.transport import Request, Response

log = logging.getLogger(__name__)
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


def forbidden(user: UserInfo, info: RequestInfo, reason: str) -> Forbidden:
    """The error for a denied request; reason is what the authoriser said, if anything."""
    text = sanitize(_message(user, info))
    if reason:
        text = f"{text}: {reason}"
    target = f"{info.resource}.{info.group}" if info.group else info.resource
    return status.forbidden(target, info.name, text)


def undecided(request: Request, error: str) -> Response:
    """The answer where nobody could decide, for an authorizer failed."""
    log.error("not authorised for want of a decision", extra={"path": request.path, "reason": error})
    return failed(request, error)


def failed(request: Request, error: str) -> Response:
    """The answer where what comes before any handler failed: 500 and a plain text, as upstream answers."""
    target = escape(request.path, safe="/:@!$&'()*+,;=~")
    if request.query:
        target += "?" + urlencode(request.query)
    text = sanitize(f"Internal Server Error: {quote(target)}: {error}")
    return Response(status=500, headers=dict(_TEXT), body=f"{text}\n".encode())


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
