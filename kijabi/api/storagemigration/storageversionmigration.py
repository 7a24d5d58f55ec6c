"""Rewriting stored objects in the current version; acted on by its controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Condition, GroupResource, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class StorageVersionMigrationSpec(Struct):
    """The resource to rewrite."""

    resource: Annotated[GroupResource, Tag(1, required=True)] = field(default_factory=GroupResource)


class StorageVersionMigrationStatus(Struct):
    """How far it has come."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    resourceVersion: Annotated[str, Tag(2)] = ""


class StorageVersionMigration(Object):
    """The order to rewrite all objects of a resource."""

    spec: Annotated[StorageVersionMigrationSpec, Tag(2)] = field(default_factory=StorageVersionMigrationSpec)
    status: Annotated[
        StorageVersionMigrationStatus,
        Tag(3),
    ] = field(default_factory=StorageVersionMigrationStatus)


RESOURCE = Resource(
    group="storagemigration.k8s.io",
    version="v1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    type=StorageVersionMigration,
    namespaced=False,
    singular="storageversionmigration",
    subresources=(
        Subresource(
            name="status",
            kind="StorageVersionMigration",
            verbs=("get", "patch", "update"),
            type=StorageVersionMigration,
        ),
    ),
    update_needs_version=True,
)
