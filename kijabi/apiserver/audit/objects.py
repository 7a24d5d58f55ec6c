"""How the bodies of requests and answers look in the audit log: always JSON, in the version they came or went in.

`record.py` calls these, and only for the levels that record bodies. Pure. Rules: k8s.io/apiserver
`pkg/audit/request.go`.
"""

from __future__ import annotations

import gzip
import zlib
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec

from kijabi.api import catalog, codec, protobuf, yamltext
from kijabi.api.meta import ListMeta, Status, TypeMeta
from kijabi.api.struct import NO_JSON, Struct, Tag, empty_list
from kijabi.apiserver import negotiate
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Request, Response

if TYPE_CHECKING:
    from kijabi.apiserver.call import Call

_STATUS = b'{"kind":"Status"'
_ENVELOPE = b"k8s\x00"  # what protobuf bodies begin with


def sent(call: Call, obj: Any, bare: bool) -> msgspec.Raw:
    """An object as its client sent it, with the defaults of its version. bare: without managed fields."""
    cls = type(obj)
    copy = codec.clone(obj)
    expected = call.expected(cls)
    copy.kind, copy.apiVersion = expected.kind, expected.api_version
    if cls is call.resource.type:
        call.resource.defaults(copy)
    if bare and hasattr(copy, "metadata"):
        copy.metadata.managedFields = NO_JSON
    return msgspec.Raw(codec.encode(copy))


def patch(request: Request) -> msgspec.Raw:
    """A patch as JSON, whatever it came as; nothing if it cannot be read."""
    data = request.body
    if negotiate.media_type(request.headers.get("content-type", "")) == negotiate.APPLY_PATCH:
        try:
            return msgspec.Raw(yamltext.to_json(data)[0])
        except BadRequest:
            return NO_JSON  # the client is told that it cannot be read; there is no JSON to record
    return _valid(data)


def status(answer: Response) -> Status:
    """The outcome: what the Status says that was answered, or only the code."""
    body = answer.body
    known = body.startswith(_STATUS) or (body.startswith(_ENVELOPE) and b"Status" in body[:40])
    data = answered(answer) if known or answer.status >= 400 else None
    if data is not None and data.startswith(_STATUS):
        try:
            found = codec.decode(Status, data)
        except BadRequest:
            return Status(code=answer.status)  # somebody else's server answered, and this is no Status
        return Status(
            status=found.status, message=found.message, reason=found.reason, details=found.details, code=answer.status
        )
    return Status(code=answer.status)


def answered(answer: Response) -> bytes | None:
    """The object of an answer as JSON; None for what is no object, such as a page or metrics."""
    data = answer.body
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if answer.headers.get("Content-Encoding") == "gzip":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return None
    if kind == negotiate.PROTOBUF:
        return _from_protobuf(data)
    if kind == negotiate.YAML:
        try:
            data = yamltext.to_json(data)[0]
        except BadRequest:
            return None
    elif kind != negotiate.JSON:
        return None
    return data.strip()


def _from_protobuf(data: bytes) -> bytes | None:
    """A built-in object or list in JSON."""
    try:
        version, kind, raw = protobuf.decode_unknown(data)
        obj: Struct = protobuf.decode(_type_of(version, kind), raw)
    except (BadRequest, LookupError):
        return None
    found: Any = obj
    found.kind, found.apiVersion = kind, version
    return codec.encode(found)


@cache
def _type_of(api_version: str, kind: str) -> type[Struct]:
    """The class of a built-in object, of a list of them, or of a Status. Raises LookupError."""
    if kind == "Status":
        return Status
    group, _, version = api_version.rpartition("/")
    found = catalog.type_of(group, version, kind)
    if found is not None:
        return found
    item = catalog.type_of(group, version, kind.removesuffix("List"))
    if item is None:
        raise LookupError(kind)
    members = [
        ("metadata", Annotated[ListMeta, Tag(1)], msgspec.field(default_factory=ListMeta)),
        ("items", Annotated[tuple[item, ...], Tag(2)], msgspec.field(default_factory=empty_list)),  # type: ignore[valid-type]
    ]
    return cast(type[Struct], msgspec.defstruct(kind, members, bases=(TypeMeta,), module=__name__))


def response(answer: Response, bare: bool) -> msgspec.Raw:
    """The object that is answered, or nothing where there is none. bare: without managed fields, items' too."""
    data = answered(answer)
    if data is None:
        return NO_JSON
    if bare and b'"managedFields"' in data:
        document = msgspec.json.decode(data)
        for each in (document, *(document.get("items") or ()), *map(_of_row, document.get("rows") or ())):
            if isinstance(each, dict) and isinstance(each.get("metadata"), dict):
                each["metadata"].pop("managedFields", None)
        return msgspec.Raw(msgspec.json.encode(document))
    return _valid(data)


def _of_row(row: Any) -> Any:
    return row.get("object") if isinstance(row, dict) else None


def _valid(data: bytes) -> msgspec.Raw:
    """JSON as it is; nothing if it is none, for a line of the log must stay one."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NO_JSON
    compact = data if b"\n" not in data else msgspec.json.encode(msgspec.json.decode(data))
    return msgspec.Raw(compact)
