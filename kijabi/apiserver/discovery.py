"""Discovery: what is served, as documents. Legacy ones path by path, and all at once in the aggregated form.

`plain.py` asks for `/api`, `/apis` and what is below. Local groups derive from `routes.Routes`, those of aggregated API
servers are handed in by `aggregation/`, together with the ranks by which all are sorted. Each group's part is built
when first asked for and kept until something in that group changes, so that one more CustomResourceDefinition among
hundreds costs its own group. Shapes: k8s.io/api `apidiscovery/v2` and k8s.io/apimachinery `pkg/apis/meta/v1` APIGroup,
APIResource.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.apidiscovery.apigroupdiscovery import APIGroupDiscoveryList
from kijabi.api.custom import Custom
from kijabi.api.groups import APIGroup, APIGroupList, APIResourceList, APIVersions
from kijabi.api.meta import TypeMeta
from kijabi.api.resource import Resource
from kijabi.apiserver import negotiate
from kijabi.apiserver.aggregation import ranks
from kijabi.apiserver.aggregation.ranks import Rank
from kijabi.apiserver.call import encode, encoded
from kijabi.apiserver.document import Document
from kijabi.apiserver.negotiate import Media
from kijabi.apiserver.routes import Routes, Served
from kijabi.client.transport import Request, Response

_encode = msgspec.json.encode
Key = tuple[str, str]  # group and version


class Foreign(NamedTuple):
    """What an aggregated API server serves of a version, as APIResourceDiscovery. stale: it could not be asked."""

    resources: Sequence[Mapping[str, Any]] = ()
    stale: bool = False


class Discovery:
    """The documents. address: `host:port` that in-cluster clients are told."""

    def __init__(self, routes: Routes, address: str) -> None:
        self.routes = routes
        self.address = address
        self._ranks: dict[Key, Rank] = {}
        self._foreign: dict[Key, Foreign] = {}
        self._order: dict[str, list[str]] | None = None
        self._parts: dict[tuple[str, str], bytes] = {}  # (form, group) → that group in that form
        self._legacy: dict[str, bytes] = {}  # path → document
        self._aggregated: dict[tuple[str, str], Document] = {}
        routes.listen(self.changed)

    def changed(self, group: str, version: str) -> None:
        """What is served under a group and version has changed."""
        self._order = None
        for form in ("legacy", "v2", "v2beta1"):
            self._parts.pop((form, group), None)
        for path in ("/apis", f"/apis/{group}", _path(group, version)):
            self._legacy.pop(path, None)
        self._aggregated.clear()

    def rank(self, group: str, version: str, rank: Rank | None) -> None:
        """Where a version stands among all; None: where it stands by itself."""
        if self._ranks.get((group, version)) == rank:
            return
        if rank is None:
            del self._ranks[group, version]
        else:
            self._ranks[group, version] = rank
        self.changed(group, version)

    def publish(self, group: str, version: str, foreign: Foreign) -> None:
        """A version is served by an aggregated API server, which says this about it."""
        if self._foreign.get((group, version)) != foreign:
            self._foreign[group, version] = foreign
            self.changed(group, version)

    def withdraw(self, group: str, version: str) -> None:
        """A version is no longer served by somebody else; nothing if it was not."""
        if self._foreign.pop((group, version), None) is not None:
            self.changed(group, version)

    async def answer(self, request: Request, path: str) -> Response | None:
        """The document at a path, in the form that the client accepts; None if there is none."""
        if path in ("/api", "/apis"):
            media = negotiate.output(request, "discovery")
            if media.convert:
                return await self._all_at_once(request, path, media)
        else:
            media = negotiate.output(request, "plain")
        body = self._document(path)
        if body is None:
            return None
        return negotiate.finish(request, _written(media, path, body), media.pretty)

    def paths(self) -> list[str]:
        """Every path that has a document."""
        groups = self.groups()
        versions = [f"/apis/{group}/{version}" for group, found in groups.items() for version in found]
        return ["/api", "/api/v1", "/apis", *(f"/apis/{group}" for group in groups), *versions]

    def groups(self) -> dict[str, list[str]]:
        """Group → versions, in order, the preferred one first; without the core group."""
        if self._order is None:
            found: dict[str, list[str]] = {}
            for group, version in {**self.routes.versions, **self._foreign}:
                if group:
                    found.setdefault(group, []).append(version)
            for group, versions in found.items():
                best = sorted(versions, key=ranks.version_order)
                found[group] = sorted(best, key=partial(self._lateness, group))
            highest = {group: max(self._of(group, each).group for each in found[group]) for group in found}
            self._order = {group: found[group] for group in sorted(found, key=lambda each: (-highest[each], each))}
        return self._order

    def _lateness(self, group: str, version: str) -> int:
        return -self._of(group, version).version

    def _of(self, group: str, version: str) -> Rank:
        return self._ranks.get((group, version)) or ranks.builtin(group, version) or ranks.CUSTOM

    # Legacy

    def _document(self, path: str) -> bytes | None:
        body = self._legacy.get(path)
        if body is None:
            body = self._build(path)
            if body is not None:
                self._legacy[path] = body
        return body

    def _build(self, path: str) -> bytes | None:
        match path.split("/")[1:]:
            case ["api"]:
                places = [{"clientCIDR": "0.0.0.0/0", "serverAddress": self.address}]
                return _encode({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": places})
            case ["apis"]:
                groups = b",".join([self._part("legacy", group, found) for group, found in self.groups().items()])
                return b'{"kind":"APIGroupList","apiVersion":"v1","groups":[%b]}' % groups
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group]:
                versions = self.groups().get(group)
                if versions is None:
                    return None
                return b'{"kind":"APIGroup","apiVersion":"v1",%b' % self._part("legacy", group, versions)[1:]
            case ["apis", group, version] if group:
                return self._resources(group, version)
            case _:
                return None

    def _resources(self, group: str, version: str) -> bytes | None:
        served = self.routes.versions.get((group, version))
        if served is None:
            return None
        listed = [entry for each in _sorted(served) for entry in _legacy_entries(each)]
        full = f"{group}/{version}" if group else version
        return _encode({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": full, "resources": listed})

    def _part(self, form: str, group: str, versions: list[str]) -> bytes:
        """One group as it stands in the list of all: an APIGroup, or an APIGroupDiscovery."""
        found = self._parts.get((form, group))
        if found is None:
            if form == "legacy":
                listed = [{"groupVersion": f"{group}/{each}", "version": each} for each in versions]
                found = _encode({"name": group, "versions": listed, "preferredVersion": listed[0]})
            else:
                metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
                found = _encode({"metadata": metadata, "versions": [self._version(group, each) for each in versions]})
            self._parts[form, group] = found
        return found

    # Aggregated

    async def _all_at_once(self, request: Request, path: str, media: Media) -> Response:
        version = media.version
        found = self._aggregated.get((path, version))
        if found is None:
            groups = {"": ["v1"]} if path == "/api" else self.groups()
            items = b",".join([self._part(version, group, versions) for group, versions in groups.items()])
            head = b'{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/%b"' % version.encode()
            found = Document(b'%b,"metadata":{},"items":[%b]}' % (head, items))
            self._aggregated[path, version] = found
        if media.type != negotiate.JSON:  # which nobody has been seen to ask for
            found = Document(in_form(media, APIGroupDiscoveryList, found.body).body, found.digest)
        kind = f"{media.type};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return await found.respond(request, {"Content-Type": kind, "Vary": "Accept", "Cache-Control": "public"})

    def _version(self, group: str, version: str) -> dict[str, Any]:
        foreign = self._foreign.get((group, version))
        if foreign is not None:
            freshness = "Stale" if foreign.stale else "Current"
            return {"version": version, "resources": list(foreign.resources), "freshness": freshness}
        resources = [_entry(each) for each in _sorted(self.routes.versions[group, version])]
        return {"version": version, "resources": resources, "freshness": "Current"}


def _written(media: Media, path: str, body: bytes) -> Response:
    """One of the older documents in the form that the client accepts."""
    cls: type[TypeMeta]
    match path.split("/")[1:]:
        case ["api"]:
            cls = APIVersions
        case ["apis"]:
            cls = APIGroupList
        case ["apis", _]:
            cls = APIGroup
        case _:
            cls = APIResourceList
    return in_form(media, cls, body)


def in_form(media: Media, cls: type[TypeMeta], body: bytes) -> Response:
    """A document, given as JSON, as an answer in the form that the client accepts."""
    if media.type != negotiate.PROTOBUF:
        return encoded(media, body)
    obj = codec.decode(cls, body)
    obj.apiVersion = obj.apiVersion or "v1"
    return encode(media, obj)


def _path(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _sorted(served: dict[str, Served]) -> list[Served]:
    return [served[plural] for plural in sorted(served)]


def _legacy_entries(each: Served) -> list[dict[str, Any]]:
    """A resource and its subresources, as APIResources."""
    resource = each.resource
    stored = each.cache.resource if each.cache is not None and resource.type is Custom else resource
    entry = {
        "name": resource.plural,
        "singularName": singular(resource),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(each),
        "shortNames": list(resource.short),
        "categories": list(resource.categories),
        "storageVersionHash": storage_hash(stored) if each.cache is not None else "",
    }
    optional = ("shortNames", "categories", "storageVersionHash")
    listed: list[dict[str, Any]] = [{key: value for key, value in entry.items() if value or key not in optional}]
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
        always = ("singularName", "namespaced")
        listed.append({key: value for key, value in body.items() if value or key in always})
    return listed


def _verbs(each: Served) -> list[str]:
    """What can be done; nothing is written any more of a custom resource that is being deleted."""
    ending = each.cache is not None and each.cache.ending
    return [verb for verb in each.resource.verbs if not ending or verb not in ("create", "patch", "update")]


def _entry(each: Served) -> dict[str, Any]:
    """A resource with its subresources, as an APIResourceDiscovery."""
    resource = each.resource
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": singular(resource),
        "verbs": _verbs(each),
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
