"""The OpenAPI v3 document of one group and version: its paths with their operations, and the schemas they speak of.

`serving.py` asks for it. Everything derives from the resources that are served there; names of operations and
parameters are those that kube-openapi gives, because clients are generated from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kijabi.api.custom import Custom
from kijabi.api.meta import DeleteOptions, Status
from kijabi.api.resource import Resource, Subresource
from kijabi.apiserver.negotiate import JSON, YAML
from kijabi.apiserver.openapi.schema import KINDS, PATCH, Names, Schemas, identity
from kijabi.apiserver.routes import Served

INFO = {"title": "Kubernetes", "version": "v1.37.0"}
PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
STRATEGIC = "application/strategic-merge-patch+json"
# Verb → HTTP method, whether it is for the collection, the action that operations state, the word in their names.
_VERBS: dict[str, tuple[str, bool, str, str]] = {
    "list": ("get", True, "list", "list"),
    "create": ("post", True, "post", "create"),
    "deletecollection": ("delete", True, "deletecollection", "deleteCollection"),
    "get": ("get", False, "get", "read"),
    "update": ("put", False, "put", "replace"),
    "patch": ("patch", False, "patch", "patch"),
    "delete": ("delete", False, "delete", "delete"),
}
_TEXT = {"type": "string", "uniqueItems": True}
_NUMBER = {"type": "integer", "uniqueItems": True}
_FLAG = {"type": "boolean", "uniqueItems": True}
_PRETTY = {"pretty": _TEXT}
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
_DELETE = {
    "dryRun": _TEXT,
    "gracePeriodSeconds": _NUMBER,
    "ignoreStoreReadErrorWithClusterBreakingPotential": _FLAG,
    "orphanDependents": _FLAG,
    "propagationPolicy": _TEXT,
}
_QUERY: dict[str, dict[str, dict[str, Any]]] = {
    "create": _WRITE,
    "update": _WRITE,
    "patch": {**_WRITE, "force": _FLAG},
    "list": _LIST,
    "delete": _DELETE,
    "deletecollection": {**_LIST, **_DELETE},
}
_SUCCESSES = {
    "create": ("200", "201", "202"),
    "update": ("200", "201"),
    "patch": ("200", "201"),
    "delete": ("200", "202"),
}
_WORDS = {"200": "OK", "201": "Created", "202": "Accepted", "401": "Unauthorized"}
Document = dict[str, Any]


async def document(root: str, served: Iterable[Served], names: Names) -> Document:
    """The document of one group and version, whose resources are below `root` (`/apis/apps/v1`).

    Other requests have their turn between two resources.
    """
    schemas = Schemas(names)
    paths: Document = {}
    for each in tuple(served):
        _Paths(root, each.resource, schemas).write(paths)
        await schemas.settle()
    schemas.add(Status)
    schemas.add(DeleteOptions)
    await schemas.settle()
    return {"openapi": "3.0.0", "info": INFO, "paths": paths, "components": {"schemas": schemas.found}}


class _Paths:
    """The paths of one resource."""

    def __init__(self, root: str, resource: Resource, schemas: Schemas) -> None:
        self.root = root
        self.resource = resource
        self.schemas = schemas
        self.kind = identity(resource.group, resource.version, resource.kind)
        words = (resource.group.removesuffix(".k8s.io") or "core").split(".")
        self.group = "".join(word[:1].upper() + word[1:] for word in words) + resource.version.capitalize()
        self.tag = self.group[:1].lower() + self.group[1 : -len(resource.version)] + "_" + resource.version

    def write(self, paths: Document) -> None:
        resource = self.resource
        scope = f"{self.root}/namespaces/{{namespace}}" if resource.namespaced else self.root
        collection = f"{scope}/{resource.plural}"
        item = f"{collection}/{{name}}"
        for verb in resource.verbs:
            if verb in _VERBS:
                method, whole, _, _ = _VERBS[verb]
                self._at(paths, collection if whole else item)[method] = self._operation(verb)
        if resource.namespaced and "list" in resource.verbs:
            paths[f"{self.root}/{resource.plural}"] = {"get": self._operation("list", everywhere=True)}
        for sub in resource.subresources:
            operations = self._at(paths, f"{item}/{sub.name}")
            for verb in sub.verbs:
                # Connections (exec, proxy …) are described by the methods that begin them.
                operations["post" if verb == "create" else _VERBS[verb][0]] = self._sub_operation(sub, verb)

    @staticmethod
    def _at(paths: Document, path: str) -> Document:
        """What is described at a path already, with what stands in braces in it."""
        given = [
            {"name": name, "in": "path", "required": True, "schema": dict(_TEXT)}
            for name in ("name", "namespace")
            if f"{{{name}}}" in path
        ]
        found: Document = paths.setdefault(path, {"parameters": given})
        return found

    def _operation(self, verb: str, everywhere: bool = False) -> Document:
        """One verb on the resource."""
        resource, schemas = self.resource, self.schemas
        own = schemas.object(resource)
        answer = own
        if verb == "list":
            answer = schemas.list(resource)
        elif verb in ("delete", "deletecollection"):
            answer = schemas.add(Status)
        scope = "Namespaced" if resource.namespaced and not everywhere else ""
        suffix = "ForAllNamespaces" if everywhere else ""
        name = f"{_VERBS[verb][3]}{self.group}{scope}{resource.kind}{suffix}"
        return self._described(verb, name, self.kind, own, answer)

    def _sub_operation(self, sub: Subresource, verb: str) -> Document:
        """One verb on a subresource."""
        resource, schemas = self.resource, self.schemas
        group, version = sub.group or ("" if sub.version else resource.group), sub.version or resource.version
        body: Document = {"type": "string"}
        if sub.type is not None:
            body = schemas.object(resource) if sub.type is resource.type else schemas.add(sub.type)
        action = verb if sub.type is not None else "connect"
        word = _VERBS[verb][3] if sub.type is not None else "connect"
        scope = "Namespaced" if resource.namespaced else ""
        name = f"{word}{self.group}{scope}{resource.kind}{sub.name.capitalize()}"
        return self._described(action, name, identity(group, version, sub.kind), body, body)

    def _described(self, verb: str, name: str, kind: dict[str, str], body: Document, answer: Document) -> Document:
        schemas = self.schemas
        answers: Document = {
            code: {"description": _WORDS[code], "content": {media: {"schema": answer} for media in (JSON, YAML)}}
            for code in _SUCCESSES.get(verb, ("200",))
        }
        answers["401"] = {"description": _WORDS["401"]}
        action = _VERBS[verb][2] if verb in _VERBS else verb
        found: Document = {
            "description": f"{action} {kind['kind']}",
            "tags": [self.tag],
            "operationId": name,
            "responses": answers,
            "x-kubernetes-action": action,
            KINDS: kind,
        }
        query = {**_PRETTY, **_QUERY.get(verb, {})}
        found["parameters"] = [{"name": key, "in": "query", "schema": schema} for key, schema in query.items()]
        if verb == "patch":
            medias = PATCHES if self.resource.type is Custom else (*PATCHES, STRATEGIC)
            found["requestBody"] = _body(schemas.basic(PATCH), medias, needed=True)
        elif verb in ("create", "update"):
            found["requestBody"] = _body(body, (JSON,), needed=True)
        elif verb in ("delete", "deletecollection"):
            found["requestBody"] = _body(schemas.add(DeleteOptions), (JSON,), needed=False)
        return found


def _body(schema: Document, medias: Iterable[str], needed: bool) -> Document:
    content = {media: {"schema": schema} for media in medias}
    return {"required": True, "content": content} if needed else {"content": content}
