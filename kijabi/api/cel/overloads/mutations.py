"""What expressions of MutatingAdmissionPolicy make: `Object{spec: Object.spec{…}}` and `JSONPatch{op: …}`.

The environment with `MUTATION` libraries knows the types; evaluation gives an `ObjectPatch`, or a list of
`JsonPatch`es. Admission turns them into JSON with `to_json` and checks the names of types with `check_names`
(k8s.io/apiserver `pkg/cel/mutation`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from kijabi.api.cel import times, types
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import Overload
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import (
    MISSING,
    Duration,
    Lister,
    Mapper,
    Optional,
    Timestamp,
    Uint,
    equal,
    find,
    is_list,
    is_map,
    keys,
    shown,
    type_of,
)  # fmt: skip

OBJECT, JSON_PATCH = "Object", "JSONPatch"
_TEXTS = ("op", "path", "from")
_UNSUPPORTED = "fail to convert field"


class ObjectPatch(Mapper):
    """An object that an expression made. name: of its type, `Object.spec`."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields

    @property
    def cel_type(self) -> Type:  # type: ignore[override]
        """Its own type."""
        return types.struct(self.name)

    def __len__(self) -> int:
        return len(self.fields)

    def keys(self) -> Iterator[Any]:
        return iter(self.fields)

    def find(self, key: Any) -> Any:
        return self.fields.get(key, MISSING)

    def equals(self, other: Any) -> bool:
        return isinstance(other, ObjectPatch) and self.name == other.name and super().equals(other)


class JsonPatch:
    """One operation of RFC 6902 that an expression made; value is MISSING where none was given."""

    __slots__ = ("from_", "op", "path", "value")
    cel_type: ClassVar[Type] = types.struct(JSON_PATCH)

    def __init__(self, fields: dict[str, Any]) -> None:
        for name in _TEXTS:
            if not isinstance(fields.get(name, ""), str):
                raise CelError(f"unexpected type {type_of(fields[name]).name} for JSONPatchType '{name}' field")
        unknown = next((name for name in fields if name not in (*_TEXTS, "value")), None)
        if unknown is not None:
            raise CelError(f"unexpected JSONPatchType field: {unknown}")
        self.op: str = fields.get("op", "")
        self.path: str = fields.get("path", "")
        self.from_: str = fields.get("from", "")
        self.value: Any = fields.get("value", MISSING)

    def cel_get(self, key: Any) -> Any:
        """A field by its name."""
        if key in ("op", "path", "value"):
            return getattr(self, key)
        if key == "from":
            return self.from_
        raise CelError(f"unsupported indexer: {shown(key)}")

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same operation."""
        if not isinstance(other, JsonPatch):
            return False
        if (self.op, self.path, self.from_) != (other.op, other.path, other.from_):
            return False
        if self.value is MISSING or other.value is MISSING:
            return self.value is other.value
        return equal(self.value, other.value)


def has_struct(name: str) -> bool:
    """Whether a name is one of the types that these expressions may make."""
    return name in (OBJECT, JSON_PATCH) or name.startswith(f"{OBJECT}.")


def field(struct: str, name: str) -> Type | None:
    """The type of a field of such a type: any for objects, as the API says for JSONPatch."""
    if struct == JSON_PATCH:
        return types.STRING if name in _TEXTS else types.DYN if name == "value" else None
    return types.DYN if has_struct(struct) else None


def construct(name: str, fields: dict[str, Any]) -> Any:
    """What `Name{…}` makes."""
    return JsonPatch(fields) if name == JSON_PATCH else ObjectPatch(name, fields)


def to_json(value: Any) -> Any:
    """A value as JSON. CelError for what has no form in JSON."""
    if isinstance(value, ObjectPatch):
        return {name: to_json(inner) for name, inner in value.fields.items()}
    if is_list(value):
        return [to_json(item) for item in value]
    if is_map(value):
        found: dict[str, Any] = {}
        for key in keys(value):
            if not isinstance(key, str):
                raise CelError(f"map key {shown(key)} is of type {type_of(key).name}, not string")
            found[key] = to_json(find(value, key))
        return found
    if isinstance(value, Uint):
        return int(value)
    if isinstance(value, Timestamp):
        return times.timestamp_text(value)
    if isinstance(value, Duration):
        return times.duration_text(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Optional) and value.value is not MISSING:
        return to_json(value.value)
    raise CelError(f"{_UNSUPPORTED}: {type_of(value).name}")


def check_names(value: Any, path: str = OBJECT) -> list[str]:
    """Where the names of types do not follow the fields that they stand in (`Object.spec` in `Object`)."""
    problems: list[str] = []
    if isinstance(value, ObjectPatch):
        if value.name != path:
            wanted = f'expected "{path}", which matches field name path from root Object type'
            problems.append(f'unexpected type name "{value.name}", {wanted}')
        for name, inner in value.fields.items():
            problems += check_names(inner, f"{path}.{name}")
    elif is_list(value) or isinstance(value, Lister):
        for item in value:
            problems += check_names(item, path)
    elif is_map(value):
        for key in keys(value):
            problems += check_names(find(value, key), path)
    return problems


def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


LIBRARY = (Overload("string_jsonpatch_escapeKey_string", "jsonpatch.escapeKey(string) -> string", _escape_key),)
