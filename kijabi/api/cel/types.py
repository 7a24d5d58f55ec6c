"""The types of the expression language, and how they unify.

A `Type` is a kind, a name and parameters. The checker gives every node one; the environment declares variables and
functions with them. `Declared` types know more: the fields of an object, how large a value may get and how JSON values
of it are read; `from_schema` and `from_struct` make them, `declare` makes one of given fields.

Rules of agreement are those of the CEL language definition ("Gradual Type Checking") as cel-go has them: `dyn` agrees
with everything, type parameters are bound as calls are resolved, structs and opaque types may be null. Which part of a
schema expressions see, and the sizes, are those of k8s.io/apiserver `pkg/cel/common`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from kijabi.api import shape
from kijabi.api.struct import Struct

Kind = Literal[
    "any", "bool", "bytes", "double", "duration", "dyn", "error", "int", "list", "map", "null", "opaque", "param",
    "string", "struct", "timestamp", "type", "uint",
]  # fmt: skip
_NULLABLE = frozenset(("opaque", "struct", "any", "duration", "timestamp"))


class Type:
    """One type. name: as expressions write it; parameters: of lists, maps, optionals and types of types.

    open: whether type parameters stand in it."""

    __slots__ = ("_hash", "kind", "name", "open", "parameters")

    def __init__(self, kind: Kind, name: str, parameters: tuple[Type, ...] = ()) -> None:
        self.kind = kind
        self.name = name
        self.parameters = parameters
        self.open: bool = kind == "param" or any(inner.open for inner in parameters)
        self._hash = hash((kind, name, parameters))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Type)
            and self._hash == other._hash
            and self.kind == other.kind
            and self.name == other.name
            and self.parameters == other.parameters
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Type({self})"

    def __str__(self) -> str:
        """As error messages write it: `map(string, int)`."""
        if self.kind in _WRITTEN:
            return _WRITTEN[self.kind]
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(map(str, self.parameters))})"


_WRITTEN: dict[str, str] = {
    "error": "!error!", "null": "null", "timestamp": "timestamp", "duration": "duration", "any": "any", "dyn": "dyn",
}  # fmt: skip

ANY = Type("any", "google.protobuf.Any")
BOOL = Type("bool", "bool")
BYTES = Type("bytes", "bytes")
DOUBLE = Type("double", "double")
DURATION = Type("duration", "google.protobuf.Duration")
DYN = Type("dyn", "dyn")
ERROR = Type("error", "error")
INT = Type("int", "int")
NULL = Type("null", "null_type")
STRING = Type("string", "string")
TIMESTAMP = Type("timestamp", "google.protobuf.Timestamp")
TYPE = Type("type", "type")
UINT = Type("uint", "uint")


def list_of(item: Type) -> Type:
    """`list(item)`."""
    return Type("list", "list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """`map(key, value)`."""
    return Type("map", "map", (key, value))


def optional_of(value: Type) -> Type:
    """`optional_type(value)`: present or absent."""
    return Type("opaque", "optional_type", (value,))


def type_of(value: Type) -> Type:
    """The type of a type."""
    return Type("type", "type", (value,))


def param(name: str) -> Type:
    """A type parameter of an overload."""
    return Type("param", name)


def opaque(name: str, *parameters: Type) -> Type:
    """A type of a library, about which expressions know only its functions."""
    return Type("opaque", name, parameters)


def struct(name: str) -> Type:
    """An object with declared fields."""
    return Type("struct", name)


def full_name(one: Type) -> str:
    """A type by the names at run time (`google.protobuf.Timestamp`), as Kubernetes' own messages write it."""
    inner = ", ".join(map(full_name, one.parameters))
    return f"{one.name}({inner})" if inner else one.name


LIST = list_of(DYN)
MAP = map_of(DYN, DYN)


def is_dyn(kind: str) -> bool:
    """Whether values of this kind are checked only when they are there."""
    return kind in ("dyn", "any")


def unwrap_optional(subject: Type) -> tuple[Type, bool]:
    """What an optional holds, and whether it was one."""
    if subject.kind == "opaque" and subject.name == "optional_type":
        return subject.parameters[0], True
    return subject, False


Bindings = dict[Type, Type]  # what type parameters stand for


def assignable(bindings: Bindings, given: Sequence[Type], wanted: Sequence[Type]) -> Bindings | None:
    """The bindings under which each given type may stand where the other is wanted; None where it may not."""
    if len(given) != len(wanted):
        return None
    if not any(one.open for one in given) and not any(one.open for one in wanted):
        return bindings if _lists_agree(bindings, given, wanted) else None
    trial = dict(bindings)
    return trial if _lists_agree(trial, given, wanted) else None


_VAGUE = frozenset(("param", "dyn", "any", "error", "null"))


def plausible(given: Sequence[Type], wanted: Sequence[Type]) -> bool:
    """Whether types may agree by their kinds: what most overloads fail, found without any binding."""
    if len(given) != len(wanted):
        return False
    for one, other in zip(given, wanted, strict=True):
        if one.kind != other.kind and one.kind not in _VAGUE and other.kind not in _VAGUE:
            return False
    return True


def _lists_agree(bindings: Bindings, given: Sequence[Type], wanted: Sequence[Type]) -> bool:
    return len(given) == len(wanted) and all(_agree(bindings, g, w) for g, w in zip(given, wanted, strict=True))


def _agree(bindings: Bindings, given: Type, wanted: Type) -> bool:
    mine, theirs = given.kind, wanted.kind
    if theirs == "param":
        valid, bound = _substitutable(bindings, given, wanted)
        if valid or bound:
            return valid
    if mine == "param":
        return _substitutable(bindings, wanted, given)[0]
    if mine in ("dyn", "any", "error") or theirs in ("dyn", "any", "error"):
        return True
    if mine == "null":
        return theirs in _NULLABLE or theirs == "null"
    if theirs == "null":
        return mine in _NULLABLE
    if mine == "type":
        return theirs == "type"
    if mine in ("opaque", "list", "map"):
        same = mine == theirs and given.name == wanted.name
        return same and _lists_agree(bindings, given.parameters, wanted.parameters)
    return given == wanted


def _substitutable(bindings: Bindings, given: Type, variable: Type) -> tuple[bool, bool]:
    """Whether the variable may stand for the given type, and whether it already stood for something."""
    if given == variable:
        return True, True
    known = bindings.get(variable)
    if known is not None:
        if given == known:
            return True, True
        if _agree(bindings, given, known):
            general = most_general(given, known)
            if _absent(bindings, variable, general):
                bindings[variable] = general
            return True, True
        return False, True
    if _absent(bindings, variable, given):
        bindings[variable] = given
        return True, False
    return False, False


def _absent(bindings: Bindings, variable: Type, within: Type) -> bool:
    """Whether a variable does not occur in a type: the occurs check of unification."""
    if variable == within:
        return False
    if within.kind == "param":
        known = bindings.get(within)
        return known is None or _absent(bindings, variable, known)
    if within.kind in ("opaque", "list", "map", "type"):
        return all(_absent(bindings, variable, one) for one in within.parameters)
    return True


def most_general(one: Type, other: Type) -> Type:
    """The less specific of two types that agree."""
    return one if _less_specific(one, other) else other


def _less_specific(one: Type, other: Type) -> bool:
    if is_dyn(one.kind) or one.kind == "param":
        return True
    if is_dyn(other.kind) or other.kind == "param" or one.kind != other.kind:
        return False
    if one.kind in ("opaque", "list", "map"):
        return (
            one.name == other.name
            and len(one.parameters) == len(other.parameters)
            and all(_less_specific(mine, theirs) for mine, theirs in zip(one.parameters, other.parameters, strict=True))
        )
    return one.kind == "type" or one == other


def substitute(bindings: Mapping[Type, Type], subject: Type, *, to_dyn: bool = False) -> Type:
    """A type with its bound parameters replaced; to_dyn: unbound ones become `dyn`."""
    if not subject.open:
        return subject
    known = bindings.get(subject)
    if known is not None:
        return substitute(bindings, known, to_dyn=to_dyn)
    if subject.kind == "param":
        return DYN if to_dyn else subject
    if subject.parameters and subject.kind in ("opaque", "list", "map", "type"):
        replaced = tuple(substitute(bindings, one, to_dyn=to_dyn) for one in subject.parameters)
        if any(new is not old for new, old in zip(replaced, subject.parameters, strict=True)):
            return Type(subject.kind, subject.name, replaced)
    return subject


# Declared types

MAX_REQUEST = 3 * 1024 * 1024  # bytes of a request, by which unbounded sizes are estimated
UNBOUNDED = 2**63 - 1
_KEYWORDS = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
))  # fmt: skip
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_TO_ESCAPE = re.compile(r"__|[-./]")
_NAMEABLE = re.compile(r"[A-Za-z_.\-/][A-Za-z0-9_.\-/]*", re.ASCII)


def escape(name: str) -> str | None:
    """The identifier by which expressions call a property (`a.b` is `a__dot__b`); None where they cannot."""
    if not _NAMEABLE.fullmatch(name):
        return None
    if name in _KEYWORDS:
        return f"__{name}__"
    return _TO_ESCAPE.sub(lambda match: _ESCAPES[match.group()], name)


class Field(msgspec.Struct, frozen=True):
    """A member of an object. name: in JSON; its key in `Declared.fields` is the escaped name."""

    name: str
    type: Declared


class Declared(Type):
    """A type of which a declaration tells more than expressions need to be checked.

    fields: of an object, by escaped name. element, key: of a list or a map. max_elements: characters, items or entries
    at most. min_size: bytes of JSON at least. form: how a JSON value is read (`typed.py`): "plain" as it is, or by
    the schema's type and format. properties: the types of all properties by JSON name, None where hidden.
    """

    __slots__ = (
        "element", "fields", "form", "key", "list_keys", "list_type", "max_elements", "min_size", "nullable",
        "properties",
    )  # fmt: skip

    def __init__(self, base: Type, form: str = "plain", *, max_elements: int = 0, min_size: int = 1) -> None:
        super().__init__(base.kind, base.name, base.parameters)
        self.form = form
        self.max_elements = max_elements
        self.min_size = min_size
        self.nullable = False
        self.element: Declared | None = None
        self.key: Declared | None = None
        self.fields: Mapping[str, Field] | None = None
        self.properties: Mapping[str, Declared | None] = {}
        self.list_type = ""
        self.list_keys: tuple[str, ...] = ()

    def structs(self) -> Iterator[Declared]:
        """The object types in this one, itself included."""
        if self.fields is not None:
            yield self
            for field in self.fields.values():
                yield from field.type.structs()
        elif self.element is not None:
            yield from self.element.structs()

    def field(self, name: str) -> Field | None:
        """A field by the name in an expression; keywords may be written as they are."""
        if self.fields is None:
            return None
        found = self.fields.get(name)
        return self.fields.get(f"__{name}__") if found is None and name in _KEYWORDS else found


def declare(name: str, fields: Mapping[str, Type]) -> Declared:
    """An object type of these fields, whose values are read as they are (`request`, `variables`)."""
    found = Declared(struct(name), min_size=2)
    types = {key: one if isinstance(one, Declared) else _plain(one) for key, one in fields.items()}
    found.fields = {key: Field(key, one) for key, one in types.items()}
    return found


def _plain(base: Type) -> Declared:
    found = Declared(base)
    if base.kind in ("list", "map"):
        inner = base.parameters[-1]
        found.element = inner if isinstance(inner, Declared) else _plain(inner)
    return found


_META = {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}
_SCALARS = {"boolean": (BOOL, 4), "number": (DOUBLE, 1), "integer": (INT, 1)}
_FORMATS = {  # of strings: type, characters at most, bytes at least
    "duration": (DURATION, 32, 3), "date": (TIMESTAMP, 12, 12), "date-time": (TIMESTAMP, 32, 21),
}  # fmt: skip


def from_schema(schema: Mapping[str, Any], *, name: str = "selfType", root: bool = False) -> Declared | None:
    """What a structural schema declares to expressions; None where it is hidden from them.

    name: of the object type itself (no variable may be called so); those inside are named by their path. root: of a
    whole resource, or of an embedded one: apiVersion, kind and metadata are there in any case.
    """
    found = _declared(schema, name, root or bool(schema.get("x-kubernetes-embedded-resource")))
    if found is not None:
        found.nullable = bool(schema.get("nullable"))
    return found


def _declared(schema: Mapping[str, Any], name: str, root: bool) -> Declared | None:
    if schema.get("x-kubernetes-int-or-string"):
        length = schema.get("maxLength")
        return Declared(DYN, "int-or-string", max_elements=MAX_REQUEST - 2 if length is None else 4 * max(length, 0))
    kind = schema.get("type")
    if root:
        kind = "object"
    if kind == "array":
        return _list(schema, name)
    if kind == "object":
        return _object(schema, name, root)
    if kind == "string":
        return _string(schema)
    if kind in _SCALARS:
        base, size = _SCALARS[kind]
        return Declared(base, kind, min_size=size)
    return None


def _list(schema: Mapping[str, Any], name: str) -> Declared | None:
    items = schema.get("items")
    element = from_schema(items, name=f"{name}.@idx") if isinstance(items, Mapping) else None
    if element is None:
        return None
    limit = schema.get("maxItems")
    size = (MAX_REQUEST - 2) // (element.min_size + 1) if limit is None else max(limit, 0)
    found = Declared(list_of(element), "array", max_elements=size, min_size=2)
    found.element = element
    found.list_type = schema.get("x-kubernetes-list-type") or ""
    found.list_keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    return found


def _object(schema: Mapping[str, Any], name: str, root: bool) -> Declared | None:
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        element = from_schema(extra, name=f"{name}.@elem")
        if element is None:
            return None
        limit = schema.get("maxProperties")
        size = (MAX_REQUEST - 2) // (element.min_size + 6) if limit is None else max(limit, 0)
        found = Declared(map_of(STRING, element), "map", max_elements=size, min_size=2)
        found.key, found.element = Declared(STRING, "string", min_size=2), element
        return found
    properties: dict[str, Any] = dict(schema.get("properties") or {})
    if root:
        properties = {"kind": {"type": "string"}, "apiVersion": {"type": "string"}} | properties
        given = properties.get("metadata") or {}
        properties["metadata"] = _META if not given.get("properties") else {
            **given, "properties": _META["properties"] | given["properties"],
        }  # fmt: skip
    required = frozenset(schema.get("required") or ())
    found = Declared(struct(name), "object")
    types: dict[str, Declared | None] = {}
    fields: dict[str, Field] = {}
    size = 2
    for member, inner in properties.items():
        escaped = escape(member)
        declared = types[member] = from_schema(inner, name=f"{name}.{escaped}")
        if declared is None:
            continue
        if escaped is not None:
            fields[escaped] = Field(member, declared)
        if member in required and inner.get("default") is None:
            size += len(member.encode()) + declared.min_size + 4
    found.fields, found.properties, found.min_size = fields, types, size
    return found


def _string(schema: Mapping[str, Any]) -> Declared:
    format_, limit = schema.get("format"), schema.get("maxLength")
    if format_ in _FORMATS:
        base, size, least = _FORMATS[format_]
        return Declared(base, format_, max_elements=size, min_size=least)
    if format_ == "byte":
        return Declared(BYTES, "byte", max_elements=MAX_REQUEST - 2 if limit is None else max(limit, 0), min_size=2)
    if limit is not None:
        size = 4 * max(limit, 0)
    elif schema.get("enum"):
        size = max((len(one.encode()) for one in schema["enum"] if isinstance(one, str)), default=0)
    else:
        size = MAX_REQUEST - 2
    return Declared(STRING, "string", max_elements=size, min_size=2)


def from_struct(cls: type[Struct], *, name: str | None = None) -> Declared:
    """What a built-in type declares to expressions; a type that contains itself is `dyn` inside."""
    return _struct(cls, name or cls.__name__, ())


def _struct(cls: type[Struct], name: str, within: tuple[type[Struct], ...]) -> Declared:
    found = Declared(struct(name), min_size=2)
    found.fields = {
        escaped: Field(member, _shape(field.shape, f"{name}.{escaped}", (*within, cls)))
        for member, field in shape.fields(cls).items()
        if (escaped := escape(member)) is not None
    }
    return found


_SHAPES: dict[str, Type] = {
    "string": STRING, "bool": BOOL, "int32": INT, "int64": INT, "float": DOUBLE, "bytes": BYTES, "time": TIMESTAMP,
    "microtime": TIMESTAMP, "quantity": DYN, "intstr": DYN, "raw": DYN, "any": DYN, "union": DYN,
}  # fmt: skip


def _shape(one: shape.Shape, name: str, within: tuple[type[Struct], ...]) -> Declared:
    if one.kind == "struct":
        assert one.struct is not None
        return Declared(DYN) if one.struct in within else _struct(one.struct, name, within)
    if one.kind in ("list", "map"):
        assert one.item is not None
        element = _shape(one.item, f"{name}.@{'idx' if one.kind == 'list' else 'elem'}", within)
        found = Declared(list_of(element) if one.kind == "list" else map_of(STRING, element), max_elements=UNBOUNDED)
        found.element = element
        return found
    return Declared(_SHAPES[one.kind])
