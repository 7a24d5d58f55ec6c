"""What an aggregated API server says it serves: fetched in the aggregated form, or in the older one where it has none.

`aggregator.py` calls `fetch` and hands the result to `apiserver/discovery.py`. What comes is read through the types,
so that garbage becomes an error here and not a strange document there. Source: k8s.io/kube-aggregator
`pkg/apiserver/handler_discovery.go`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.apidiscovery.apigroupdiscovery import (
    APIGroupDiscoveryList,
    APIResourceDiscovery,
    APISubresourceDiscovery,
)
from kijabi.api.apiregistration.apiservice import APIService
from kijabi.api.groups import APIResource, APIResourceList
from kijabi.api.meta import GroupVersionKind
from kijabi.apiserver.aggregation.availability import AGGREGATOR, MAX_ANSWER, SECONDS
from kijabi.apiserver.aggregation.backends import Backends, Unreachable
from kijabi.apiserver.discovery import Foreign
from kijabi.base.errors import BadRequest

MAX_RESOURCES = 1000  # of one version
_V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_NO_KIND = GroupVersionKind()


class Known(NamedTuple):
    """What was fetched last, and its ETag: a server that says nothing has changed need not send it again."""

    foreign: Foreign
    etag: str = ""


async def fetch(backends: Backends, service: APIService, known: Known | None) -> Known:
    """Ask the server behind an APIService.

    Raises Unreachable, webhooks.services.Unresolved, Untrusted.
    """
    headers = [("Accept", f"{_V2},application/json")]
    if known is not None and known.etag:
        headers.append(("If-None-Match", known.etag))
    found = await backends.fetch(service, "/apis", AGGREGATOR, headers, seconds=SECONDS, limit=MAX_ANSWER)
    if found.status == 304 and known is not None:
        return known
    if found.status == 503:
        raise Unreachable("the server is unavailable")
    group, version = service.spec.group, service.spec.version
    try:
        if found.status == 200 and "as=APIGroupDiscoveryList" in found.headers.get("content-type", ""):
            return Known(Foreign(aggregated(found.body, group, version)), found.headers.get("etag", ""))
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        json = [("Accept", "application/json")]
        found = await backends.fetch(service, path, AGGREGATOR, json, seconds=SECONDS, limit=MAX_ANSWER)
        if found.status != 200:
            raise Unreachable(f"failed to download legacy discovery for {path}: {found.status}")
        return Known(Foreign(legacy(found.body)))
    except BadRequest as error:
        raise Unreachable(f"garbage instead of discovery: {error.message}") from None


def aggregated(body: bytes, group: str, version: str) -> list[dict[str, Any]]:
    """The resources of one version in an aggregated document; none if it is not in there. Raises BadRequest."""
    for each in codec.decode(APIGroupDiscoveryList, body).items:
        if each.metadata.name == group:
            for one in each.versions:
                if one.version == version:
                    return _wire(one.resources)
    return []


def legacy(body: bytes) -> list[dict[str, Any]]:
    """The resources in an APIResourceList. Raises BadRequest."""
    found: dict[str, APIResourceDiscovery] = {}
    parts: dict[str, list[APISubresourceDiscovery]] = {}
    for each in codec.decode(APIResourceList, body).resources[:MAX_RESOURCES]:
        kind = GroupVersionKind(group=each.group, version=each.version, kind=each.kind)
        name, _, sub = each.name.partition("/")
        if not sub:
            found[name] = _resource(each, kind)
        elif name in found:
            parts.setdefault(name, []).append(
                APISubresourceDiscovery(subresource=sub, responseKind=kind, verbs=each.verbs)
            )
    for name, subresources in parts.items():
        found[name] = msgspec.structs.replace(found[name], subresources=tuple(subresources))
    return _wire(tuple(found.values()))


def _resource(each: APIResource, kind: GroupVersionKind) -> APIResourceDiscovery:
    return APIResourceDiscovery(
        resource=each.name,
        responseKind=kind,
        scope="Namespaced" if each.namespaced else "Cluster",
        singularResource=each.singularName,
        verbs=each.verbs,
        shortNames=each.shortNames,
        categories=each.categories,
    )


def _wire(resources: tuple[APIResourceDiscovery, ...]) -> list[dict[str, Any]]:
    """As they stand in a document; every one has a responseKind, for some clients cannot do without."""
    found = []
    for each in resources[:MAX_RESOURCES]:
        subs = tuple(
            msgspec.structs.replace(sub, responseKind=sub.responseKind or _NO_KIND) for sub in each.subresources
        )
        whole = msgspec.structs.replace(each, responseKind=each.responseKind or _NO_KIND, subresources=subs)
        found.append(msgspec.json.decode(codec.encode(whole)))
    return found
