"""PATCH: an existing object and a patch make a new object, which then goes the way of an update.

`server.py` calls `change`, which gives `registry.change` what makes the new object; it is called again when somebody
else wrote in between. The merging itself is pure and in `api/patch.py`, `api/strategic.py` and, for server-side apply,
in `api/apply/`, which `managedfields.py` calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from kijabi.api import codec, codec_slow, patch, status, strategic, validation
from kijabi.api.custom import Custom
from kijabi.api.gotext import display, quote
from kijabi.apiserver import body, managedfields, metadata, negotiate
from kijabi.apiserver.call import Call
from kijabi.apiserver.negotiate import APPLY_PATCH
from kijabi.apiserver.registry import Make, Registry, namespace_of
from kijabi.apiserver.routes import Served
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import ApiError, BadRequest
from kijabi.client.transport import Response

JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH = negotiate.PATCHES
_OPERATION = frozenset(("op", "path", "from", "value"))


def patch_type(call: Call) -> str:
    """The media type of the patch. Raises UnsupportedMediaType.

    Strategic merges follow the types of built-in kinds, so there are none of custom resources.
    """
    kind = negotiate.media_type(call.request.headers.get("content-type", ""))
    accepted = tuple(each for each in negotiate.PATCHES if each != STRATEGIC_PATCH or not call.resource.custom)
    if kind not in accepted and kind != APPLY_PATCH:
        raise negotiate.unsupported((*accepted, APPLY_PATCH))
    return kind


async def change(call: Call, registry: Registry, served: Served) -> Response:
    """Answer a PATCH of an object or its status: 200, or 201 where an apply creates it."""
    if patch_type(call) == APPLY_PATCH:
        return await registry.change(call, served, make_applied(call, registry, served), tended=True)
    return await registry.change(call, served, make_patched(call, served))


class Patch(NamedTuple):
    """A decoded patch. problems: what a strict reader finds in its text, such as repeated members."""

    kind: str
    change: Any
    problems: tuple[str, ...] = ()


def read(call: Call) -> Patch:
    """The decoded patch. Raises BadRequest, UnsupportedMediaType."""
    kind, data = patch_type(call), call.request.body
    problems: tuple[str, ...] = ()
    lead = "" if kind == STRATEGIC_PATCH else "error decoding patch: "
    try:
        change = patch.bounded(msgspec.json.decode(data))
        if call.options.validation != "Ignore":
            problems = find_problems(kind, data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadRequest("invalid JSON patch") from None
    wanted = list if kind == JSON_PATCH else dict
    if change is not None and not isinstance(change, wanted):
        into = "[]handlers.jsonPatchOp" if kind == JSON_PATCH else "map[string]interface {}"
        raise BadRequest(f"{lead}json: cannot unmarshal {codec_slow.json_kind(data)} into Go value of type {into}")
    if change is None:
        raise BadRequest("invalid JSON document")
    return Patch(kind, change, problems)


def find_problems(kind: str, data: bytes) -> tuple[str, ...]:
    """Repeated members anywhere in a patch, and in a JSON patch the members that no operation has."""
    if kind != JSON_PATCH:
        return tuple(codec_slow.repeated(data))
    return tuple(f"json patch {problem}" for problem in codec_slow.repeated(data, _OPERATION))


class Configuration(NamedTuple):
    """What an apply wants. problem: what a strict reader finds in its text, such as repeated members."""

    document: dict[str, Any]
    problem: str

    def strictly(self, call: Call) -> None:
        """Tell of the problem as the client wants it: as a warning, or (raised) as a BadRequest."""
        if not self.problem or call.options.validation == "Ignore":
            return
        if call.options.validation == "Strict":
            raise BadRequest(f"error strict decoding patch: {self.problem}")
        body.add_warning(call.warnings, self.problem)


def configuration(call: Call, api_version: str, kind: str) -> Configuration:
    """The body of an apply to an object of this kind. Raises BadRequest."""
    document, problem = _decode(call.request.body)
    if (document.get("apiVersion"), document.get("kind")) != (api_version, kind):
        raise BadRequest(f"invalid object type: {managedfields.kind_of(document)}")
    own = document.get("metadata")
    if isinstance(own, dict) and own.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    return Configuration(document, problem)


def _decode(data: bytes) -> tuple[dict[str, Any], str]:
    """A configuration in YAML or JSON, and what a strict reader minds."""
    document, problem = None, ""
    try:
        if data[:1] == b"{" and not codec_slow.repeated(data):
            document = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadRequest):
        document = None
    if document is None:  # it is YAML, or somebody may want to know in which line a member is repeated
        from kijabi.api import yamltext

        try:
            data, problems = yamltext.to_json(data)
        except BadRequest as unreadable:
            raise BadRequest(f"error encoding patch: {unreadable.message}") from None
        problem = f"error converting YAML to JSON: {problems[0]}" if problems else ""
        document = msgspec.json.decode(data)
    if document is not None and not isinstance(document, dict):
        into = f"json: cannot unmarshal {codec_slow.json_kind(data)} into Go value of type map[string]interface {{}}"
        raise BadRequest(f"error decoding patch: error unmarshaling JSON: while decoding JSON: {into}")
    return _whole(patch.bounded(document or {})), problem


def _whole(value: Any) -> Any:
    """A JSON value in which 1.0 is 1, as it is for Go."""
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value


def make_applied(call: Call, registry: Registry, served: Served) -> Make:
    """What makes the object of the stored one, or of nothing, and a configuration. Raises BadRequest."""
    resource = served.resource
    config = configuration(call, resource.api_version, resource.kind)

    async def make(item: Item | None) -> Any:
        live = item.obj if item is not None else None
        obj = await registry.fields.applied(call, served, live, config.document)
        config.strictly(call)
        metadata.match_namespace(obj, namespace_of(call))
        metadata.match_name(obj, call.info.name)
        if live is not None and obj.metadata.resourceVersion == live.metadata.resourceVersion:
            obj.metadata.resourceVersion = ""  # not stated, so another write in between is no conflict
        return obj

    return make


def make_patched(call: Call, served: Served) -> Make:
    """What makes the patched object from the stored one. Raises BadRequest, UnsupportedMediaType."""
    wanted = read(call)
    resource = served.resource
    whole = _may_touch_managers(wanted.kind, call.request.body)

    async def make(item: Item | None) -> Any:
        if item is None:
            raise status.not_found(resource, call.info.name)
        # Managed fields are large, and a patch that leaves them out leaves them as they are.
        document = codec.to_builtins(item.obj) if whole else managedfields.as_document(item.obj)
        document["kind"], document["apiVersion"] = resource.kind, resource.api_version
        obj = patched(call, wanted, document, resource.type)
        if obj.metadata.resourceVersion == item.obj.metadata.resourceVersion:
            obj.metadata.resourceVersion = ""  # not stated by the patch, so another write in between is no conflict
        return obj

    return make


def _may_touch_managers(kind: str, data: bytes) -> bool:
    """Whether a patch can read or write managed fields: by their name, or as part of what is above them."""
    if b"managedFields" in data or b"\\" in data:
        return True
    return kind == JSON_PATCH and (b'"/metadata"' in data or b'""' in data)


def patched(call: Call, wanted: Patch, document: dict[str, Any], cls: Any) -> Any:
    """The patched document as an object. Raises what the patch deserves."""
    if wanted.kind == JSON_PATCH:
        result = patch.json_patch(document, wanted.change)
    elif wanted.kind == MERGE_PATCH:
        result = patch.merge_patch(document, wanted.change)
    else:
        result = strategic.strategic_merge(document, wanted.change, cls)
    return decode_patched(call, wanted, result, cls)


def decode_patched(call: Call, wanted: Patch, document: Any, cls: Any) -> Any:
    """A patched document as an object. Raises BadRequest, or Invalid if it changed what it is."""
    if not isinstance(document, dict):
        raise BadRequest("invalid JSON document")
    data = msgspec.json.encode(document)
    expected = call.expected(cls)
    found: list[str] = []
    try:
        if call.options.validation == "Ignore":
            obj = codec.decode(cls, data)
        else:
            obj, found = codec.decode_strict(cls, data)
        if isinstance(obj, Custom) and call.resource.prune is not None:
            found = [*found, *call.resource.prune(obj)]
    except BadRequest as problem:
        raise _refused(wanted, data, problem.message) from None
    if call.options.validation == "Ignore":
        found = []
    problems = list(dict.fromkeys((*wanted.problems, *found)))[: body.MAX_PROBLEMS]
    if problems and call.options.validation == "Strict":
        raise _refused(wanted, data, f"strict decoding error: {', '.join(problems)}")
    for text in problems:
        body.add_warning(call.warnings, text)
    if obj.kind != expected.kind or obj.apiVersion != expected.api_version:
        version = obj.apiVersion.rpartition("/")[2]
        raise BadRequest(f"{obj.kind} in version {quote(version)} cannot be handled as a {expected.kind}")
    own = obj.metadata
    if own.name != call.info.name:
        text = f"the name of the object ({own.name}) does not match the name on the URL ({call.info.name})"
        raise BadRequest(text)
    namespace = call.info.namespace if call.resource.namespaced else ""
    if own.namespace != namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return obj


def _refused(wanted: Patch, data: bytes, reason: str) -> ApiError:
    """The Invalid for a patch whose result is no object; it shows the result, or a strategic patch itself."""
    shown = display(wanted.change) if wanted.kind == STRATEGIC_PATCH else data.decode()
    return status.invalid("", "", [validation.invalid("patch", shown, reason)])
