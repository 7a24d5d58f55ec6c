"""Request bodies: JSON, YAML or protobuf into a typed object, with the errors and warnings that Kubernetes gives.

`call.Call.body` comes here for objects and `deletion.py` for DeleteOptions; the decoding itself is `api/codec.py`'s
and `api/protobuf.py`'s. Texts follow k8s.io/apiserver `pkg/endpoints/handlers` (transformDecodeError).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from kijabi.api import catalog, codec, protobuf
from kijabi.api.codec_slow import UNREADABLE
from kijabi.api.gotext import quote
from kijabi.api.meta import DeleteOptions
from kijabi.api.struct import Struct
from kijabi.apiserver.negotiate import PROTOBUF, YAML, body_type
from kijabi.apiserver.options import Validation
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Request

T = TypeVar("T", bound=Struct)

SUMMARY = 30  # bytes of an unreadable body that an error shows
MAX_PROBLEMS = 100  # unknown and repeated fields that are told of (sigs.k8s.io/json)
MAX_WARNINGS = 4096  # characters of all warnings of one request that are sent whole
SHORT_WARNING = 256  # characters of each, where they are more
MAX_SHORT_WARNINGS = MAX_WARNINGS // SHORT_WARNING
_SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'


class Expected(NamedTuple):
    """What kind of object belongs here. also: older versions of it that are read all the same."""

    kind: str
    api_version: str
    also: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """`v1` of `apps/v1`."""
        return self.api_version.rpartition("/")[2]

    @property
    def internal(self) -> str:
        """`apps.Deployment`: upstream's name for the form that every version of a kind is turned into."""
        group = self.api_version.rpartition("/")[0]
        return f"{'core' if group in ('', 'events.k8s.io') else group.partition('.')[0]}.{self.kind}"


class _Ids(msgspec.Struct):
    kind: Any = ""
    apiVersion: Any = ""


_IDS = msgspec.json.Decoder(_Ids)
# How Go names what JSON values are, by their first byte; the others are numbers.
_KINDS = {b"{": "object", b"[": "array", b'"': "string", b"t": "bool", b"f": "bool"}
_GO_IDS = r"""struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"""


def decode(request: Request, cls: type[T], expected: Expected, directive: Validation, warnings: list[str]) -> T:
    """The body as `cls`. directive is fieldValidation: what it finds becomes warnings or a BadRequest.

    Raises BadRequest, UnsupportedMediaType.
    """
    kind = body_type(request)
    data = request.body
    if kind == PROTOBUF:
        return _from_protobuf(data, cls, expected)
    if kind == YAML:
        data = yaml_to_json(data, expected)
    return from_json(data, cls, expected, directive, warnings)


def from_json(data: bytes, cls: type[T], expected: Expected, directive: Validation, warnings: list[str]) -> T:
    """JSON into `cls`, as `decode` does it."""
    problems: list[str] = []
    try:
        if directive == "Ignore":
            obj = codec.decode(cls, data)
        else:
            obj, problems = codec.decode_strict(cls, data)
    except BadRequest as problem:
        raise undecodable(data, expected, problem.message) from None
    kind, api_version = getattr(obj, "kind", ""), getattr(obj, "apiVersion", "")
    if api_version.count("/") > 1:
        raise unrecognized(data, expected, f"unexpected GroupVersion string: {api_version}")
    _check_ids(kind, api_version, expected)
    tell(problems, expected, directive, warnings)
    return obj


def tell(problems: list[str], expected: Expected, directive: Validation, warnings: list[str]) -> None:
    """What a strict reader found, as warnings or, if the client wants it so, as a BadRequest."""
    if directive == "Ignore":
        return
    problems = list(dict.fromkeys(problems))[:MAX_PROBLEMS]
    if problems and directive == "Strict":
        text = f"strict decoding error: {', '.join(problems)}"
        raise BadRequest(_cannot(expected.kind, expected.version, expected.kind, text))
    for text in problems:
        add_warning(warnings, text)


def _from_protobuf(data: bytes, cls: type[T], expected: Expected) -> T:
    try:
        api_version, kind, raw = protobuf.decode_unknown(data)
    except BadRequest as problem:
        raise unrecognized(data, expected, problem.message) from None
    _check_ids(kind, api_version, expected)
    try:
        return protobuf.decode(cls, raw)
    except BadRequest as problem:
        raise BadRequest(_cannot(expected.kind, expected.version, expected.kind, problem.message)) from None


def delete_options(request: Request) -> DeleteOptions:
    """DeleteOptions in the body of a DELETE, under any group's apiVersion. Raises BadRequest."""
    kind, data = body_type(request), request.body
    if kind == PROTOBUF:
        try:
            _, name, raw = protobuf.decode_unknown(data)
            wanted = protobuf.decode(DeleteOptions, raw)
        except ValueError as problem:
            raise BadRequest(str(problem)) from None
    else:
        expected = Expected("DeleteOptions", "v1")
        wanted = codec.decode(DeleteOptions, yaml_to_json(data, expected) if kind == YAML else data)
        name = wanted.kind
    if name not in ("", "DeleteOptions"):
        raise BadRequest("decoded object cannot be converted to DeleteOptions")
    return wanted


def undecodable(data: bytes, expected: Expected, reason: str) -> BadRequest:
    """The BadRequest for a body that does not decode: naming its kind, unless not even that can be read."""
    if not reason.startswith((UNREADABLE, "yaml: ")):
        try:
            ids = _IDS.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            ids = _Ids()
        wrong = _nameless(data, ids)
        if wrong:
            return unrecognized(data, expected, wrong)
        kind, version = ids.kind or expected.kind, ids.apiVersion or expected.api_version
        return BadRequest(_cannot(kind, version.rpartition("/")[2], expected.kind, reason))
    return unrecognized(data, expected, reason)


def unrecognized(data: bytes, expected: Expected, reason: str) -> BadRequest:
    """The BadRequest for a body that does not tell what it is."""
    return BadRequest(
        f"the object provided is unrecognized (must be of type {expected.kind}): {reason} ({summary(data)})"
    )


def _nameless(data: bytes, ids: _Ids) -> str:
    """Why apiVersion and kind of a body, which is some JSON, cannot be read; an empty text if they can.

    Upstream reads these two first, into a struct without a name.
    """
    start = data.lstrip()[:1]
    if start not in (b"{", b"n", b""):
        return f"{UNREADABLE}json: cannot unmarshal {_KINDS.get(start, 'number')} into Go value of type {_GO_IDS}"
    for name in ("apiVersion", "kind"):
        value = getattr(ids, name)
        if value is None:
            setattr(ids, name, "")
        elif not isinstance(value, str):
            found = _KINDS.get(msgspec.json.encode(value)[:1], "number")
            return f"{UNREADABLE}json: cannot unmarshal {found} into Go struct field .{name} of type string"
    return f"unexpected GroupVersion string: {ids.apiVersion}" if ids.apiVersion.count("/") > 1 else ""


def _cannot(kind: str, version: str, wanted: str, reason: str) -> str:
    return f"{kind} in version {quote(version)} cannot be handled as a {wanted}: {reason}"


def summary(data: bytes) -> str:
    """The start of a body, as errors show it: text if it looks like JSON, else hexadecimal."""
    if not data:
        return "<empty>"
    more = " ..." if len(data) > SUMMARY else ""
    start = data[:SUMMARY]
    return (start.decode(errors="replace") if data[:1] == b"{" else start.hex()) + more


def _check_ids(kind: str, api_version: str, expected: Expected) -> None:
    """The object must be of the kind that belongs here; what it leaves out counts as right."""
    if kind in ("", expected.kind) and api_version in ("", expected.api_version, *expected.also):
        return
    kind, api_version = kind or expected.kind, api_version or expected.api_version
    group, _, version = api_version.rpartition("/")
    if catalog.by_kind(group, version, kind) is None:
        reason = f"no kind {quote(kind)} is registered for version {quote(api_version)} {_SCHEME}"
        raise BadRequest(_cannot(kind, version, expected.kind, reason))
    if kind != expected.kind:
        reason = f"converting ({version}.{kind}) to ({expected.internal}): unknown conversion"
        raise BadRequest(_cannot(kind, version, expected.kind, reason))
    raise BadRequest(
        f"the API version in the data ({api_version}) does not match the expected API version ({expected.api_version})"
    )


def yaml_to_json(data: bytes, expected: Expected) -> bytes:
    """A YAML document as JSON. Raises BadRequest."""
    from kijabi.api import yamltext  # hardly a client sends it

    try:
        return yamltext.to_json(data)[0]
    except BadRequest as problem:
        raise undecodable(data, expected, problem.message) from None


def add_warning(warnings: list[str], text: str) -> None:
    """Queue a warning for the client, once; no more than can ever be sent."""
    if text and text not in warnings and (len(warnings) < MAX_SHORT_WARNINGS or sum(map(len, warnings)) < MAX_WARNINGS):
        warnings.append(text[:MAX_WARNINGS])


def warning_header(warnings: Iterable[str]) -> str:
    """The `Warning` header of these texts: whole if they fit together, else the beginning of each (k8s.io/apiserver
    `pkg/endpoints/filters/warning.go`)."""
    texts = list(warnings)
    if sum(map(len, texts)) > MAX_WARNINGS:
        texts = [text[:SHORT_WARNING] for text in texts]
        while sum(map(len, texts)) > MAX_WARNINGS:
            texts.pop()
    return ", ".join(map(header, texts))


def header(text: str) -> str:
    """A `Warning` header: 299 is `Miscellaneous Persistent Warning` (RFC 7234)."""
    clean = "".join(char if char.isprintable() else " " for char in text)
    return f'299 - "{clean}"'.replace("\\", "\\\\") if '"' not in clean else f"299 - {quote(clean)}"
