"""The secret types of the core group."""

from typing import Annotated

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class Secret(Object):
    """The API type Secret."""

    immutable: Annotated[bool | None, Tag(5)] = None
    data: Annotated[dict[str, bytes], Tag(2)] = {}
    stringData: Annotated[dict[str, str], Tag(4)] = {}
    type: Annotated[str, Tag(3)] = ""


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    type=Secret,
    singular="secret",
)
