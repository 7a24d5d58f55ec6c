"""Plain configuration; pods read it as environment or files."""

from typing import Annotated

from kijabi.api.columns import AGE, NAME, number
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class ConfigMap(Object):
    """Named texts and byte strings, at most 1 MiB in all; immutable ones never change again."""

    immutable: Annotated[bool | None, Tag(4)] = None
    data: Annotated[dict[str, str], Tag(2)] = {}
    binaryData: Annotated[dict[str, bytes], Tag(3)] = {}


COLUMNS = (
    NAME,
    number("Data", lambda obj: len(obj.data) + len(obj.binaryData), "How many keys it holds."),
    AGE,
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    type=ConfigMap,
    singular="configmap",
    short=("cm",),
    columns=COLUMNS,
)
