"""Reads a request's line into a RequestInfo: which verb on which resource, or which plain path.

`server.py` calls `parse` first for every request; authorisation and routing read only its result. The rules are those
of k8s.io/apiserver `pkg/endpoints/request` (RequestInfoFactory), deprecated `/watch/` and `/proxy/` prefixes included.
"""

from __future__ import annotations

from kijabi.apiserver.attributes import RequestInfo
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Request

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PREFIX_VERBS = frozenset(("proxy", "watch"))
_NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))
_WITH_SELECTORS = frozenset(("list", "watch", "deletecollection"))
_FALSE = frozenset(("false", "0"))


def parse(request: Request) -> RequestInfo:
    """The RequestInfo of a request. Raises BadRequest for `/api/v1/watch` with nothing after it."""
    path = request.path
    parts = path.strip("/").split("/")
    count = len(parts)
    if parts[0] == "api" and count >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and count >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb=request.method.lower(), path=path)

    verb = _VERBS.get(request.method, "")
    by_prefix = rest[0] in _PREFIX_VERBS
    if by_prefix:
        if len(rest) < 2:
            raise BadRequest(f"unable to determine kind and namespace from url, {path}")
        verb, rest = rest[0], rest[1:]

    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]

    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 and verb != "proxy" else ""
    tail = "/" + "/".join(rest[3:]) if len(rest) > 3 else ""
    if subresource and path.endswith("/"):
        tail += "/"
    field_selector = label_selector = ""
    if not name and verb in ("get", "delete"):
        verb, name = _collection_verb(verb, request)
    if verb in _WITH_SELECTORS and request.query and not by_prefix:
        field_selector = request.param("fieldSelector")
        label_selector = request.param("labelSelector")
    return RequestInfo(
        verb=verb, path=path, is_resource=True, group=group, version=version, resource=rest[0],
        subresource=subresource, namespace=namespace, name=name, rest=tail,
        field_selector=field_selector, label_selector=label_selector,
    )  # fmt: skip


def _collection_verb(verb: str, request: Request) -> tuple[str, str]:
    """`list`, `watch` or `deletecollection`, with the one name that a field selector asks for."""
    if verb == "delete":
        return "deletecollection", ""
    if not request.query:
        return "list", ""
    watch = next((value.lower() for key, value in request.query if key == "watch"), "false")
    verb = "list" if watch in _FALSE else "watch"
    for term in request.param("fieldSelector").split(","):
        key, equals, value = term.partition("=")
        if key == "metadata.name" and equals:
            value = value.removeprefix("=")
            if value and "/" not in value and "%" not in value and value not in (".", ".."):
                return verb, value
    return verb, ""
