"""How an API type is written: the base class, and the tag that each field carries.

A field's annotation says what Go's struct tags and markers say: protobuf number, list type and keys, patch
strategy and merge key, default, whether clients must give it. From the same annotations derive strict
decoding, protobuf, OpenAPI, strategic merge and server-side apply. Every type module imports this; `shape.py`
reads it for the others.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec


class Struct(msgspec.Struct, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """Base of every API type.

    Attribute names are the API's own camelCase; a Python keyword gets a trailing underscore and
    `field(name=…)`. Every field has a default (Go's zero value), so a zero is dropped from the wire; where Go
    always writes a zero (no omitempty) the default is a factory (`field(default_factory=int)`, `empty_list`).
    A Go pointer is `X | None = None`. Sequences are tuples. Objects are shared: nobody writes to one that came
    from a cache. Unknown members stop the fast decoder; `codec_slow.py` then lists them and drops them.

    ATOMIC: the whole struct is one value to server-side apply (`x-kubernetes-map-type: atomic`). INLINE: Go
    embeds the base class; in JSON its members are the class's own, in protobuf they travel as a message under
    this number. Both hold for the class that states them, not for its subclasses (see `shape.py`).
    """

    ATOMIC: ClassVar[bool] = False
    INLINE: ClassVar[int] = 0


class Tag(msgspec.Struct, frozen=True, array_like=True):
    """What a field carries besides its type. `Annotated[str, Tag(3)]` is protobuf field 3.

    listType/keys: merge semantics of a list (`map` with its keys, `set`, `atomic`). mapType, structType: `atomic`
    or `granular`, where this field departs from its type. strategy/mergeKey: strategic-merge patch (`merge`,
    `retainKeys`, `replace`, `merge,retainKeys`).
    required: clients must give it. default: the value that the API documents as default.
    gate: the feature gate behind it. message: what it is in protobuf where that is not what it seems: `list`, a message
    that holds the list; `duration`, a message that holds the nanoseconds of the text.
    """

    number: int = 0
    listType: Literal["", "map", "set", "atomic"] = ""
    keys: tuple[str, ...] = ()
    mapType: Literal["", "atomic", "granular"] = ""
    structType: Literal["", "atomic", "granular"] = ""
    strategy: str = ""
    mergeKey: str = ""
    required: bool = False
    default: Any = None
    gate: str = ""
    message: Literal["", "list", "duration"] = ""


def empty_list() -> tuple[Any, ...]:
    """The default of a list that is always written, if only as `[]`: clients in other languages insist."""
    return ()


# A JSON value kept as its bytes, unparsed (RawExtension, FieldsV1, JSON). NO_JSON is absence; a pointer to such
# a value is the same type, because absent and empty do not differ.
NO_JSON = msgspec.Raw(b"")
Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1, extra_json_schema={"format": "int32"})]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1, extra_json_schema={"format": "int64"})]
Float64 = float
# A number or a name, as ports and maxSurge are (k8s.io/apimachinery `pkg/util/intstr`).
IntOrString = Int32 | str
