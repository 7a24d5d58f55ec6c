"""Reading protobuf: a loop over a table, made once per type, from wire key to attribute and reader.

Called by `protobuf.py`, which turns what is raised here (Malformed, IndexError at the end of the bytes, ValueError
from texts) into a BadRequest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Protocol

import msgspec

from kijabi.api import codec, gotext
from kijabi.api.meta import ManagedFieldsEntry, MicroTime, Time
from kijabi.api.protobuf_wire import BYTES, EPOCH, FIXED32, FIXED64, VARINT, Malformed, is_managed, union_numbers
from kijabi.api.quantity import Quantity
from kijabi.api.shape import Shape, fields, inline_bases
from kijabi.api.struct import NO_JSON, Struct

_REMEMBERED = 4096  # messages of times and quantities, which repeat a lot

# A reader gets the buffer and the bounds of one length-delimited value; a number's reader the place it begins at, and
# it says where it ended.
Reader = Callable[[bytes, int, int], Any]
NumberReader = Callable[[bytes, int], tuple[Any, int]]


class MessageReader(Protocol):
    """Makes an object of a message; given `into`, only puts the values there, by attribute."""

    def __call__(self, data: bytes, at: int, end: int, into: dict[str, Any] | None = None) -> Any: ...


# How a value joins its object: as text, as what its reader gives, as one more item, as one more pair of a map, as an
# embedded struct's values, as managed fields, as several items at once.
_TEXT, _ONE, _MANY, _PAIR, _INSIDE, _MANAGED, _PACKED = range(7)
_Table = dict[int, tuple[int, str, Any]]


@cache
def reader(cls: type[Struct]) -> MessageReader:
    """The reader of a type. Its table fills at the first use, so types may contain themselves."""
    table: _Table = {}

    def read(data: bytes, at: int, end: int, into: dict[str, Any] | None = None) -> Any:
        if not table:
            _fill(table, cls)
        values: dict[str, Any] = {} if into is None else into
        lists: dict[str, list[Any]] = {}
        while at < end:
            key = data[at]
            at += 1
            if key > 0x7F:
                key |= data[at] << 8
                at += 1
                if key > 0x7FFF:
                    at = _skip_long_key(data, at, key & 7)
                    continue
            entry = table.get(key)
            if key & 7 != BYTES:
                if entry is None:
                    at = _skip(data, at, key & 7)
                    continue
                value, at = entry[2](data, at)
                if entry[0] == _ONE:
                    values[entry[1]] = value
                else:
                    lists.setdefault(entry[1], []).append(value)
                continue
            length = data[at]
            at += 1
            if length > 0x7F:
                length, at = varint(data, at - 1)
            stop = at + length
            if stop > end:
                raise Malformed("unexpected EOF")
            if entry is not None:
                how, name, convert = entry
                if how == _TEXT:
                    values[name] = data[at:stop].decode()
                elif how == _ONE:
                    values[name] = convert(data, at, stop)
                elif how == _MANY:
                    if name in lists:
                        lists[name].append(convert(data, at, stop))
                    else:
                        lists[name] = [convert(data, at, stop)]
                else:
                    _join(values, lists, entry, data, at, stop)
            at = stop
        if at != end:
            raise Malformed("unexpected EOF")
        for name in lists:
            values[name] = tuple(lists[name])
        return cls(**values) if into is None else None

    return read


def _join(
    values: dict[str, Any], lists: dict[str, list[Any]], entry: tuple[int, str, Any], data: bytes, at: int, stop: int
) -> None:
    """The rarer ways in which a value joins its object."""
    how, name, convert = entry
    if how == _PAIR:
        key, item = convert(data, at, stop)
        values.setdefault(name, {})[key] = item
    elif how == _INSIDE:
        convert(data, at, stop, values)
    elif how == _MANAGED:
        values[name] = _one_more(values.get(name), convert(data, at, stop))
    else:
        lists.setdefault(name, []).extend(convert(data, at, stop))


def _key(number: int, wire: int) -> int:
    """A wire key as the loop sees it: its one or two bytes as they stand, not yet put together."""
    plain = number << 3 | wire
    return plain if plain < 0x80 else (plain & 0x7F | 0x80) | plain >> 7 << 8


def _fill(table: _Table, cls: type[Struct]) -> None:
    """The entries of a type: wire key to how the value joins, its attribute, and its reader."""
    embedded = inline_bases(cls)
    for base, number in embedded.items():
        table[_key(number, BYTES)] = (_INSIDE, "", reader(base))
    for field in fields(cls).values():
        number = field.tag.number
        if not number or (embedded and field.owner is not cls):
            continue
        shape, name = field.shape, field.attribute
        if is_managed(field):
            table[_key(number, BYTES)] = (_MANAGED, name, reader(ManagedFieldsEntry))
        elif field.tag.message:
            convert_message = _read_duration if field.tag.message == "duration" else _value_reader(shape)
            table[_key(number, BYTES)] = (_ONE, name, convert_message)
        elif shape.kind == "list" and shape.item is not None:
            if shape.item.kind in _NUMBERS:
                wire, convert = _NUMBERS[shape.item.kind]
                table[_key(number, wire)] = (_MANY, name, convert)
                table[_key(number, BYTES)] = (_PACKED, name, _packed_reader(convert))
            else:
                item = _read_raw_item if shape.item.kind == "raw" else _value_reader(shape.item)
                table[_key(number, BYTES)] = (_MANY, name, item)
        elif shape.kind == "map":
            table[_key(number, BYTES)] = (_PAIR, name, _pair_reader(shape))
        elif shape.kind in _NUMBERS:
            wire, convert = _NUMBERS[shape.kind]
            table[_key(number, wire)] = (_ONE, name, convert)
        else:
            table[_key(number, BYTES)] = (_TEXT if shape.kind == "string" else _ONE, name, _value_reader(shape))
    table.setdefault(0, (_ONE, "", _no_field))


def _no_field(data: bytes, at: int) -> tuple[Any, int]:
    raise Malformed("illegal tag 0")


# ---- numbers


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned varint at a position, and the position behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Malformed("integer overflow")


def _int64(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value, at = varint(data, at)
    return (value - (1 << 64) if value >> 63 else value), at


def _int32(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value, at = varint(data, at)
    value &= 0xFFFF_FFFF
    return (value - (1 << 32) if value >> 31 else value), at


def _bool(data: bytes, at: int) -> tuple[bool, int]:
    value, at = varint(data, at)
    return value != 0, at


def _double(data: bytes, at: int) -> tuple[float, int]:
    return struct.unpack_from("<d", data, at)[0], at + 8


_NUMBERS: dict[str, tuple[int, NumberReader]] = {
    "int32": (VARINT, _int32),
    "int64": (VARINT, _int64),
    "bool": (VARINT, _bool),
    "float": (FIXED64, _double),
}


def _packed_reader(convert: NumberReader) -> Reader:
    """Numbers back to back in one value, as proto3 writes a repeated number."""

    def read(data: bytes, at: int, end: int) -> list[Any]:
        numbers = []
        while at < end:
            number, at = convert(data, at)
            numbers.append(number)
        if at != end:
            raise Malformed("unexpected EOF")
        return numbers

    return read


# ---- what nobody asked for


def _skip(data: bytes, at: int, wire: int) -> int:
    """The position behind a value."""
    if wire == VARINT:
        return varint(data, at)[1]
    if wire == BYTES:
        length, at = varint(data, at)
        return at + length
    if wire == FIXED64:
        return at + 8
    if wire == FIXED32:
        return at + 4
    raise Malformed(f"illegal wireType {wire}")


def _skip_long_key(data: bytes, at: int, wire: int) -> int:
    """The position behind a field whose key takes three bytes or more, which no type has; two are read."""
    return _skip(data, varint(data, at)[1], wire)


# ---- values


def _value_reader(shape: Shape) -> Reader:
    """What reads one length-delimited value of a shape."""
    if shape.struct is not None:
        return reader(shape.struct)
    if shape.kind == "list":
        return _items_reader(shape)
    if shape.kind == "union":
        return _union_reader(shape)
    return _VALUES[shape.kind]


def _read_text(data: bytes, at: int, end: int) -> str:
    return data[at:end].decode()


def _read_bytes(data: bytes, at: int, end: int) -> bytes:
    return data[at:end]


def _read_quantity(data: bytes, at: int, end: int) -> Quantity:
    return _quantity(data[at:end])


def _read_time(data: bytes, at: int, end: int) -> Time:
    return _time(data[at:end])


def _read_micro_time(data: bytes, at: int, end: int) -> MicroTime:
    return _micro_time(data[at:end])


def _read_duration(data: bytes, at: int, end: int) -> str:
    """A duration's message holds nanoseconds as field 1."""
    nanos = 0
    for field, wire, start, _ in _parts(data, at, end):
        if field == 1 and wire == VARINT:
            nanos = _int64(data, start)[0]
    return gotext.duration(nanos / 1e9)


def _read_int_or_string(data: bytes, at: int, end: int) -> int | str:
    """IntOrString: field 1 says which (0 number, 1 text), 2 is the number, 3 the text."""
    kind, number, text = 0, 0, ""
    for field, wire, start, stop in _parts(data, at, end):
        if field == 1 and wire == VARINT:
            kind = _int64(data, start)[0]
        elif field == 2 and wire == VARINT:
            number = _int32(data, start)[0]
        elif field == 3 and wire == BYTES:
            text = data[start:stop].decode()
    return text if kind == 1 else number


def _read_raw(data: bytes, at: int, end: int) -> msgspec.Raw:
    """RawExtension, FieldsV1 and JSON all hold their JSON text as field 1."""
    for field, wire, start, stop in _parts(data, at, end):
        if field == 1 and wire == BYTES and start < stop:
            text = data[start:stop]
            msgspec.json.decode(text)
            return msgspec.Raw(text)
    return NO_JSON


def _read_raw_item(data: bytes, at: int, end: int) -> msgspec.Raw:
    """In a list, what is not there is null, as in the enum of a schema."""
    found = _read_raw(data, at, end)
    return msgspec.Raw(b"null") if found is NO_JSON else found


_VALUES: dict[str, Reader] = {
    "string": _read_text,
    "bytes": _read_bytes,
    "quantity": _read_quantity,
    "time": _read_time,
    "microtime": _read_micro_time,
    "intstr": _read_int_or_string,
    "raw": _read_raw,
}


@lru_cache(maxsize=_REMEMBERED)
def _quantity(message: bytes) -> Quantity:
    """A quantity's message holds its text as field 1."""
    for field, wire, start, stop in _parts(message, 0, len(message)):
        if field == 1 and wire == BYTES:
            return Quantity.parse(message[start:stop].decode())
    return Quantity()


def _moment(message: bytes) -> datetime | None:
    """A time's message holds seconds and nanoseconds since 1970; an empty one is the zero time."""
    seconds = nanos = 0
    for field, wire, start, _ in _parts(message, 0, len(message)):
        if wire == VARINT and field == 1:
            seconds = _int64(message, start)[0]
        elif wire == VARINT and field == 2:
            nanos = _int32(message, start)[0]
    return EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000) if message else None


@lru_cache(maxsize=_REMEMBERED)
def _time(message: bytes) -> Time:
    moment = _moment(message)
    return Time.of(moment) if moment else Time()


@lru_cache(maxsize=_REMEMBERED)
def _micro_time(message: bytes) -> MicroTime:
    moment = _moment(message)
    return MicroTime.of(moment) if moment else MicroTime()


def _one_more(before: msgspec.Raw | None, entry: ManagedFieldsEntry) -> msgspec.Raw:
    """Managed fields with an entry added to the JSON text of those before it."""
    head = b"[" if before is None else bytes(before)[:-1] + b","
    return msgspec.Raw(head + codec.encode(entry) + b"]")


# ---- small messages around values


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int, int, int]]:
    """The fields of a small message: number, wire type, and where the value begins and ends."""
    found = []
    while at < end:
        key, at = varint(data, at)
        start = at
        if key & 7 == BYTES:
            length, start = varint(data, at)
            at = start + length
        else:
            at = _skip(data, at, key & 7)
        if at > end:
            raise Malformed("unexpected EOF")
        found.append((key >> 3, key & 7, start, at))
    return found


def _pair_reader(shape: Shape) -> Reader:
    """What reads one entry of a map: the key is field 1 and always a text, the item is field 2."""
    assert shape.item is not None
    item_shape = shape.item
    number = _NUMBERS.get(item_shape.kind)
    read_item = None if number else _value_reader(item_shape)

    def read(data: bytes, at: int, end: int) -> tuple[str, Any]:
        key, item = "", None
        for field, wire, start, stop in _parts(data, at, end):
            if field == 1 and wire == BYTES:
                key = data[start:stop].decode()
            elif field == 2 and read_item is not None and wire == BYTES:
                item = read_item(data, start, stop)
            elif field == 2 and number is not None and wire == number[0]:
                item = number[1](data, start)[0]
        return key, _zero(item_shape) if item is None else item

    return read


def _zero(shape: Shape) -> Any:
    """What a map's missing item stands for."""
    return shape.struct() if shape.struct is not None else _ZEROS[shape.kind]


_ZEROS: dict[str, Any] = {
    "string": "", "bytes": b"", "bool": False, "int32": 0, "int64": 0, "float": 0.0, "list": (), "intstr": 0,
    "quantity": Quantity(), "time": Time(), "microtime": MicroTime(), "raw": NO_JSON,
}  # fmt: skip


def _items_reader(shape: Shape) -> Reader:
    """A list that is an item of a map is a message with the list as field 1 (`ExtraValue`)."""
    assert shape.item is not None
    inner = _value_reader(shape.item)

    def read(data: bytes, at: int, end: int) -> Any:
        parts = _parts(data, at, end)
        return tuple([inner(data, start, stop) for field, wire, start, stop in parts if (field, wire) == (1, BYTES)])

    return read


def _union_reader(shape: Shape) -> Reader:
    """The unions of a CRD's schema: a message with one field for each form."""
    first, other = shape.options
    struct_number, other_number = union_numbers(shape)
    read_struct = _value_reader(first)
    read_item = _value_reader(other.item) if other.item else None

    def read(data: bytes, at: int, end: int) -> Any:
        items: list[Any] = []
        flag = False
        for number, wire, start, stop in _parts(data, at, end):
            if number == struct_number and wire == BYTES:
                return read_struct(data, start, stop)
            if number == other_number and wire == VARINT:
                flag = _bool(data, start)[0]
            elif number == other_number and wire == BYTES and read_item is not None:
                items.append(read_item(data, start, stop))
        return flag if read_item is None else tuple(items)

    return read
