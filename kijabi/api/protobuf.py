"""Objects to Kubernetes protobuf and back, by the numbers in the tags; also speaks CRI, whose messages are Structs.

kubectl and client-go send request bodies in this form and nothing else. The work is done by readers
(`protobuf_read.py`) and writers (`protobuf_write.py`) that are made once per type; the envelope (`k8s\\0` and
runtime.Unknown) is opened and closed here. Bytes come from the API server's negotiation and from the kubelet's CRI
client; malformed ones are a BadRequest.

Wire format: protobuf.dev encoding guide. Kubernetes' choices (generated.proto of k8s.io/api): a quantity is a message
with the text, a time is seconds and nanoseconds, an embedded Go struct is a message of its own, zeros are written.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from kijabi.api import codec
from kijabi.api.meta import TypeMeta
from kijabi.api.protobuf_read import reader
from kijabi.api.protobuf_wire import Malformed
from kijabi.api.protobuf_write import delimited, writer
from kijabi.api.struct import Struct, Tag
from kijabi.base.errors import BadRequest

T = TypeVar("T", bound=Struct)

MAGIC = b"k8s\x00"
RAW = 2  # the number of the message in its envelope


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
    raw: Annotated[bytes, Tag(RAW)] = b""
    contentEncoding: Annotated[str, Tag(3)] = ""
    contentType: Annotated[str, Tag(4)] = ""


def decode(cls: type[T], body: bytes) -> T:
    """The object in a bare message; unknown fields are skipped, zeros dropped. BadRequest for malformed bytes."""
    try:
        return _read(cls, body)
    except BadRequest as error:
        raise BadRequest(f"cannot decode a {cls.__name__} from protobuf: {error.message}") from None


def _read(cls: type[T], body: bytes) -> T:
    try:
        obj: T = reader(cls)(bytes(body), 0, len(body))
    except IndexError:
        reason = "unexpected EOF"
    except RecursionError:
        reason = "exceeded max depth"
    except (Malformed, ValueError, OverflowError, struct.error, msgspec.MsgspecError) as error:
        reason = str(error)
    else:
        return obj
    raise BadRequest(reason)


def decode_unknown(data: bytes) -> Unknown:
    """Open an envelope. BadRequest if it is none."""
    if not data:
        raise BadRequest("empty data")
    if not data.startswith(MAGIC):
        expected = " ".join(str(byte) for byte in MAGIC)
        raise BadRequest(f"provided data does not appear to be a protobuf message, expected prefix [{expected}]")
    if len(data) == len(MAGIC):
        raise BadRequest("empty body")
    unknown = _read(_Envelope, data[len(MAGIC) :])
    return Unknown(unknown.typeMeta.apiVersion, unknown.typeMeta.kind, unknown.raw)


def encode(obj: Struct) -> bytes:
    """The bare message; what is zero and not a Go pointer is left out."""
    return writer(type(obj))(obj)


def encode_unknown(obj: TypeMeta) -> bytes:
    """The message in an envelope. An object without kind gets its apiVersion and kind from the catalog."""
    version, kind = (obj.apiVersion, obj.kind) if obj.kind else codec.identity(type(obj))
    return envelope_names(version, kind) + delimited(RAW, encode(obj))


def envelope_names(version: str, kind: str) -> bytes:
    """The beginning of an envelope; the message follows under the number RAW."""
    return MAGIC + encode(_Envelope(typeMeta=_TypeName(apiVersion=version, kind=kind)))


def encode_wire(cls: type[TypeMeta], wire: dict[str, Any]) -> bytes:
    """A JSON value of a type (a Status, say) in an envelope."""
    return encode_unknown(codec.from_builtins(cls, wire))
