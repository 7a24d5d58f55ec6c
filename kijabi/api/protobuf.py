"""Objects to Kubernetes protobuf and back, by the numbers in the tags; also speaks CRI, whose messages are Structs.

kubectl and client-go send request bodies in this form and nothing else. A message is read by a loop over a table
made once per type: wire key to attribute and reader. The envelope (`k8s\\0` and runtime.Unknown) is opened here
too. Bytes come from the API server's negotiation and from the kubelet's CRI client; malformed ones are a BadRequest.

Wire format: protobuf.dev encoding guide. Kubernetes' choices (generated.proto of k8s.io/api): a quantity is a message
with the text, a time is seconds and nanoseconds, an embedded Go struct is a message of its own, zeros are written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from kijabi.api import codec
from kijabi.api.meta import ManagedFieldsEntry, MicroTime, ObjectMeta, Time, TypeMeta
from kijabi.api.quantity import Quantity
from kijabi.api.shape import Field, Shape, fields, inline_bases
from kijabi.api.struct import NO_JSON, Struct, Tag
from kijabi.base.errors import BadRequest

T = TypeVar("T", bound=Struct)

MAGIC = b"k8s\x00"
_REMEMBERED = 4096
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A reader gets the buffer and the bounds of one length-delimited value.
Reader = Callable[[bytes, int, int], Any]
Writer = Callable[[Any], bytes]


class Unknown(NamedTuple):
    """What is in an envelope: the type by name, and the message itself."""

    apiVersion: str
    kind: str
    raw: bytes


class _TypeName(Struct):
    """runtime.TypeMeta: the only place where protobuf carries apiVersion and kind."""

    apiVersion: Annotated[str, Tag(1)] = ""
    kind: Annotated[str, Tag(2)] = ""


class _Envelope(Struct):
    """runtime.Unknown."""

    typeMeta: Annotated[_TypeName, Tag(1)] = msgspec.field(default_factory=_TypeName)
    raw: Annotated[bytes, Tag(2)] = b""
    contentEncoding: Annotated[str, Tag(3)] = ""
    contentType: Annotated[str, Tag(4)] = ""


class _Malformed(Exception):
    """Bytes that are no message of the wanted type."""


def decode(cls: type[T], body: bytes) -> T:
    """The object in a bare message; unknown fields are skipped, zeros dropped. BadRequest for malformed bytes."""
    try:
        obj: T = _reader(cls)(bytes(body), 0, len(body))
    except (_Malformed, IndexError, ValueError, OverflowError, RecursionError, struct.error) as error:
        reason = str(error) if isinstance(error, _Malformed | ValueError) else "unexpected EOF"
        raise BadRequest(f"cannot decode a {cls.__name__} from protobuf: {reason}") from None
    return obj


def decode_unknown(data: bytes) -> Unknown:
    """Open an envelope. BadRequest if it is none."""
    if not data.startswith(MAGIC):
        expected = " ".join(str(byte) for byte in MAGIC)
        raise BadRequest(f"provided data does not appear to be a protobuf message, expected prefix [{expected}]")
    unknown = decode(_Envelope, data[len(MAGIC) :])
    return Unknown(unknown.typeMeta.apiVersion, unknown.typeMeta.kind, unknown.raw)


def encode(obj: Struct) -> bytes:
    """The bare message; what is zero and not a Go pointer is left out."""
    return _writer(type(obj))(obj)


def encode_unknown(obj: TypeMeta) -> bytes:
    """The message in an envelope, with the object's own apiVersion and kind."""
    named = _TypeName(apiVersion=obj.apiVersion, kind=obj.kind)
    return MAGIC + encode(_Envelope(typeMeta=named, raw=encode(obj)))


# ---- reading


def _varint(data: bytes, at: int) -> tuple[int, int]:
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
            raise _Malformed("integer overflow")


def _skip(data: bytes, at: int, wire: int) -> int:
    """The position behind a value that nobody asked for."""
    if wire == _VARINT:
        return _varint(data, at)[1]
    if wire == _BYTES:
        length, at = _varint(data, at)
        return at + length
    if wire == _FIXED64:
        return at + 8
    if wire == _FIXED32:
        return at + 4
    raise _Malformed(f"illegal wireType {wire}")


# How a value joins its object.
_TEXT, _ONE, _MANY, _PAIR, _INSIDE, _PACKED, _MANAGED = range(7)


@cache
def _reader(cls: type[Struct]) -> Reader:
    """What makes an object of a message; types are compiled when first met, so types may contain themselves."""
    collect = _collector(cls)

    def read(data: bytes, at: int, end: int) -> Any:
        values: dict[str, Any] = {}
        collect(data, at, end, values)
        return cls(**values)

    return read


@cache
def _collector(cls: type[Struct]) -> Callable[[bytes, int, int, dict[str, Any]], None]:
    """What reads a message's values into a dict by attribute: the loop where all the time goes."""
    table: dict[int, tuple[int, str, Any]] = {}

    def collect(data: bytes, at: int, end: int, values: dict[str, Any]) -> None:
        if not table:
            _fill(table, cls)
        lists: set[str] = set()
        while at < end:
            key = data[at]
            at += 1
            if key > 0x7F:
                key, at = _varint(data, at - 1)
            entry = table.get(key)
            if key & 7 != _BYTES:
                if entry is None:
                    at = _skip(data, at, key & 7)
                    continue
                how, name, convert = entry
                value, at = convert(data, at)
                if how == _ONE:
                    values[name] = value
                else:
                    lists.add(name)
                    values.setdefault(name, []).append(value)
                continue
            length = data[at]
            at += 1
            if length > 0x7F:
                length, at = _varint(data, at - 1)
            stop = at + length
            if stop > end:
                raise _Malformed("unexpected EOF")
            if entry is not None:
                how, name, read = entry
                if how == _TEXT:
                    values[name] = data[at:stop].decode()
                elif how == _ONE:
                    values[name] = read(data, at, stop)
                elif how == _MANY:
                    if name in lists:
                        values[name].append(read(data, at, stop))
                    else:
                        lists.add(name)
                        values[name] = [read(data, at, stop)]
                elif how == _PAIR:
                    map_key, item = read(data, at, stop)
                    values.setdefault(name, {})[map_key] = item
                elif how == _INSIDE:
                    read(data, at, stop, values)
                elif how == _MANAGED:
                    values[name] = read(data, at, stop, values.get(name))
                else:
                    lists.add(name)
                    values.setdefault(name, []).extend(read(data, at, stop))
            at = stop
        if at != end:
            raise _Malformed("unexpected EOF")
        for name in lists:
            values[name] = tuple(values[name])

    return collect


def _fill(table: dict[int, tuple[int, str, Any]], cls: type[Struct]) -> None:
    """The entries of a type: wire key to how the value joins, its attribute, and its reader."""
    embedded = inline_bases(cls)
    for base, number in embedded.items():
        table[number << 3 | _BYTES] = (_INSIDE, "", _collector(base))
    for field in fields(cls).values():
        number = field.tag.number
        if not number or (embedded and field.owner is not cls):
            continue
        shape, name = field.shape, field.attribute
        if _is_managed(field):
            table[number << 3 | _BYTES] = (_MANAGED, name, _read_managed)
        elif shape.kind == "list":
            assert shape.item is not None
            if shape.item.kind in _NUMBERS:
                wire, convert = _NUMBERS[shape.item.kind]
                table[number << 3 | wire] = (_MANY, name, convert)
                table[number << 3 | _BYTES] = (_PACKED, name, _read_packed(convert))
            else:
                table[number << 3 | _BYTES] = (_MANY, name, _value_reader(shape.item))
        elif shape.kind == "map":
            table[number << 3 | _BYTES] = (_PAIR, name, _pair_reader(shape))
        elif shape.kind in _NUMBERS:
            wire, convert = _NUMBERS[shape.kind]
            table[number << 3 | wire] = (_ONE, name, convert)
        else:
            table[number << 3 | _BYTES] = (_TEXT if shape.kind == "string" else _ONE, name, _value_reader(shape))


def _is_managed(field: Field) -> bool:
    """`managedFields` is a list of messages in protobuf, but one raw JSON value in memory."""
    return field.owner is ObjectMeta and field.name == "managedFields"


def _read_managed(data: bytes, at: int, end: int, before: msgspec.Raw | None) -> msgspec.Raw:
    entry: ManagedFieldsEntry = _reader(ManagedFieldsEntry)(data, at, end)
    text = codec.encode(entry)
    return msgspec.Raw(b"[" + text + b"]" if before is None else bytes(before)[:-1] + b"," + text + b"]")


def _value_reader(shape: Shape) -> Reader:
    """What reads one length-delimited value of a shape."""
    match shape.kind:
        case "string":
            return _read_text
        case "bytes":
            return _read_bytes
        case "struct":
            assert shape.struct is not None
            return _reader(shape.struct)
        case "quantity":
            return lambda data, at, end: _quantity(data[at:end])
        case "time":
            return lambda data, at, end: _time(data[at:end])
        case "microtime":
            return lambda data, at, end: _micro_time(data[at:end])
        case "intstr":
            return _read_int_or_string
        case "raw":
            return _read_raw
        case "list":
            return _items_reader(shape)
        case "union":
            return _union_reader(shape)
    raise TypeError(f"protobuf has no form for {shape}")


def _read_text(data: bytes, at: int, end: int) -> str:
    return data[at:end].decode()


def _read_bytes(data: bytes, at: int, end: int) -> bytes:
    return data[at:end]


def _int64(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value, at = _varint(data, at)
    return (value - (1 << 64) if value >> 63 else value), at


def _int32(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value, at = _varint(data, at)
    value &= 0xFFFF_FFFF
    return (value - (1 << 32) if value >> 31 else value), at


def _bool(data: bytes, at: int) -> tuple[bool, int]:
    value, at = _varint(data, at)
    return value != 0, at


def _double(data: bytes, at: int) -> tuple[float, int]:
    return struct.unpack_from("<d", data, at)[0], at + 8


_NUMBERS: dict[str, tuple[int, Callable[[bytes, int], tuple[Any, int]]]] = {
    "int32": (_VARINT, _int32),
    "int64": (_VARINT, _int64),
    "bool": (_VARINT, _bool),
    "float": (_FIXED64, _double),
}


def _read_packed(convert: Callable[[bytes, int], tuple[Any, int]]) -> Reader:
    """Numbers back to back in one value, as proto3 writes a repeated number."""

    def read(data: bytes, at: int, end: int) -> list[Any]:
        numbers = []
        while at < end:
            number, at = convert(data, at)
            numbers.append(number)
        if at != end:
            raise _Malformed("unexpected EOF")
        return numbers

    return read


def _pair_reader(shape: Shape) -> Reader:
    """What reads one entry of a map: the key is field 1 and always a string, the item is field 2."""
    assert shape.item is not None
    item_shape = shape.item
    number = _NUMBERS.get(item_shape.kind)
    read_item = None if number else _value_reader(item_shape)

    def read(data: bytes, at: int, end: int) -> tuple[str, Any]:
        map_key, item = "", None
        for field, wire, start, stop in _parts(data, at, end):
            if field == 1 and wire == _BYTES:
                map_key = data[start:stop].decode()
            elif field == 2 and read_item is not None and wire == _BYTES:
                item = read_item(data, start, stop)
            elif field == 2 and number is not None and wire == number[0]:
                item = number[1](data, start)[0]
        return map_key, _zero(item_shape) if item is None else item

    return read


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int, int, int]]:
    """The fields of a small message: number, wire type, and where the value begins and ends."""
    found = []
    while at < end:
        key, at = _varint(data, at)
        start = at
        if key & 7 == _BYTES:
            length, start = _varint(data, at)
            at = start + length
        else:
            at = _skip(data, at, key & 7)
        if at > end:
            raise _Malformed("unexpected EOF")
        found.append((key >> 3, key & 7, start, at))
    return found


def _zero(shape: Shape) -> Any:
    """What a map's missing item stands for."""
    if shape.struct is not None:
        return shape.struct()
    return _ZEROS[shape.kind]


_ZEROS: dict[str, Any] = {
    "string": "", "bytes": b"", "bool": False, "int32": 0, "int64": 0, "float": 0.0, "list": (), "intstr": 0,
    "quantity": Quantity(), "time": Time(), "microtime": MicroTime(), "raw": NO_JSON,
}  # fmt: skip


@lru_cache(maxsize=_REMEMBERED)
def _quantity(message: bytes) -> Quantity:
    """A quantity's message holds its text as field 1."""
    for field, wire, start, stop in _parts(message, 0, len(message)):
        if field == 1 and wire == _BYTES:
            return Quantity.parse(message[start:stop].decode())
    return Quantity()


def _moment(message: bytes) -> datetime | None:
    """A time's message holds seconds and nanoseconds since 1970; an empty one is the zero time."""
    seconds = nanos = 0
    for field, wire, start, _ in _parts(message, 0, len(message)):
        if wire == _VARINT and field == 1:
            seconds = _int64(message, start)[0]
        elif wire == _VARINT and field == 2:
            nanos = _int32(message, start)[0]
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000) if message else None


@lru_cache(maxsize=_REMEMBERED)
def _time(message: bytes) -> Time:
    moment = _moment(message)
    return Time.of(moment) if moment else Time()


@lru_cache(maxsize=_REMEMBERED)
def _micro_time(message: bytes) -> MicroTime:
    moment = _moment(message)
    return MicroTime.of(moment) if moment else MicroTime()


def _read_int_or_string(data: bytes, at: int, end: int) -> int | str:
    """IntOrString: field 1 says which (0 number, 1 text), 2 is the number, 3 the text."""
    kind, number, text = 0, 0, ""
    for field, wire, start, stop in _parts(data, at, end):
        if field == 1 and wire == _VARINT:
            kind = _int64(data, start)[0]
        elif field == 2 and wire == _VARINT:
            number = _int32(data, start)[0]
        elif field == 3 and wire == _BYTES:
            text = data[start:stop].decode()
    return text if kind == 1 else number


def _read_raw(data: bytes, at: int, end: int) -> msgspec.Raw:
    """RawExtension, FieldsV1 and JSON all hold their JSON text as field 1."""
    for field, wire, start, stop in _parts(data, at, end):
        if field == 1 and wire == _BYTES and start < stop:
            text = data[start:stop]
            msgspec.json.decode(text)
            return msgspec.Raw(text)
    return NO_JSON


def _items_reader(shape: Shape) -> Reader:
    """A list that is an item of a map is a message with the list as field 1 (`ExtraValue`)."""
    assert shape.item is not None
    inner = _value_reader(shape.item)

    def read(data: bytes, at: int, end: int) -> Any:
        parts = _parts(data, at, end)
        return tuple([inner(data, start, stop) for number, wire, start, stop in parts if (number, wire) == (1, _BYTES)])

    return read


def _union_numbers(shape: Shape) -> tuple[int, int]:
    """The field numbers of the struct and of the other form; only JSONSchemaPropsOrBool has its struct second."""
    return (2, 1) if shape.options[1].kind == "bool" else (1, 2)


def _union_reader(shape: Shape) -> Reader:
    """The unions of a CRD's schema: a message with one field for each form."""
    first, other = shape.options
    struct_number, other_number = _union_numbers(shape)
    read_struct = _value_reader(first)
    read_item = _value_reader(other.item) if other.item else None

    def read(data: bytes, at: int, end: int) -> Any:
        items: list[Any] = []
        flag = False
        for number, wire, start, stop in _parts(data, at, end):
            if number == struct_number and wire == _BYTES:
                return read_struct(data, start, stop)
            if number == other_number and wire == _VARINT:
                flag = _bool(data, start)[0]
            elif number == other_number and wire == _BYTES and read_item is not None:
                items.append(read_item(data, start, stop))
        return flag if read_item is None else tuple(items)

    return read


# ---- writing


def _number(value: int) -> bytes:
    """A varint; negative numbers take ten bytes, as two's complement."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(key: bytes, body: bytes) -> bytes:
    return key + _number(len(body)) + body


@cache
def _writer(cls: type[Struct]) -> Writer:
    """What makes the message of an object; compiled at the first use, so types may contain themselves."""
    parts: list[tuple[str, Writer]] = []

    def write(obj: Any) -> bytes:
        if not parts:
            _compile(parts, cls)
        return b"".join([part(getattr(obj, name) if name else obj) for name, part in parts])

    return write


def _compile(parts: list[tuple[str, Writer]], cls: type[Struct]) -> None:
    """The writers of a type's fields by attribute; an embedded base and managed fields get the object itself."""
    embedded = inline_bases(cls)
    for base, number in embedded.items():
        parts.append(("", _always(number, _writer(base))))
    for field in fields(cls).values():
        if field.tag.number and not (embedded and field.owner is not cls):
            parts.append(("" if _is_managed(field) else field.attribute, _field_writer(field)))
    parts.sort(key=lambda part: part[0])


def _field_writer(field: Field) -> Writer:
    """What writes a field: nothing for null, nothing for a zero that is not behind a pointer."""
    number, shape = field.tag.number, field.shape
    if _is_managed(field):
        one = _always(number, _writer(ManagedFieldsEntry))
        return lambda meta: b"".join(map(one, codec.read_managed(meta)))
    if shape.kind == "list" and shape.item is not None:
        item = _always(number, _value_writer(shape.item), shape.item)
        return lambda items: b"".join([item(each) for each in items])
    if shape.kind == "map" and shape.item is not None:
        return _map_writer(number, shape.item)
    always = _always(number, _value_writer(shape), shape)
    if shape.nullable:
        return lambda value: b"" if value is None else always(value)
    if shape.struct is not None:
        return always
    return lambda value: always(value) if value else b""


def _always(number: int, value: Writer, shape: Shape | None = None) -> Writer:
    """A value with its key in front."""
    if shape is not None and shape.kind in _NUMBERS:
        key = _number(number << 3 | _NUMBERS[shape.kind][0])
        return lambda each: key + value(each)
    key = _number(number << 3 | _BYTES)
    return lambda each: _delimited(key, value(each))


def _map_writer(number: int, item: Shape) -> Writer:
    key = _number(number << 3 | _BYTES)
    value = _always(2, _value_writer(item), item)
    return lambda pairs: b"".join(
        [_delimited(key, _delimited(b"\x0a", name.encode()) + value(each)) for name, each in sorted(pairs.items())]
    )


def _value_writer(shape: Shape) -> Writer:
    """What writes the body of a value, without key and length."""
    match shape.kind:
        case "string":
            return lambda value: value.encode()
        case "bytes":
            return bytes
        case "bool" | "int32" | "int64":
            return lambda value: _number(int(value))
        case "float":
            return lambda value: struct.pack("<d", value)
        case "struct":
            assert shape.struct is not None
            return _writer(shape.struct)
        case "quantity":
            return lambda value: _delimited(b"\x0a", value.encode())
        case "time" | "microtime":
            return _write_moment
        case "intstr":
            return _write_int_or_string
        case "raw":
            return lambda value: _delimited(b"\x0a", bytes(value)) if bytes(value) else b""
        case "list":
            assert shape.item is not None
            item = _always(1, _value_writer(shape.item), shape.item)
            return lambda items: b"".join([item(each) for each in items])
        case "union":
            return _union_writer(shape)
    raise TypeError(f"protobuf has no form for {shape}")


def _write_moment(value: Time | MicroTime) -> bytes:
    if not value:
        return b""
    since = value.datetime() - _EPOCH
    seconds = since.days * 86400 + since.seconds
    return b"\x08" + _number(seconds) + b"\x10" + _number(since.microseconds * 1000)


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return b"\x08\x01\x10\x00" + _delimited(b"\x1a", value.encode())
    return b"\x08\x00\x10" + _number(value) + b"\x1a\x00"


def _union_writer(shape: Shape) -> Writer:
    first, other = shape.options
    struct_number, other_number = _union_numbers(shape)
    write_struct = _always(struct_number, _value_writer(first))
    if other.item is None:
        flag = _number(other_number << 3 | _VARINT)
        return lambda value: flag + _number(int(value)) if isinstance(value, bool) else write_struct(value)
    item = _always(other_number, _value_writer(other.item), other.item)
    return lambda value: b"".join(map(item, value)) if isinstance(value, tuple) else write_struct(value)
