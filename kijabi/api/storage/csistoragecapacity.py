"""The csistoragecapacity types of the storage group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import LabelSelector, Object
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class CSIStorageCapacity(Object):
    """The API type CSIStorageCapacity."""

    nodeTopology: Annotated[LabelSelector | None, Tag(2)] = None
    storageClassName: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    capacity: Annotated[Quantity | None, Tag(4)] = None
    maximumVolumeSize: Annotated[Quantity | None, Tag(5)] = None


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    type=CSIStorageCapacity,
    singular="csistoragecapacity",
)
