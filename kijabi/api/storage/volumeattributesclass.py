"""Settings of volumes that can change while in use; claims ask for them."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.storage.rules import validate_attributes_class, validate_attributes_class_update
from kijabi.api.struct import Tag


class VolumeAttributesClass(Object):
    """A driver's parameters for volumes, by name."""

    driverName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    parameters: Annotated[dict[str, str], Tag(3)] = {}


COLUMNS = (NAME, column("DriverName", lambda obj: obj.driverName, "The driver that knows it."), AGE)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    type=VolumeAttributesClass,
    namespaced=False,
    singular="volumeattributesclass",
    short=("vac",),
    columns=COLUMNS,
    validate=validate_attributes_class,
    validate_update=validate_attributes_class_update,
)
