"""The storageclass types of the storage group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.nodeselector import TopologySelectorTerm
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class StorageClass(Object):
    """The API type StorageClass."""

    provisioner: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    parameters: Annotated[dict[str, str], Tag(3)] = {}
    reclaimPolicy: Annotated[str | None, Tag(4)] = None
    mountOptions: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    allowVolumeExpansion: Annotated[bool | None, Tag(6)] = None
    volumeBindingMode: Annotated[str | None, Tag(7)] = None
    allowedTopologies: Annotated[tuple[TopologySelectorTerm, ...], Tag(8, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """Volumes are made at once, and go with their claims."""
        if self.reclaimPolicy is None:
            self.reclaimPolicy = "Delete"
        if self.volumeBindingMode is None:
            self.volumeBindingMode = "Immediate"


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    type=StorageClass,
    namespaced=False,
    singular="storageclass",
    short=("sc",),
)
