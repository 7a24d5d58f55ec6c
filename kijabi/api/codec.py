"""Objects to JSON and back: the hot path of every request, watch event and stored value.

The fast path is one msgspec decoder per type. What it refuses goes through `codec_slow.py`, which knows what
Go's JSON decoder forgives (null for anything, base64 with line breaks, members it does not know) and words the
errors as upstream does. Callers: the API server for bodies, the store's users for values, the client for
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import msgspec

from kijabi.api import codec_slow
from kijabi.api.custom import Custom
from kijabi.api.meta import ManagedFieldsEntry, MicroTime, Object, ObjectMeta, Time, TypeMeta
from kijabi.api.quantity import Quantity
from kijabi.api.shape import Shape, fields
from kijabi.api.struct import NO_JSON, Struct
from kijabi.base.errors import BadRequest

T = TypeVar("T", bound=Struct)

_NULL = msgspec.Raw(b"null")


def _into(cls: Any, value: Any) -> Any:
    """msgspec's hook for types of our own, which all make themselves from a JSON value."""
    return cls.parse(value)


def _out(value: Any) -> Any:
    """msgspec's hook for the `str` subclasses; a zero time is null, as Go writes it."""
    if isinstance(value, Quantity):
        return str.__str__(value)
    if isinstance(value, Time | MicroTime):
        return str.__str__(value) or None
    raise TypeError(f"cannot encode {type(value).__name__}")


# Keys of maps are sorted, as Go writes them: what a client compares or signs does not depend on who wrote first.
_encoder = msgspec.json.Encoder(enc_hook=_out, order="deterministic")
_plain = msgspec.json.Decoder()


@cache
def _decoder(cls: type[T]) -> tuple[Callable[[bytes], T], Callable[[T], None]]:
    """The fast decoder of a type, and what makes its raw parts independent of the buffer they came in."""
    if issubclass(cls, Custom):
        return _decode_custom, _own_managed  # type: ignore[return-value]
    return msgspec.json.Decoder(cls, dec_hook=_into).decode, _unpin(cls)


def encode(obj: Struct) -> bytes:
    """JSON. An object without kind gets its apiVersion and kind from the catalog, on the wire only."""
    if isinstance(obj, Custom):
        return _encode_custom(obj)
    data = _encoder.encode(obj)
    if isinstance(obj, TypeMeta) and not obj.kind and (head := _head(type(obj))):
        return head + b"}" if data == b"{}" else head + b"," + data[1:]
    return data


def _encode_custom(obj: Custom) -> bytes:
    """A custom object's content stands at the top level, after what every object has: readers of bytes rely on that."""
    head = _encoder.encode({"apiVersion": obj.apiVersion, "kind": obj.kind, "metadata": obj.metadata})
    return head[:-1] + b"," + _encoder.encode(obj.content)[1:] if obj.content else head


def encode_part(part: Any) -> bytes:
    """JSON of a part of an object: a struct, a list or a map of it."""
    return _encoder.encode(part)


def identity(cls: type[Struct]) -> tuple[str, str]:
    """(apiVersion, kind) of the objects of a class, by the catalog; two empty texts if it does not know it."""
    # The catalog imports every type, and rules of types import this module: so it is imported when needed.
    from kijabi.api import catalog

    return catalog.identity(cls)


@cache
def _head(cls: type[Struct]) -> bytes:
    version, kind = identity(cls)
    return b'{"kind":"%s","apiVersion":"%s"' % (kind.encode(), version.encode()) if kind else b""


def decode(cls: type[T], data: bytes) -> T:
    """The object in a JSON text. BadRequest, with the bare reason, if it is none.

    Unknown members are ignored; of repeated ones the last counts (`decode_strict` merges them, as Go does).
    """
    fast, unpin = _decoder(cls)
    try:
        obj: T = fast(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _slowly(cls, data)[0]
    unpin(obj)
    return obj


def decode_strict(cls: type[T], data: bytes) -> tuple[T, list[str]]:
    """As `decode`, with what a strict decoder minds: `unknown field "spec.x"`, `duplicate field "spec.y"`."""
    fast, unpin = _decoder(cls)
    try:
        if issubclass(cls, Custom):
            custom: Any = _strict_custom(data)
            if custom is None:
                return _slowly(cls, data)
            unpin(custom)
            return custom, []
        obj = fast(data)
        if len(_encoder.encode(_plain.decode(data))) != len(msgspec.json.format(data, indent=-1)):
            # A repeated member is lost in a dict, so the text shrinks. Numbers and escapes may change it too.
            return _slowly(cls, data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _slowly(cls, data)
    unpin(obj)
    return obj, []


class _Head(Object, forbid_unknown_fields=False):
    """What every object has; the rest is left aside."""


_decode_head = msgspec.json.Decoder(_Head, dec_hook=_into).decode


def _decode_custom(data: bytes) -> Custom:
    head = _decode_head(data)
    return _custom(head, _plain.decode(data))


def _custom(head: _Head, content: dict[str, Any]) -> Custom:
    for name in ("apiVersion", "kind", "metadata"):
        content.pop(name, None)
    return Custom(apiVersion=head.apiVersion, kind=head.kind, metadata=head.metadata, content=content)


def _strict_custom(data: bytes) -> Custom | None:
    """As `_decode_custom`; None if something seems to come twice, which shrinks the text (`decode_strict`)."""
    head = _decode_head(data)
    content: dict[str, Any] = _plain.decode(data)
    if len(_encoder.encode(content)) != len(msgspec.json.format(data, indent=-1)):
        return None
    return _custom(head, content)


def _slowly(cls: type[T], data: bytes) -> tuple[T, list[str]]:
    if issubclass(cls, Custom):
        cleaned, problems = codec_slow.clean_custom(data)
    else:
        cleaned, problems = codec_slow.clean(cls, data)
    fast, unpin = _decoder(cls)
    try:
        obj = fast(_encoder.encode(cleaned))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadRequest(str(error)) from error
    unpin(obj)
    return obj, problems


def clone(obj: T) -> T:
    """A copy that shares nothing that can change; encoding and decoding is the cheapest full copy."""
    fast, unpin = _decoder(type(obj))
    copy: T = fast(_encode_custom(obj) if isinstance(obj, Custom) else _encoder.encode(obj))
    unpin(copy)
    return copy


def to_builtins(obj: Struct) -> dict[str, Any]:
    """The JSON value as dicts, lists and scalars."""
    value: dict[str, Any] = _plain.decode(encode(obj))
    return value


def from_builtins(cls: type[T], value: Any) -> T:
    """The object in a JSON value made of dicts, lists and scalars. BadRequest if it is none."""
    return decode(cls, _encoder.encode(value))


def from_builtins_strict(cls: type[T], value: Any) -> tuple[T, list[str]]:
    """As `from_builtins`, with the members that the type does not know."""
    return decode_strict(cls, _encoder.encode(value))


def _unpin(cls: type[Struct]) -> Callable[[Any], None]:
    """A function that copies the raw JSON in an object out of the buffer it came in, so that the buffer can go.

    An object's own `managedFields` always; more only in the few types that hold raw values elsewhere.
    """
    if _has_raw(Shape("struct", struct=cls), set()):
        return _own_object if issubclass(cls, Object) else _own_all
    return _own_managed if issubclass(cls, Object) else _nothing


def _has_raw(shape: Shape, seen: set[type[Struct]]) -> bool:
    """Whether raw JSON can occur in a value; metadata is left aside, in templates it has no managed fields."""
    if shape.kind == "raw":
        return True
    if shape.item is not None:
        return _has_raw(shape.item, seen)
    if shape.struct is None:
        return any(_has_raw(option, seen) for option in shape.options)
    if shape.struct is ObjectMeta or shape.struct in seen:
        return False
    seen.add(shape.struct)
    return any(_has_raw(field.shape, seen) for field in fields(shape.struct).values())


def read_managed(meta: ObjectMeta) -> tuple[ManagedFieldsEntry, ...]:
    """The managed fields of an object, which lie in memory as raw JSON. BadRequest if they are no such list."""
    return parse_managed(meta.managedFields)


def parse_managed(raw: msgspec.Raw) -> tuple[ManagedFieldsEntry, ...]:
    """As `read_managed`, of the raw value alone."""
    if raw is NO_JSON:
        return ()
    try:
        entries = _managed_decoder().decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadRequest(f"metadata.managedFields: {error}") from None
    for entry in entries:
        entry.fieldsV1 = _owned(entry.fieldsV1)
    return entries


def write_managed(entries: Iterable[ManagedFieldsEntry]) -> msgspec.Raw:
    """Managed fields in the form in which an object holds them."""
    kept = tuple(entries)
    return msgspec.Raw(_encoder.encode(kept)) if kept else NO_JSON


@cache
def _managed_decoder() -> msgspec.json.Decoder[tuple[ManagedFieldsEntry, ...]]:
    return msgspec.json.Decoder(tuple[ManagedFieldsEntry, ...], dec_hook=_into)


def _nothing(_: Any) -> None:
    return


def _own_managed(obj: Any) -> None:
    meta = obj.metadata
    if meta.managedFields is not NO_JSON:
        meta.managedFields = _owned(meta.managedFields)


@cache
def _raw_attributes(cls: type[Struct]) -> tuple[str, ...]:
    """The attributes of a type that raw JSON can occur in."""
    return tuple(field.attribute for field in fields(cls).values() if _has_raw(field.shape, set()))


def _own_object(obj: Any) -> None:
    _own_managed(obj)
    _own_all(obj)


def _own_all(obj: Any) -> None:
    cls: type[Struct] = type(obj)
    for attribute in _raw_attributes(cls):
        value = getattr(obj, attribute)
        owned = _owned(value)
        if owned is not value:
            setattr(obj, attribute, owned)


def _owned(value: Any) -> Any:
    if value is None or value is NO_JSON:
        return value
    if isinstance(value, msgspec.Raw):
        return NO_JSON if value == _NULL else value.copy()
    if isinstance(value, Struct):
        _own_all(value)
    elif isinstance(value, tuple):
        return tuple([_owned_item(item) for item in value]) if value else value
    elif isinstance(value, dict):
        for key, item in value.items():
            value[key] = _owned_item(item)
    return value


def _owned_item(value: Any) -> Any:
    """As `_owned`, of an item of a list or map, where null is a value."""
    return _NULL if isinstance(value, msgspec.Raw) and value == _NULL else _owned(value)
