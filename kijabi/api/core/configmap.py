"""Plain configuration; pods read it as environment or files."""

from collections.abc import Sequence
from typing import Annotated

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.kinds import DATA_LIMIT
from kijabi.api.formats import config_key, size
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Tag
from kijabi.api.validation import each, forbidden, invalid, too_long


class ConfigMap(Object):
    """Named texts and byte strings, at most 1 MiB in all; immutable ones never change again."""

    immutable: Annotated[bool | None, Tag(4)] = None
    data: Annotated[dict[str, str], Tag(2)] = {}
    binaryData: Annotated[dict[str, bytes], Tag(3)] = {}


COLUMNS = (
    NAME,
    column("Data", lambda obj: len(obj.data) + len(obj.binaryData), "How many keys it holds."),
    AGE,
)


def validate(obj: ConfigMap) -> Sequence[FieldError]:
    """Keys are file names, each in one of the two maps, and all values together are bounded."""
    errors: list[FieldError] = []
    for key in obj.data:
        errors += each(f"data[{key}]", key, config_key(key))
        if key in obj.binaryData:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in obj.binaryData:
        errors += each(f"binaryData[{key}]", key, config_key(key))
    if sum(map(size, obj.data.values())) + sum(map(len, obj.binaryData.values())) > DATA_LIMIT:
        errors.append(too_long("", DATA_LIMIT))
    return errors


def validate_update(new: ConfigMap, old: ConfigMap) -> Sequence[FieldError]:
    """What is immutable stays."""
    if not old.immutable:
        return []
    detail = "field is immutable when `immutable` is set"
    errors = [] if new.immutable else [forbidden("immutable", detail)]
    return errors + [
        forbidden(name, detail) for name in ("data", "binaryData") if getattr(new, name) != getattr(old, name)
    ]


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    type=ConfigMap,
    singular="configmap",
    short=("cm",),
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
)
