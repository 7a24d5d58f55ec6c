"""The older discovery documents: groups, their versions, and the resources of each."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import TypeMeta
from kijabi.api.struct import Struct, Tag, empty_list


class GroupVersionForDiscovery(Struct):
    """A version, alone and with its group."""

    groupVersion: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    version: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ServerAddressByClientCIDR(Struct):
    """The server's address for clients of a network."""

    clientCIDR: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    serverAddress: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class APIGroup(TypeMeta):
    """A group, its versions and the preferred one."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    versions: Annotated[
        tuple[GroupVersionForDiscovery, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    preferredVersion: Annotated[
        GroupVersionForDiscovery,
        Tag(3),
    ] = field(default_factory=GroupVersionForDiscovery)
    serverAddressByClientCIDRs: Annotated[
        tuple[ServerAddressByClientCIDR, ...],
        Tag(4, listType="atomic"),
    ] = ()


class APIGroupList(TypeMeta):
    """All groups, served under /apis."""

    groups: Annotated[
        tuple[APIGroup, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class APIResource(Struct):
    """A resource or subresource: names, kind, scope and verbs."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    singularName: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    namespaced: Annotated[bool, Tag(2, required=True)] = field(default_factory=bool)
    group: Annotated[str, Tag(8)] = ""
    version: Annotated[str, Tag(9)] = ""
    kind: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    verbs: Annotated[tuple[str, ...], Tag(4, required=True, message="list")] = field(default_factory=empty_list)
    shortNames: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    categories: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()
    storageVersionHash: Annotated[str, Tag(10)] = ""


class APIResourceList(TypeMeta):
    """All resources of one group and version."""

    groupVersion: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resources: Annotated[
        tuple[APIResource, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class APIVersions(TypeMeta):
    """The versions of the core group, served under /api."""

    versions: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    serverAddressByClientCIDRs: Annotated[
        tuple[ServerAddressByClientCIDR, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
