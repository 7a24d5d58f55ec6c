"""Writing protobuf: a function for each type, made once. Called by `protobuf.py`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import msgspec

from kijabi.api import codec, duration
from kijabi.api.meta import ManagedFieldsEntry, MicroTime, Time
from kijabi.api.protobuf_wire import BYTES, EPOCH, NUMBERS, VARINT, is_managed, union_numbers
from kijabi.api.shape import Field, Shape, fields, inline_bases
from kijabi.api.struct import Struct

Writer = Callable[[Any], bytes]

_REMEMBERED = 4096  # messages of times and quantities, which repeat a lot

# What writes a body that has a length: b is the body, {key} the name of the key's bytes.
_SIZED = "n = len(b); out += ({key}, small[n] if n < 128 else varint(n), b)"
_MESSAGES = ("quantity", "time", "microtime", "intstr", "bytes")


@cache
def writer(cls: type[Struct]) -> Writer:
    """What makes the message of an object: a function with a line or two for each field, compiled for the type.

    A loop over a table of the fields took twice the time, which whoever lists ten thousand pods would feel.
    """
    names: dict[str, Any] = {"small": _SMALL, "varint": varint, "join": b"".join}
    lines = ["def write(o):", " out = []"]
    embedded = inline_bases(cls)
    for base, number in embedded.items():
        lines += _lines(names, "o", number, Shape("struct", struct=base))
    for field in fields(cls).values():
        if field.tag.number and (not embedded or field.owner is cls):
            lines.append(f" v = o.{field.attribute}")
            # What is zero is left out, unless a pointer makes it differ from absent.
            lines.append(" if v is not None:" if field.shape.nullable else " if v:")
            lines += _field_lines(names, field)
    lines.append(" return join(out)")
    exec("\n".join(lines), names)  # the source is made of the types alone
    made: Writer = names["write"]
    return made


def _field_lines(names: dict[str, Any], field: Field) -> list[str]:
    """The lines that write the value v of a field."""
    number, shape = field.tag.number, field.shape
    if is_managed(field):
        entry = _always(number, writer(ManagedFieldsEntry))
        names[f"w{number}"] = lambda raw: b"".join(map(entry, codec.parse_managed(raw)))
        return [f"  out.append(w{number}(v))"]
    if field.tag.message:
        names[f"w{number}"] = _always(
            number, _write_duration if field.tag.message == "duration" else _value_writer(shape)
        )
        return [f"  out.append(w{number}(v))"]
    if shape.kind == "list" and shape.item is not None and (shape.item.struct or shape.item.kind == "string"):
        return ["  for x in v:", *_lines(names, "x", number, shape.item, indent="   ")]
    return _lines(names, "v", number, shape, indent="  ")


def _lines(names: dict[str, Any], value: str, number: int, shape: Shape, indent: str = " ") -> list[str]:
    """The lines that write one value, called `value` in the source."""
    key = f"k{number}"
    names[key] = varint(number << 3 | NUMBERS.get(shape.kind, BYTES))
    if shape.kind == "string":
        return [f"{indent}b = {value}.encode(); {_SIZED.format(key=key)}"]
    if shape.kind == "bool":
        return [f"{indent}out += ({key}, small[{value}])"]
    if shape.kind in ("int32", "int64"):
        return [f"{indent}out += ({key}, small[{value}] if 0 <= {value} < 128 else varint({value}))"]
    name = f"w{number}"
    if shape.struct is not None or shape.kind in _MESSAGES:
        names[name] = _VALUES[shape.kind] if shape.struct is None else _later(names, name, shape.struct)
        return [f"{indent}b = {name}({value}); {_SIZED.format(key=key)}"]
    names[name] = _field_writer(number, shape)
    return [f"{indent}out.append({name}({value}))"]


def _later(names: dict[str, Any], name: str, cls: type[Struct]) -> Writer:
    """Stands for a type's writer until it is needed, so types may contain themselves."""

    def first(obj: Any) -> bytes:
        names[name] = made = writer(cls)
        return made(obj)

    return first


def _field_writer(number: int, shape: Shape) -> Writer:
    """What writes a rarer field's value, keys included."""
    if shape.kind == "list" and shape.item is not None:
        item = _always(number, _value_writer(shape.item), shape.item)
        return lambda items: b"".join(map(item, items))
    if shape.kind == "map" and shape.item is not None:
        return _map_writer(number, shape.item)
    return _always(number, _value_writer(shape), shape)


def _always(number: int, value: Writer, shape: Shape | None = None) -> Writer:
    """A value with its key in front; without a shape it is a message."""
    if shape is not None and shape.kind in NUMBERS:
        key = varint(number << 3 | NUMBERS[shape.kind])
        return lambda each: key + value(each)
    key = varint(number << 3 | BYTES)

    def write(each: Any) -> bytes:
        body = value(each)
        size = len(body)
        return key + (_SMALL[size] if size < 0x80 else varint(size)) + body

    return write


def _map_writer(number: int, item: Shape) -> Writer:
    value = _always(2, _value_writer(item), item)
    return lambda pairs: b"".join(
        [delimited(number, delimited(1, name.encode()) + value(each)) for name, each in sorted(pairs.items())]
    )


def varint(value: int) -> bytes:
    """A varint; negative numbers take ten bytes, as two's complement."""
    if 0 <= value < 0x80:
        return _SMALL[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [bytes((value,)) for value in range(0x80)]


def delimited(number: int, body: bytes) -> bytes:
    """A field that is text, bytes or a message: its key, its length, its body."""
    return varint(number << 3 | BYTES) + varint(len(body)) + body


def _value_writer(shape: Shape) -> Writer:
    """What writes the body of a value, without key and length."""
    if shape.struct is not None:
        cls = shape.struct
        return lambda obj: writer(cls)(obj)
    if shape.kind == "union":
        return _union_writer(shape)
    if shape.kind == "list" and shape.item is not None:
        item = _always(1, _value_writer(shape.item), shape.item)
        return lambda items: b"".join(map(item, items))
    return _VALUES[shape.kind]


def _write_double(value: float) -> bytes:
    return struct.pack("<d", value)


@lru_cache(maxsize=_REMEMBERED)
def _write_quantity(value: str) -> bytes:
    return delimited(1, value.encode())


def _write_raw(value: msgspec.Raw) -> bytes:
    text = bytes(value)
    return delimited(1, text) if text else b""


@lru_cache(maxsize=_REMEMBERED)
def _write_moment(value: Time | MicroTime) -> bytes:
    if not value:
        return b""
    since = value.datetime() - EPOCH
    seconds = since.days * 86400 + since.seconds
    return b"\x08" + varint(seconds) + b"\x10" + varint(since.microseconds * 1000)


def _write_duration(value: str) -> bytes:
    return b"\x08" + varint(round(duration.parse(value) * 1e9))


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + delimited(3, value.encode())
    return b"\x08\x00\x10" + varint(value) + b"\x1a\x00"


_VALUES: dict[str, Writer] = {
    "string": str.encode,
    "bytes": bytes,
    "bool": varint,
    "int32": varint,
    "int64": varint,
    "float": _write_double,
    "quantity": _write_quantity,
    "time": _write_moment,
    "microtime": _write_moment,
    "raw": _write_raw,
    "intstr": _write_int_or_string,
}


def _union_writer(shape: Shape) -> Writer:
    """The unions of a CRD's schema: a message with one field for each form."""
    first, other = shape.options
    struct_number, other_number = union_numbers(shape)
    write_struct = _always(struct_number, _value_writer(first))
    if other.item is None:
        flag = varint(other_number << 3 | VARINT)
        return lambda value: flag + varint(value) if isinstance(value, bool) else write_struct(value)
    item = _always(other_number, _value_writer(other.item), other.item)
    return lambda value: b"".join(map(item, value)) if isinstance(value, tuple) else write_struct(value)
