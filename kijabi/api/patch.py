"""Patches: how a change that a client describes makes a new object out of an old one.

The API server's patch handler gives the stored object as builtins (dicts, lists, scalars) with the decoded
patch, and decodes, defaults and validates what comes back. Everything is pure: neither document is written
to. What a patch asks but cannot be done raises the error that upstream answers with.

`json_patch` is RFC 6902 and `merge_patch` RFC 7386; `api/strategic.py` has `strategic_merge`, which knows
types.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import msgspec

from kijabi.api import status
from kijabi.base.errors import ApiError, BadRequest, Invalid

Json = Any
Object = dict[str, Any]

# Bounds of a JSON patch, as upstream: operations in one request, bytes that its "copy" operations add.
MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
# Bound of any document here: objects and lists within one another. Deeper ones would exhaust the stack.
MAX_DEPTH = 200


def bounded(value: Json, above: int = 0) -> Json:
    """The value, unless it nests deeper than MAX_DEPTH with `above` levels over it: then BadRequest."""
    level, depth = [value], above
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise BadRequest(f"the document nests deeper than {MAX_DEPTH} levels")
        below: list[Json] = []
        for node in level:
            if isinstance(node, (dict, list)):
                below.extend(node.values() if isinstance(node, dict) else node)
        level = below
    return value


def same(left: Json, right: Json) -> bool:
    """Whether two JSON values are equal: `true` is not `1`, and `1` is `1.0`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


class Inapplicable(Invalid):
    """A JSON patch that does not fit its document. problem: why, in words that clients do not see; tested: an
    operation `test` failed."""

    def __init__(self, problem: str, *, tested: bool = False) -> None:
        answer = status.generic(422)
        super().__init__(answer.message, details=answer.details)
        self.problem = problem
        self.tested = tested


def _unprocessable(reason: str) -> ApiError:
    return Inapplicable(reason)


# JSON patch, RFC 6902


def json_patch(document: Json, operations: Json) -> Json:
    """The document after all operations. Raises BadRequest (not a patch), RequestTooLarge, or Invalid (cannot
    apply)."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("json: cannot unmarshal a JSON patch: it must be an array of operations")
    if len(operations) > MAX_OPERATIONS:
        raise status.request_too_large(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    root = {"": copy.deepcopy(bounded(document))}
    copied = 0
    for operation in operations:
        copied += _apply(root, operation, MAX_COPIED_BYTES - copied)
    return root[""]


def _apply(root: Object, operation: Object, copy_budget: int) -> int:
    """Apply one operation; the bytes that it copied."""
    kind, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise BadRequest("a JSON patch operation needs a path")
    match kind:
        case "add":
            _add(root, path, copy.deepcopy(bounded(_value(operation))))
        case "remove":
            _remove(root, path)
        case "replace":
            _get(root, path)
            _set(root, path, copy.deepcopy(bounded(_value(operation))))
        case "move":
            source = _source(operation)
            if path == source:
                return 0
            if path.startswith(source + "/"):
                raise _unprocessable(f"error in move for path: '{path}': it lies inside '{source}'")
            _add(root, path, _remove(root, source))
        case "copy":
            value = _get(root, _source(operation))
            size = len(msgspec.json.encode(value))
            if size > copy_budget:
                raise _unprocessable(f"the accumulated size increase of copy exceeds the limit {MAX_COPIED_BYTES}")
            _add(root, path, copy.deepcopy(value))
            return size
        case "test":
            if not same(_get(root, path), operation.get("value")):
                raise Inapplicable(f"testing value {path} failed: test failed", tested=True)
        case _:
            raise _unprocessable(f"Unexpected kind: {kind}")
    return 0


def _value(operation: Object) -> Json:
    if "value" not in operation:
        raise _unprocessable(f"{operation['op']} operation needs a value")
    return operation["value"]


def _source(operation: Object) -> str:
    source = operation.get("from")
    if not isinstance(source, str):
        raise _unprocessable(f"{operation['op']} operation needs from")
    return source


def _pointer(path: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901), with one before them into the holder of the whole document."""
    if path and not path.startswith("/"):
        raise _unprocessable(f"doc is missing path: {path}: missing value")
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]


def _missing(path: str) -> ApiError:
    return _unprocessable(f"doc is missing path: {path}: missing value")


def _index(step: str, length: int, path: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,9}", step, re.ASCII) or int(step) >= length:
        raise _missing(path)
    return int(step)


def _step(node: Json, step: str, path: str) -> Json:
    if isinstance(node, dict) and step in node:
        return node[step]
    if isinstance(node, list):
        return node[_index(step, len(node), path)]
    raise _missing(path)


def _parent(root: Object, path: str) -> tuple[Json, str]:
    *steps, last = _pointer(path)
    node: Json = root
    for step in steps:
        node = _step(node, step, path)
    return node, last


def _get(root: Object, path: str) -> Json:
    node, last = _parent(root, path)
    return _step(node, last, path)


def _add(root: Object, path: str, value: Json) -> None:
    node, last = _parent(root, path)
    bounded(value, above=path.count("/"))
    if isinstance(node, dict):
        node[last] = value
    elif isinstance(node, list):
        node.insert(len(node) if last == "-" else _index(last, len(node) + 1, path), value)
    else:
        raise _missing(path)


def _set(root: Object, path: str, value: Json) -> None:
    node, last = _parent(root, path)
    bounded(value, above=path.count("/"))
    if isinstance(node, dict):
        node[last] = value
    else:
        node[_index(last, len(node), path)] = value


def _remove(root: Object, path: str) -> Json:
    node, last = _parent(root, path)
    if node is root:
        raise _unprocessable("the whole document cannot be removed")
    if isinstance(node, dict) and last in node:
        return node.pop(last)
    if isinstance(node, list):
        return node.pop(_index(last, len(node), path))
    raise _missing(path)


# JSON merge patch, RFC 7386


def merge_patch(document: Json, patch: Json) -> Json:
    """The document with the patch merged in: objects merge, null removes, anything else replaces."""
    return _merged(document, bounded(patch))


def _merged(document: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
