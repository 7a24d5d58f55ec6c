"""Kinds of storage; claims ask for them, provisioners serve them."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.nodeselector import TopologySelectorTerm
from kijabi.api.meta import Object
from kijabi.api.resource import Column, Resource
from kijabi.api.struct import Tag


class StorageClass(Object):
    """A provisioner with its parameters, and when and how volumes are made."""

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


_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def _name(obj: StorageClass) -> str:
    return f"{obj.metadata.name} (default)" if obj.metadata.annotations.get(_DEFAULT) == "true" else obj.metadata.name


COLUMNS = (
    Column(name="Name", cell=_name, format="name", description=NAME.description),
    column("Provisioner", lambda obj: obj.provisioner, "Who makes its volumes."),
    column("ReclaimPolicy", lambda obj: obj.reclaimPolicy or "Delete", "What happens after the claim."),
    column("VolumeBindingMode", lambda obj: obj.volumeBindingMode or "Immediate", "When volumes are made."),
    column("AllowVolumeExpansion", lambda obj: bool(obj.allowVolumeExpansion), "Whether volumes can grow."),
    AGE,
)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    type=StorageClass,
    namespaced=False,
    singular="storageclass",
    short=("sc",),
    columns=COLUMNS,
)
