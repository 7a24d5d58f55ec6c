"""What the annotations of a type say, read once: the table behind decoding, protobuf, patch and OpenAPI.

`fields(cls)` gives each JSON member of a Struct with its Tag and its Shape, a small tree that spells the
Python annotation out: no reader of the tags needs to look into `typing` again.
"""

from __future__ import annotations

import inspect
import types
import typing
from functools import cache
from typing import Any, Literal

import msgspec

from kijabi.api.meta import MicroTime, Time
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Struct, Tag

Kind = Literal[
    "string", "bool", "int32", "int64", "float", "bytes", "time", "microtime", "quantity", "intstr",
    "raw", "any", "struct", "list", "map", "union",
]  # fmt: skip


class Shape(msgspec.Struct, frozen=True):
    """What a value looks like on the wire.

    item: what a list or a map holds. struct: the class of a struct. options: the forms of a union (a CRD
    schema's "schema or bool" and its like), the struct first. nullable: a Go pointer, so absent and zero differ.
    """

    kind: Kind
    item: Shape | None = None
    struct: type[Struct] | None = None
    options: tuple[Shape, ...] = ()
    nullable: bool = False


class Field(msgspec.Struct, frozen=True):
    """One member of a struct: its JSON name, its Python attribute, what its tag says and what it holds.

    owner: the class that declares it, which is a base of the asked class for inlined members.
    """

    name: str
    attribute: str
    tag: Tag
    shape: Shape
    owner: type[Struct]


@cache
def fields(cls: type[Struct]) -> dict[str, Field]:
    """The members of a type by JSON name, inherited ones first."""
    hints: dict[str, Any] = {}
    owners: dict[str, type[Struct]] = {}
    for base in reversed(cls.__mro__):
        own = inspect.get_annotations(base)
        hints |= own
        owners = dict.fromkeys(own, base) | owners
    if any(isinstance(hints[attribute], str) for attribute in cls.__struct_fields__):
        hints = typing.get_type_hints(cls, include_extras=True)
    found: dict[str, Field] = {}
    for attribute, name in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True):
        tag, shape = _read(hints[attribute])
        found[name] = Field(name, attribute, tag or Tag(), shape, owners[attribute])
    return found


def inline_bases(cls: type[Struct]) -> dict[type[Struct], int]:
    """The bases that Go embeds, with the protobuf number under which their members travel as a message."""
    number = vars(cls).get("INLINE", 0)
    return {cls.__bases__[0]: number} if number else {}


def is_atomic(cls: type[Struct]) -> bool:
    """Whether server-side apply treats a value of this type as one."""
    return bool(vars(cls).get("ATOMIC", False))


_SCALARS: dict[Any, Kind] = {
    str: "string", bool: "bool", int: "int64", float: "float", bytes: "bytes", Time: "time", Any: "any",
    MicroTime: "microtime", Quantity: "quantity", msgspec.Raw: "raw",
}  # fmt: skip


def _read(hint: Any) -> tuple[Tag | None, Shape]:
    """The tag and the shape that one annotation spells."""
    tag = None
    bits = 64
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extras = typing.get_args(hint)
        for extra in extras:
            if isinstance(extra, Tag):
                tag = extra
            elif isinstance(extra, msgspec.Meta) and extra.le == 2**31 - 1:
                bits = 32
    if hint is int:
        return tag, Shape("int32" if bits == 32 else "int64")
    if hint in _SCALARS:
        return tag, Shape(_SCALARS[hint])
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tag, Shape("list", item=_read(args[0])[1])
    if origin is dict:
        return tag, Shape("map", item=_read(args[1])[1])
    if origin in (types.UnionType, typing.Union):
        return tag, _union(args)
    return tag, Shape("struct", struct=hint)


def _union(args: tuple[Any, ...]) -> Shape:
    nullable = type(None) in args
    options = tuple(_read(arg)[1] for arg in args if arg is not type(None))
    if len(options) == 1:
        return msgspec.structs.replace(options[0], nullable=True)
    if {option.kind for option in options} == {"int32", "string"}:
        return Shape("intstr", nullable=nullable)
    return Shape("union", options=options, nullable=nullable)
