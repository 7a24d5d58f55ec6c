"""Kubernetes objects inside custom objects (`x-kubernetes-embedded-resource`): kind and metadata are checked by type.

`prune.py` calls `coerce` when an object comes in, `validation.py` calls `validate` before it is stored. Objects are
JSON values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kijabi.api import codec, validation
from kijabi.api.formats import dns1035_label
from kijabi.api.meta import ObjectMeta
from kijabi.api.resource import FieldError
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.apiextensions.structural import Structural

_UNKNOWN = 'unknown field "'


def coerce(value: Any, schema: Structural) -> list[str]:
    """Bring the metadata of embedded objects into the form of its type, in place; the paths of what it does not know.

    BadRequest if metadata is malformed, or a kind is no string.
    """
    unknown: list[str] = []
    wrong = _coerce(value, schema, "", unknown)
    if wrong is not None:
        raise BadRequest(str(wrong))
    return unknown


def malformed(value: Any, schema: Structural, path: str) -> FieldError | None:
    """The first thing that `coerce` refuses, as an error of the field; the value is changed as there."""
    return _coerce(value, schema, path, [])


def _coerce(value: Any, schema: Structural, root: str, unknown: list[str]) -> FieldError | None:
    for path, found in _embedded(value, schema, root):
        at = f"{path}." if path else ""
        for name in ("apiVersion", "kind"):
            if name in found and not isinstance(found[name], str):
                return validation.invalid(f"{at}{name}", found[name], "must be a string")
        if "metadata" in found:
            try:
                found["metadata"], problems = _typed(found["metadata"])
            except BadRequest as error:
                return validation.invalid(f"{at}metadata", found["metadata"], str(error))
            unknown += [
                f"{at}metadata.{problem.removeprefix(_UNKNOWN).removesuffix(chr(34))}"
                for problem in problems
                if problem.startswith(_UNKNOWN)
            ]
    return None


def _typed(metadata: Any) -> tuple[dict[str, Any], list[str]]:
    meta, problems = codec.from_builtins_strict(ObjectMeta, metadata)
    known = codec.to_builtins(meta)
    if known.get("creationTimestamp") is None:
        known.pop("creationTimestamp", None)
    return known, problems


def drop_malformed(value: Any, schema: Structural) -> None:
    """As `coerce`, for the defaults of a schema: what does not fit its type goes, in place."""
    for _, found in _embedded(value, schema, ""):
        for name in ("apiVersion", "kind"):
            if not isinstance(found.get(name, ""), str):
                del found[name]
        if isinstance(found.get("metadata"), dict):
            known: dict[str, Any] = {}
            for name, item in found["metadata"].items():
                try:
                    known |= _typed({name: item})[0]
                except BadRequest:
                    continue  # this member does not fit; the rules of definitions name it where it matters
            found["metadata"] = known


def _embedded(value: Any, schema: Structural | None, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every embedded object in a value, parents before children."""
    if schema is None or not schema.embedded_below:
        return
    if isinstance(value, dict):
        if schema.embedded:
            yield path, value
        for name, item in value.items():
            if name in schema.properties:
                yield from _embedded(item, schema.properties[name], f"{path}.{name}" if path else name)
            elif schema.additional is not None:
                yield from _embedded(item, schema.additional, f"{path}[{name}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _embedded(item, schema.items, f"{path}[{index}]")


def validate(value: Any, schema: Structural, path: str = "") -> list[FieldError]:
    """Errors of the embedded objects in a value at that path."""
    return [error for at, found in _embedded(value, schema, path) for error in validate_object(found, at)]


def validate_object(value: dict[str, Any], path: str) -> list[FieldError]:
    """Errors of one embedded object: it must say its apiVersion and kind, and its metadata must be valid."""
    at = f"{path}." if path else ""
    errors = [validation.required(f"{at}{name}") for name in ("apiVersion", "kind") if name not in value]
    if "apiVersion" in value:
        errors += _validate_version(f"{at}apiVersion", value["apiVersion"])
    if "kind" in value:
        errors += _validate_kind(f"{at}kind", value["kind"])
    if "metadata" in value:
        errors += _validate_metadata(f"{at}metadata", value["metadata"])
    return errors


def _validate_version(path: str, version: Any) -> list[FieldError]:
    if not isinstance(version, str):
        return [validation.invalid(path, version, "must be a string")]
    if not version:
        return [validation.invalid(path, version, "must not be empty")]
    if version.count("/") > 1:
        return [validation.invalid(path, version, f"unexpected GroupVersion string: {version}")]
    return []


def _validate_kind(path: str, kind: Any) -> list[FieldError]:
    if not isinstance(kind, str):
        return [validation.invalid(path, kind, "must be a string")]
    if not kind:
        return [validation.invalid(path, kind, "must not be empty")]
    problems = dns1035_label(kind.lower())
    detail = f"may have mixed case, but should otherwise match: {','.join(problems)}"
    return [validation.invalid(path, kind, detail)] if problems else []


def _validate_metadata(path: str, metadata: Any) -> list[FieldError]:
    try:
        meta = codec.from_builtins(ObjectMeta, metadata)
    except BadRequest as error:
        return [validation.invalid(path, metadata, str(error))]
    meta.name = meta.name or "fakename"  # only what is given is checked, and a name need not be
    return validation.validate_metadata(meta, namespaced=bool(meta.namespace), name_rule="path", path=path)
