"""The volumeattributesclass types of the storage group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class VolumeAttributesClass(Object):
    """The API type VolumeAttributesClass."""

    driverName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    parameters: Annotated[dict[str, str], Tag(3)] = {}


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    type=VolumeAttributesClass,
    namespaced=False,
    singular="volumeattributesclass",
    short=("vac",),
)
