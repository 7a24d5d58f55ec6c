"""Discovery: what is served, as documents. Legacy ones path by path, and all at once in the aggregated form.

`plain.py` asks for `/api`, `/apis` and what is below. Everything derives from `routes.Routes`, is built when first
asked for, and built again after `invalidate` (a CustomResourceDefinition came or went). Shapes: k8s.io/api
`apidiscovery/v2` and k8s.io/apimachinery `pkg/apis/meta/v1` APIGroup, APIResource.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import msgspec

from kijabi.api.resource import Resource
from kijabi.apiserver import negotiate
from kijabi.apiserver.routes import Routes, Served
from kijabi.client.transport import Request, Response

_encode = msgspec.json.encode


class Discovery:
    """The documents. address: `host:port` that in-cluster clients are told."""

    def __init__(self, routes: Routes, address: str) -> None:
        self.routes = routes
        self.address = address
        self._documents: dict[str, bytes] = {}
        self._aggregated: dict[tuple[str, str], tuple[bytes, str]] = {}

    def invalidate(self) -> None:
        """The routes have changed."""
        self._documents.clear()
        self._aggregated.clear()

    def answer(self, request: Request, path: str) -> Response | None:
        """The document at a path, in the form that the client accepts; None if there is none."""
        if path in ("/api", "/apis"):
            media = negotiate.output(request, "discovery")
            if media.convert:
                return self._all_at_once(request, path, media.version)
        else:
            media = negotiate.output(request, "plain")
        if not self._documents:
            self._build()
        body = self._documents.get(path)
        if body is None:
            return None
        response = Response(headers={"Content-Type": negotiate.JSON}, body=body)
        return negotiate.finish(request, response, media.pretty)

    def paths(self) -> list[str]:
        """Every path that has a document."""
        if not self._documents:
            self._build()
        return list(self._documents)

    # Legacy

    def groups(self) -> dict[str, list[str]]:
        """Group → versions, the preferred one first; without the core group."""
        found: dict[str, list[str]] = {}
        for group, version in self.routes.versions:
            if group:
                found.setdefault(group, []).append(version)
        return found

    def _build(self) -> None:
        documents: dict[str, Any] = {}
        groups = [self._group(group, versions) for group, versions in self.groups().items()]
        documents["/api"] = {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": self.address}],
        }
        documents["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        for group in groups:
            documents[f"/apis/{group['name']}"] = {"kind": "APIGroup", "apiVersion": "v1", **group}
        for (name, version), served in self.routes.versions.items():
            path = f"/apis/{name}/{version}" if name else f"/api/{version}"
            documents[path] = self._resources(name, version, list(served.values()))
        self._documents = {path: _encode(document) for path, document in documents.items()}

    @staticmethod
    def _group(name: str, versions: list[str]) -> dict[str, Any]:
        listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
        return {"name": name, "versions": listed, "preferredVersion": listed[0]}

    @staticmethod
    def _resources(group: str, version: str, served: list[Served]) -> dict[str, Any]:
        listed: list[dict[str, Any]] = []
        for each in sorted(served, key=lambda one: one.resource.plural):
            resource = each.resource
            entry = {
                "name": resource.plural,
                "singularName": singular(resource),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(resource.verbs),
                "shortNames": list(resource.short),
                "categories": list(resource.categories),
                "storageVersionHash": storage_hash(resource) if each.cache is not None else "",
            }
            optional = ("shortNames", "categories", "storageVersionHash")
            listed.append({key: value for key, value in entry.items() if value or key not in optional})
            for sub in sorted(resource.subresources, key=lambda one: one.name):
                body = {
                    "name": f"{resource.plural}/{sub.name}",
                    "singularName": "",
                    "namespaced": resource.namespaced,
                    "group": sub.group,
                    "version": sub.version,
                    "kind": sub.kind,
                    "verbs": list(sub.verbs),
                }
                listed.append({key: value for key, value in body.items() if value or key == "singularName"
                               or key == "namespaced"})  # fmt: skip
        full = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": listed}

    # Aggregated

    def _all_at_once(self, request: Request, path: str, version: str) -> Response:
        found = self._aggregated.get((path, version))
        if found is None:
            body = _encode(self._list(path, version))
            found = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
            self._aggregated[path, version] = found
        body, etag = found
        kind = f"{negotiate.JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        headers = {"Content-Type": kind, "ETag": etag, "Vary": "Accept", "Cache-Control": "public"}
        if request.headers.get("if-none-match") == etag:
            return Response(status=304, headers=headers)
        return negotiate.finish(request, Response(headers=headers, body=body))

    def _list(self, path: str, version: str) -> dict[str, Any]:
        groups = {"": ["v1"]} if path == "/api" else self.groups()
        items = [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [self._version(group, each) for each in versions],
            }
            for group, versions in groups.items()
        ]
        api_version = f"apidiscovery.k8s.io/{version}"
        return {"kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {}, "items": items}

    def _version(self, group: str, version: str) -> dict[str, Any]:
        served = sorted(self.routes.versions[group, version].values(), key=lambda one: one.resource.plural)
        resources = [self._resource(each.resource) for each in served]
        return {"version": version, "resources": resources, "freshness": "Current"}

    @staticmethod
    def _resource(resource: Resource) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "resource": resource.plural,
            "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "singularResource": singular(resource),
            "verbs": list(resource.verbs),
        }
        if resource.short:
            entry["shortNames"] = list(resource.short)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        if resource.subresources:
            entry["subresources"] = [
                {
                    "subresource": sub.name,
                    "responseKind": {
                        "group": sub.group or ("" if sub.version else resource.group),
                        "version": sub.version or resource.version,
                        "kind": sub.kind,
                    },
                    "verbs": list(sub.verbs),
                }
                for sub in sorted(resource.subresources, key=lambda one: one.name)
            ]
        return entry


def singular(resource: Resource) -> str:
    """The singular name, by default the kind in lower case."""
    return resource.singular or resource.kind.lower()


def storage_hash(resource: Resource) -> str:
    """What tells clients whether the stored version has changed (k8s.io/apiserver `StorageVersionHash`)."""
    digest = hashlib.sha256(f"{resource.group}/{resource.version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()
