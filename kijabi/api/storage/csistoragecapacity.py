"""How much storage is left; written by CSI drivers, read by the scheduler."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import NAME, UNSET, column
from kijabi.api.meta import LabelSelector, Object
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.storage.rules import validate_capacity, validate_capacity_update
from kijabi.api.struct import Tag


class CSIStorageCapacity(Object):
    """The capacity of a storage class in one part of the topology."""

    nodeTopology: Annotated[LabelSelector | None, Tag(2)] = None
    storageClassName: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    capacity: Annotated[Quantity | None, Tag(4)] = None
    maximumVolumeSize: Annotated[Quantity | None, Tag(5)] = None


COLUMNS = (
    NAME,
    column("StorageClassName", lambda obj: obj.storageClassName, "The class of the volumes."),
    column("Capacity", lambda obj: UNSET if obj.capacity is None else str(obj.capacity), "How much there is."),
)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    type=CSIStorageCapacity,
    singular="csistoragecapacity",
    columns=COLUMNS,
    validate=validate_capacity,
    validate_update=validate_capacity_update,
    update_needs_version=True,
)
