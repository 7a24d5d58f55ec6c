"""The configmap types of the core group."""

from typing import Annotated

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class ConfigMap(Object):
    """The API type ConfigMap."""

    immutable: Annotated[bool | None, Tag(4)] = None
    data: Annotated[dict[str, str], Tag(2)] = {}
    binaryData: Annotated[dict[str, bytes], Tag(3)] = {}


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    type=ConfigMap,
    singular="configmap",
    short=("cm",),
)
