"""PATCH: an existing object and a patch make a new object, which then goes the way of an update.

`server.py` calls `make_patched` and gives the result to `registry.change`, which calls it again when somebody else
wrote in between. The merging itself is pure and in `api/patch.py` and `api/strategic.py`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kijabi.api import codec, patch, status, strategic, validation
from kijabi.api.gotext import quote
from kijabi.apiserver import body, negotiate
from kijabi.apiserver.call import Call
from kijabi.apiserver.registry import Make, Registry
from kijabi.apiserver.routes import Served
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import BadRequest

JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH = negotiate.PATCHES


def patch_type(call: Call) -> str:
    """The media type of the patch. Raises UnsupportedMediaType, also for server-side apply, which is to come."""
    kind = negotiate.media_type(call.request.headers.get("content-type", ""))
    if kind not in negotiate.PATCHES:
        raise negotiate.unsupported(negotiate.PATCHES)
    return kind


def read(call: Call) -> Any:
    """The decoded patch. Raises BadRequest."""
    try:
        return patch.bounded(msgspec.json.decode(call.request.body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadRequest(f"error decoding patch: {problem}") from None


def make_patched(call: Call, registry: Registry, served: Served) -> Make:
    """What makes the patched object from the stored one. Raises BadRequest, UnsupportedMediaType."""
    kind, change = patch_type(call), read(call)
    if kind != JSON_PATCH and not isinstance(change, dict):
        raise BadRequest("invalid JSON document")
    resource = served.resource

    def make(item: Item | None) -> Any:
        if item is None:
            raise status.not_found(resource, call.info.name)
        document = codec.to_builtins(registry.view(served, item.obj))
        document["kind"], document["apiVersion"] = resource.kind, resource.api_version
        obj = decode_patched(call, apply(kind, document, change, resource.type), resource.type)
        if obj.metadata.resourceVersion == item.obj.metadata.resourceVersion:
            obj.metadata.resourceVersion = ""  # not stated by the patch, so another write in between is no conflict
        return obj

    return make


def apply(kind: str, document: dict[str, Any], change: Any, cls: Any) -> Any:
    """The patched document as builtins. Raises what the patch deserves."""
    if kind == JSON_PATCH:
        return patch.json_patch(document, change)
    if kind == MERGE_PATCH:
        return patch.merge_patch(document, change)
    return strategic.strategic_merge(document, change, cls)


def decode_patched(call: Call, document: Any, cls: Any) -> Any:
    """A patched document as an object. Raises BadRequest, or Invalid if it changed what it is."""
    if not isinstance(document, dict):
        raise BadRequest("invalid JSON document")
    data = msgspec.json.encode(document)
    expected = call.expected(cls)
    problems: list[str] = []
    try:
        if call.options.validation == "Ignore":
            obj = codec.decode(cls, data)
        else:
            obj, problems = codec.decode_strict(cls, data)
    except BadRequest as problem:
        error = validation.invalid("patch", data.decode(), problem.message)
        raise status.invalid("", "", [error]) from None
    problems = list(dict.fromkeys(problems))[: body.MAX_PROBLEMS]
    if problems and call.options.validation == "Strict":
        error = validation.invalid("patch", data.decode(), f"strict decoding error: {', '.join(problems)}")
        raise status.invalid("", "", [error])
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
