"""What a server has, asked of the server: its resources, those of extensions included.

For whoever works with kinds that this project does not know at writing time: controllers that must not miss one, and
programs that use custom resources through `Client.of`. Two requests tell everything (apidiscovery.k8s.io/v2).
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api import catalog, codec, status
from kijabi.api.apidiscovery.apigroupdiscovery import APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery
from kijabi.api.custom import Custom
from kijabi.api.groups import APIResourceList
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.transport import Request

_ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Found(NamedTuple):
    """resources: all of them, in every version, the preferred one of each group first. stale: groups and versions
    (`metrics.k8s.io/v1beta1`) whose server does not answer now, so that what they have is not known."""

    resources: list[Resource]
    stale: tuple[str, ...]


async def discover(client: Client, cls: type[Object] = Custom) -> Found:
    """Everything that the server has; cls: what its objects are to be decoded as."""
    resources: list[Resource] = []
    stale: list[str] = []
    for path in ("/api", "/apis"):
        answer = await client.request_raw(Request(method="GET", path=path, headers={"accept": _ACCEPT}))
        for group in codec.decode(APIGroupDiscoveryList, answer.body).items:
            for version in group.versions:
                if version.freshness == "Stale":
                    stale.append(f"{group.metadata.name}/{version.version}")
                resources += [_resource(group, version.version, one, cls) for one in version.resources]
    return Found(resources, tuple(stale))


async def serves(client: Client, cls: type[Object]) -> bool:
    """Whether a server has a kind of the catalog, in its version; one small request."""
    resource = catalog.by_type(cls)
    path = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    try:
        answer = await client.request_raw(Request(method="GET", path=path))
    except NotFound:
        return False
    return any(one.name == resource.plural for one in codec.decode(APIResourceList, answer.body).resources)


async def find(client: Client, group: str, name: str, version: str = "") -> Resource:
    """One resource by its plural, singular, short name or kind; without a version the one that its group prefers.

    For a built-in one this is the Resource of the catalog, so its objects have their own type; all others are `Custom`:

        widgets = await find(client, "example.com", "widgets")
        mine = client.of(widgets)
        made = await mine.create(Custom(metadata=ObjectMeta(name="a", namespace="default"), content={"spec": {…}}))
        informer = Informer(mine, Custom)

    Raises NotFound.
    """
    for one in (await discover(client)).resources:
        names = (one.plural, one.singular, one.kind, one.kind.lower(), *one.short)
        if one.group == group and name in names and version in ("", one.version):
            return catalog.by_kind(one.group, one.version, one.kind) or one
    raise status.not_found(f"{name}.{group}" if group else name, version)


def _resource(group: APIGroupDiscovery, version: str, one: APIResourceDiscovery, cls: type[Object]) -> Resource:
    return Resource(
        group=group.metadata.name,
        version=version,
        kind=one.responseKind.kind if one.responseKind is not None else "",
        plural=one.resource,
        singular=one.singularResource,
        short=one.shortNames,
        categories=one.categories,
        type=cls,
        namespaced=one.scope == "Namespaced",
        verbs=one.verbs,
    )
