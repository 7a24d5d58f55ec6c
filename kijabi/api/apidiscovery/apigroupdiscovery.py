"""Aggregated discovery: all groups, versions and resources of a server in one document."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import GroupVersionKind, ListMeta, Object, TypeMeta
from kijabi.api.struct import Struct, Tag, empty_list


class APISubresourceDiscovery(Struct):
    """A subresource: its last path segment, the kind of its body and its verbs."""

    subresource: Annotated[str, Tag(1)] = field(default_factory=str)
    responseKind: Annotated[GroupVersionKind | None, Tag(2)] = None
    acceptedTypes: Annotated[
        tuple[GroupVersionKind, ...],
        Tag(3, listType="map", keys=("group", "version", "kind")),
    ] = ()
    verbs: Annotated[tuple[str, ...], Tag(4, listType="set")] = field(default_factory=empty_list)


class APIResourceDiscovery(Struct):
    """A resource: its names, scope, kind, verbs and subresources."""

    resource: Annotated[str, Tag(1)] = field(default_factory=str)
    responseKind: Annotated[GroupVersionKind | None, Tag(2)] = None
    scope: Annotated[str, Tag(3)] = field(default_factory=str)
    singularResource: Annotated[str, Tag(4)] = field(default_factory=str)
    verbs: Annotated[tuple[str, ...], Tag(5, listType="set")] = field(default_factory=empty_list)
    shortNames: Annotated[tuple[str, ...], Tag(6, listType="set")] = ()
    categories: Annotated[tuple[str, ...], Tag(7, listType="set")] = ()
    subresources: Annotated[
        tuple[APISubresourceDiscovery, ...],
        Tag(8, listType="map", keys=("subresource",)),
    ] = ()


class APIVersionDiscovery(Struct):
    """A version of a group with its resources, and whether they are known to be current."""

    version: Annotated[str, Tag(1)] = field(default_factory=str)
    resources: Annotated[tuple[APIResourceDiscovery, ...], Tag(2, listType="map", keys=("resource",))] = ()
    freshness: Annotated[str, Tag(3)] = ""


class APIGroupDiscovery(Object):
    """A group with its versions, the preferred one first."""

    versions: Annotated[tuple[APIVersionDiscovery, ...], Tag(2, listType="map", keys=("version",))] = ()


class APIGroupDiscoveryList(TypeMeta):
    """The document itself, served under /api and /apis on request."""

    metadata: Annotated[ListMeta, Tag(1)] = field(default_factory=ListMeta)
    items: Annotated[tuple[APIGroupDiscovery, ...], Tag(2)] = field(default_factory=empty_list)
