"""How values of a type merge: which maps and lists are one value, which lists have keys, what a key defaults to.

`of_type` makes it from an API type's annotations (`api/shape.py`), `of_custom` from the OpenAPI v3 schema of a custom
resource; `typed.py` and `compare.py` walk values by it. It says the same as upstream's schema, which is made from the
published OpenAPI (k8s.io/kube-openapi `pkg/schemaconv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from kijabi.api.meta import ObjectMeta
from kijabi.api.shape import Field, Shape, fields, is_atomic
from kijabi.api.struct import Struct

Scalar = Literal["string", "numeric", "boolean", "untyped"]
Kind = Literal["map", "scalar", "list", ""]
_JSON_TYPES = "kijabi.api.apiextensions"  # whose raw values are JSON that merges by what it is


class Schema:
    """What a value may be: an object, a list, a scalar, or one of several. Made once and shared; may be recursive."""

    __slots__ = ("list", "map", "scalar")

    def __init__(self, scalar: Scalar | None = None, list_: List | None = None, map_: Map | None = None) -> None:
        self.scalar = scalar
        self.list = list_
        self.map = map_

    def kind(self, value: Any) -> Kind:
        """As what a value is treated. null, and what does not belong here, counts as the first that may be."""
        if value.__class__ is dict:
            if self.map is not None:
                return "map"
        elif value.__class__ is list:
            if self.list is not None:
                return "list"
        elif value is not None and self.scalar is not None:
            return "scalar"
        if self.map is not None:
            return "map"
        return "scalar" if self.scalar is not None else "list" if self.list is not None else ""


class List:
    """A list. atomic: it is one value; else keys name the members that tell items apart, none for a set.

    defaults: what a key is where an item leaves it out.
    """

    __slots__ = ("atomic", "defaults", "item", "keys")

    def __init__(
        self, item: Schema, atomic: bool = True, keys: tuple[str, ...] = (), defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.item = item
        self.atomic = atomic
        self.keys = keys
        self.defaults = defaults

    def default(self, key: str) -> Any:
        """What an item's key is if the item does not say."""
        if self.defaults is not None:
            return self.defaults.get(key)
        item = self.item.map
        return item.defaults.get(key) if item is not None else None


class Map:
    """An object. fields: the members it declares; element: what others are, None if there may be none.

    defaults: of the declared members, as far as the schema says.
    """

    __slots__ = ("atomic", "defaults", "element", "fields")

    def __init__(
        self,
        fields: dict[str, Schema],
        element: Schema | None = None,
        atomic: bool = False,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        self.fields = fields
        self.element = element
        self.atomic = atomic
        self.defaults = defaults if defaults is not None else {}

    def member(self, name: str) -> Schema | None:
        """The schema of a member; None if there may be none of that name."""
        return self.fields.get(name, self.element)


def _untyped() -> Schema:
    schema = Schema("untyped")
    schema.list = List(schema)
    schema.map = Map({}, schema, atomic=True)
    return schema


def _deduced() -> Schema:
    schema = Schema("untyped")
    schema.list = List(UNTYPED)
    schema.map = Map({}, schema)
    return schema


UNTYPED = _untyped()  # any value, which is one
DEDUCED = _deduced()  # any value; objects merge member by member
_STRING, _NUMERIC, _BOOLEAN, _ANY = Schema("string"), Schema("numeric"), Schema("boolean"), Schema("untyped")
_SCALARS: dict[str, Schema] = {
    "string": _STRING, "bytes": _STRING, "bool": _BOOLEAN, "int32": _NUMERIC, "int64": _NUMERIC, "float": _NUMERIC,
    "time": _ANY, "microtime": _ANY, "quantity": _ANY, "intstr": _ANY,
}  # fmt: skip
_structs: dict[type[Struct], Schema] = {}


def of_type(cls: type[Struct]) -> Schema:
    """The schema of an API type."""
    known = _structs.get(cls)
    if known is not None:
        return known
    shape = Map({}, atomic=is_atomic(cls))
    schema = _structs[cls] = Schema(map_=shape)  # before its members, which may be of the type again
    for name, field in fields(cls).items():
        shape.fields[name] = _of_field(field)
        if field.tag.default is not None:
            shape.defaults[name] = field.tag.default
    return schema


def _of_field(field: Field) -> Schema:
    tag, shape = field.tag, field.shape
    if shape.kind == "list":
        assert shape.item is not None
        item = _of_shape(shape.item, field.owner)
        if tag.listType in ("map", "set"):
            return Schema(list_=List(item, False, tag.keys))
        if not tag.listType and tag.strategy.startswith("merge"):
            return Schema(list_=List(item, False, (tag.mergeKey,) if tag.mergeKey else ()))
        return Schema(list_=List(item))
    if shape.kind == "map":
        assert shape.item is not None
        return Schema(map_=Map({}, _of_shape(shape.item, field.owner), atomic=tag.mapType == "atomic"))
    schema = _of_shape(shape, field.owner)
    relation = tag.structType or tag.mapType
    return _related(schema, relation == "atomic") if relation and schema.map is not None else schema


def _related(schema: Schema, atomic: bool) -> Schema:
    """The same type where it is used as one value, or as several."""
    shape = schema.map
    assert shape is not None
    return Schema(map_=Map(shape.fields, shape.element, atomic, shape.defaults))


def _of_shape(shape: Shape, owner: type[Struct]) -> Schema:
    known = _SCALARS.get(shape.kind)
    if known is not None:
        return known
    if shape.struct is not None and shape.kind == "struct":
        return of_type(shape.struct)
    if shape.kind == "list" and shape.item is not None:
        return Schema(list_=List(_of_shape(shape.item, owner)))
    if shape.kind == "map" and shape.item is not None:
        return Schema(map_=Map({}, _of_shape(shape.item, owner)))
    return UNTYPED if shape.kind == "raw" and not owner.__module__.startswith(_JSON_TYPES) else DEDUCED


@cache
def _identity() -> dict[str, Schema]:
    """What every object has besides its own members."""
    return {"apiVersion": _STRING, "kind": _STRING, "metadata": of_type(ObjectMeta)}


def of_custom(props: Mapping[str, Any] | None) -> Schema:
    """The schema of a custom resource from its version's OpenAPI v3 schema; None: anything goes."""
    if props is None:
        return DEDUCED
    schema = _of_props(props, False)
    if schema.map is None:
        return DEDUCED
    shape = schema.map
    element = None if shape.element is DEDUCED and not props.get("additionalProperties") else shape.element
    if props.get("x-kubernetes-preserve-unknown-fields"):
        element = DEDUCED
    return Schema(map_=Map({**shape.fields, **_identity()}, element, False, shape.defaults))


def _of_props(props: Mapping[str, Any], keep: bool) -> Schema:
    """keep: whether an object around it preserves unknown fields."""
    keep = keep or bool(props.get("x-kubernetes-preserve-unknown-fields"))
    kind = "" if props.get("x-kubernetes-int-or-string") else props.get("type") or ""
    match kind:
        case "object":
            return Schema(map_=_map_of(props, keep))
        case "array":
            return Schema(list_=_list_of(props, keep))
        case "boolean":
            return _BOOLEAN
        case "integer" | "number":
            return _NUMERIC
        case "string":
            return _STRING if props.get("format", "") in ("", "byte") else _ANY
        case _:
            return Schema("untyped", _list_of(props, keep), _map_of(props, keep))


def _map_of(props: Mapping[str, Any], keep: bool) -> Map:
    members: Mapping[str, Any] = props.get("properties") or {}
    shape = Map({name: _of_props(member, keep) for name, member in members.items()})
    shape.defaults.update((name, each["default"]) for name, each in members.items() if "default" in each)
    if props.get("x-kubernetes-embedded-resource"):
        shape.fields.update(_identity())
    extra = props.get("additionalProperties")
    if isinstance(extra, Mapping):
        shape.element = _of_props(extra, keep)
    elif extra or (extra is None and (keep or not shape.fields)):
        shape.element = DEDUCED
    shape.atomic = props.get("x-kubernetes-map-type") == "atomic"
    return shape


def _list_of(props: Mapping[str, Any], keep: bool) -> List:
    items = props.get("items")
    item = _of_props(items, keep) if isinstance(items, Mapping) else UNTYPED
    match props.get("x-kubernetes-list-type"):
        case "set":
            return List(item, False)
        case "map":
            return List(item, False, tuple(props.get("x-kubernetes-list-map-keys") or ()))
        case _:
            return List(item)
