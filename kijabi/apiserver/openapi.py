"""OpenAPI v3: one document for each group and version, for `kubectl explain`, validation and patches.

`plain.py` asks for `/openapi/v3` and what is below. Documents derive from the routes and the types
(`openapi_schema.py`); each is made when first asked for and kept as bytes. Their URLs carry a hash, so clients may keep
them for ever (KEP-2896). The OpenAPI v2 document names no type, so that kubectl, which asks for it where v3 does not
know a kind (`kind: List`), leaves all validation to the server.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from kijabi.api import protobuf
from kijabi.api.meta import DeleteOptions, Status
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag
from kijabi.apiserver import negotiate
from kijabi.apiserver.openapi_schema import PATCH, Names, Schemas
from kijabi.apiserver.routes import Routes, Served
from kijabi.base.errors import NotAcceptable
from kijabi.client.transport import Request, Response

ROOT = "/openapi/v3"
FOREVER = "public, immutable"
EXPIRES = "Thu, 31 Dec 2099 23:59:59 GMT"  # a hash never means another document
V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
V2_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"  # its old name, which media types do not allow
V3_JSON = "application/json"


class _Info(Struct):
    """Gnostic's openapi.v2.Info."""

    title: Annotated[str, Tag(1)] = "Kubernetes"
    version: Annotated[str, Tag(2)] = "v1.37.0"


class _Document(Struct):
    """Gnostic's openapi.v2.Document, as far as it is used here."""

    swagger: Annotated[str, Tag(1)] = "2.0"
    info: Annotated[_Info, Tag(2)] = msgspec.field(default_factory=_Info)


# Verb → HTTP method, whether it is for the collection, and the name that operations carry.
_VERBS: dict[str, tuple[str, bool, str]] = {
    "list": ("get", True, "list"),
    "create": ("post", True, "post"),
    "deletecollection": ("delete", True, "deletecollection"),
    "get": ("get", False, "get"),
    "update": ("put", False, "put"),
    "patch": ("patch", False, "patch"),
    "delete": ("delete", False, "delete"),
}
_TEXT = {"type": "string", "uniqueItems": True}
_NUMBER = {"type": "integer", "uniqueItems": True}
_FLAG = {"type": "boolean", "uniqueItems": True}
_WRITE = {"dryRun": _TEXT, "fieldManager": _TEXT, "fieldValidation": _TEXT}
_LIST = {
    "allowWatchBookmarks": _FLAG,
    "continue": _TEXT,
    "fieldSelector": _TEXT,
    "labelSelector": _TEXT,
    "limit": _NUMBER,
    "resourceVersion": _TEXT,
    "resourceVersionMatch": _TEXT,
    "sendInitialEvents": _FLAG,
    "timeoutSeconds": _NUMBER,
    "watch": _FLAG,
}
_DELETE = {"dryRun": _TEXT, "gracePeriodSeconds": _NUMBER, "orphanDependents": _FLAG, "propagationPolicy": _TEXT}
_QUERY: dict[str, dict[str, dict[str, Any]]] = {
    "create": _WRITE,
    "update": _WRITE,
    "patch": {**_WRITE, "force": _FLAG},
    "list": _LIST,
    "delete": _DELETE,
    "deletecollection": {**_LIST, **_DELETE},
}


class OpenApi:
    """The documents of all groups."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.names = Names()
        self._documents: dict[str, tuple[bytes, str]] = {}
        self._index: bytes = b""

    def invalidate(self) -> None:
        """The routes have changed."""
        self._documents.clear()
        self._index = b""

    def answer(self, request: Request, path: str) -> Response | None:
        """The index, a document, or None where there is none. Raises NotAcceptable."""
        if path == "/openapi/v2":
            return self._version_2(request)
        negotiate.output(request, "plain")
        if path == ROOT:
            return self._list(request)
        if not path.startswith(f"{ROOT}/"):
            return None
        found = self._document(path.removeprefix(f"{ROOT}/"))
        if found is None:
            return None
        body, digest = found
        headers = {"Content-Type": V3_JSON, "Etag": f'"{digest}"', "Vary": "Accept"}
        asked = request.param("hash")
        if asked and asked != digest:
            return Response(status=301, headers={"Location": f"{path}?hash={quote(digest)}"})
        if asked:
            headers["Cache-Control"] = FOREVER
            headers["Expires"] = EXPIRES
        if request.headers.get("if-none-match") == headers["Etag"]:
            return Response(status=304, headers=headers)
        return negotiate.finish(request, Response(headers=headers, body=body))

    def _version_2(self, request: Request) -> Response:
        """The document of kubectl's older ways, in the one form that they ask for."""
        accepted = request.headers.get("accept", "")
        if V2 not in accepted and V2_ASKED not in accepted:
            raise NotAcceptable(f"only the following media types are accepted: {V2_ASKED}, {V2}")
        body = protobuf.encode(_Document())
        etag = f'"{hashlib.sha512(body).hexdigest().upper()}"'
        headers = {"Content-Type": V2, "Etag": etag, "Vary": "Accept"}
        return Response(headers=headers, body=body)

    def _list(self, request: Request) -> Response:
        """Where the documents are."""
        if not self._index:
            paths = {}
            for group, version in self.routes.versions:
                name = f"apis/{group}/{version}" if group else f"api/{version}"
                found = self._document(name)
                digest = found[1] if found is not None else ""
                paths[name] = {"serverRelativeURL": f"{ROOT}/{name}?hash={digest}"}
            self._index = msgspec.json.encode({"paths": paths})
        etag = f'"{hashlib.sha512(self._index).hexdigest().upper()}"'
        headers = {"Content-Type": V3_JSON, "Etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status=304, headers=headers)
        return negotiate.finish(request, Response(headers=headers, body=self._index))

    def _document(self, name: str) -> tuple[bytes, str] | None:
        """(document, hash) of `apis/apps/v1` or `api/v1`."""
        found = self._documents.get(name)
        if found is None:
            parts = name.split("/")
            group, version = ("", parts[-1]) if parts[0] == "api" else (parts[1] if len(parts) == 3 else "?", parts[-1])
            served = self.routes.versions.get((group, version))
            if served is None or len(parts) != (3 if group else 2):
                return None
            body = msgspec.json.encode(document(f"/{name}", list(served.values()), self.names))
            found = (body, hashlib.sha512(body).hexdigest().upper())
            self._documents[name] = found
        return found


def document(root: str, served: list[Served], names: Names) -> dict[str, Any]:
    """The OpenAPI document of one group and version."""
    schemas = Schemas(names)
    paths: dict[str, Any] = {}
    for each in served:
        resource = each.resource
        kind = identity(resource.group, resource.version, resource.kind)
        schemas.add(resource.type, [kind])
        if "list" in resource.verbs:
            listed = identity(resource.group, resource.version, f"{resource.kind}List")
            schemas.add_list(resource, [listed])
        scope = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
        collection = f"{scope}/{resource.plural}"
        item = f"{collection}/{{name}}"
        for verb in resource.verbs:
            if verb in _VERBS:
                method, whole, _ = _VERBS[verb]
                path = collection if whole else item
                operations = paths.setdefault(path, {"parameters": _parameters(path)})
                operations[method] = _operation(schemas, resource, verb, kind)
        if resource.namespaced and "list" in resource.verbs:
            operation = _operation(schemas, resource, "list", kind, everywhere=True)
            paths[f"{root}/{resource.plural}"] = {"get": operation}
        for sub in resource.subresources:
            path = f"{item}/{sub.name}"
            operations = paths.setdefault(path, {"parameters": _parameters(path)})
            for verb in sub.verbs:
                # Connections (exec, proxy …) are described by the methods that begin them.
                method = "post" if verb == "create" else _VERBS[verb][0]
                operations[method] = _sub_operation(schemas, resource, sub, verb)
    schemas.add(Status)
    schemas.add(DeleteOptions)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": paths,
        "components": {"schemas": schemas.found},
    }


def identity(group: str, version: str, kind: str) -> dict[str, str]:
    """A group, version and kind as extensions carry them."""
    return {"group": group, "version": version, "kind": kind}


def _parameters(path: str) -> list[dict[str, Any]]:
    """What stands in braces in a path."""
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(_TEXT)}
        for name in ("name", "namespace")
        if f"{{{name}}}" in path
    ]


def _operation(
    schemas: Schemas, resource: Resource, verb: str, kind: dict[str, str], everywhere: bool = False
) -> dict[str, Any]:
    """One verb on a resource."""
    own = schemas.add(resource.type)
    answer = schemas.add_list(resource, [identity(resource.group, resource.version, f"{resource.kind}List")]) if (
        verb == "list") else schemas.add(Status) if verb in ("delete", "deletecollection") else own  # fmt: skip
    scope = "Namespaced" if resource.namespaced and not everywhere else ""
    group = (resource.group.split(".")[0] or "core").capitalize() + resource.version.capitalize()
    suffix = "ForAllNamespaces" if everywhere else ""
    operation_id = f"{'read' if verb == 'get' else verb}{group}{scope}{resource.kind}{suffix}"
    return _described(schemas, verb, operation_id, kind, own, answer)


def _sub_operation(schemas: Schemas, resource: Resource, sub: Subresource, verb: str) -> dict[str, Any]:
    """One verb on a subresource."""
    group, version = sub.group or ("" if sub.version else resource.group), sub.version or resource.version
    kind = identity(group, version, sub.kind)
    body = schemas.add(sub.type) if sub.type is not None else {"type": "string"}
    if sub.type is not None and sub.type is not resource.type:
        schemas.add(sub.type, [kind])
    prefix = (resource.group.split(".")[0] or "core").capitalize() + resource.version.capitalize()
    action = verb if sub.type is not None else "connect"
    operation_id = f"{action}{prefix}{resource.kind}{sub.name.capitalize()}"
    return _described(schemas, action, operation_id, kind, body, body)


def _described(
    schemas: Schemas, verb: str, operation_id: str, kind: dict[str, str], body: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "responses": {"200": {"description": "OK", "content": {V3_JSON: {"schema": answer}}}},
        "x-kubernetes-action": _VERBS[verb][2] if verb in _VERBS else verb,
        "x-kubernetes-group-version-kind": kind,
    }
    query = _QUERY.get(verb)
    if query:
        operation["parameters"] = [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    if verb == "patch":
        content = {media: {"schema": schemas.basic(PATCH)} for media in negotiate.PATCHES}
        operation["requestBody"] = {"required": True, "content": content}
    elif verb in ("create", "update"):
        operation["requestBody"] = {"required": True, "content": {V3_JSON: {"schema": body}}}
    elif verb in ("delete", "deletecollection"):
        content = {V3_JSON: {"schema": schemas.add(DeleteOptions)}}
        operation["requestBody"] = {"content": content}
    return operation
