"""Laws that pruning, defaulting and ratcheting keep, over random schemas and objects."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from kijabi.api.apiextensions import structural, validation, valuevalidation
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.prune import copy, prune

NAMES = st.sampled_from(["a", "b", "c", "metadata", "kind"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "2020-01-01"]) | st.just(1.5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3, *, root: bool = False) -> dict[str, Any]:
    kinds = ["object"] if root else ["string", "integer", "boolean", "object", "array"] if depth else ["string"]
    kind = draw(st.sampled_from(kinds))
    props: dict[str, Any] = {"type": kind}
    if kind == "object" and not root and draw(st.integers(0, 3)) == 0:
        props["additionalProperties"] = draw(schemas(depth - 1))
    elif kind == "object":
        props["properties"] = draw(st.dictionaries(NAMES, schemas(depth - 1), max_size=3))
        for name in ("metadata", "kind") if root else ():
            props["properties"].pop(name, None)
    elif kind == "array":
        props["items"] = draw(schemas(depth - 1))
        props |= draw(st.sampled_from([{}, {"x-kubernetes-list-type": "atomic"}, {"maxItems": 1}]))
    if not root:
        props |= draw(st.sampled_from([{}, {}, {"nullable": True}, {"enum": ["x"]}, {"not": {"enum": [1]}}]))
        if draw(st.booleans()):
            props["default"] = draw(VALUES)
    return props


@st.composite
def cases(draw: st.DrawFn) -> tuple[structural.Structural, dict[str, Any]]:
    props = draw(schemas(root=True))
    members = {name: shaped(child) for name, child in props["properties"].items()}
    obj = draw(st.fixed_dictionaries({}, optional={**members, "zz": VALUES}))
    return structural.compile(props), obj


def shaped(props: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that mostly fit a schema."""
    if "properties" in props:
        members = {name: shaped(child) for name, child in props["properties"].items()}
        return VALUES | st.fixed_dictionaries({}, optional={**members, "zz": VALUES})
    if "additionalProperties" in props:
        return VALUES | st.dictionaries(NAMES, shaped(props["additionalProperties"]), max_size=2)
    return VALUES | st.lists(shaped(props["items"]), max_size=2) if "items" in props else VALUES


def pruned(obj: dict[str, Any], schema: structural.Structural) -> dict[str, Any]:
    fresh: dict[str, Any] = copy(obj)
    prune(fresh, schema)
    return fresh


def defaulted(obj: dict[str, Any], schema: structural.Structural) -> dict[str, Any]:
    fresh: dict[str, Any] = copy(obj)
    apply_defaults(fresh, schema)
    return fresh


@given(cases())
def test_pruning_twice_prunes_nothing_more(case: tuple[structural.Structural, dict[str, Any]]) -> None:
    schema, obj = case
    once = pruned(obj, schema)
    assert prune(copy(once), schema) == []


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def brings_null(schema: structural.Structural | None) -> bool:
    """Whether a default of the schema has a null in it."""
    if schema is None:
        return False
    default = schema.default
    below = (*schema.properties.values(), schema.items, schema.additional)
    return without_nulls(default) != default or any(map(brings_null, below))


NULL_IN_DEFAULT = {"type": "object", "properties": {"a": {"type": "string"}}, "default": {"a": None}}


@example((structural.compile({"type": "object", "properties": {"a": NULL_IN_DEFAULT}}), {}))
@given(cases())
def test_defaulting_twice_fills_nothing_more(case: tuple[structural.Structural, dict[str, Any]]) -> None:
    """Nulls that a default brings stay, the client's go: so upstream drops a default's when it reads the object back.

    A definition with such a default is refused, unless its schema has no type at that place.
    """
    schema, obj = case
    once = defaulted(obj, schema)
    twice = defaulted(once, schema)
    if brings_null(schema):
        assert without_nulls(twice) == without_nulls(once)
        assert defaulted(twice, schema) == twice
    else:
        assert twice == once


@given(cases())
def test_pruning_and_defaulting_commute(case: tuple[structural.Structural, dict[str, Any]]) -> None:
    schema, obj = case
    assert pruned(defaulted(obj, schema), schema) == defaulted(pruned(obj, schema), schema)


@given(cases())
def test_what_did_not_change_is_not_blamed(case: tuple[structural.Structural, dict[str, Any]]) -> None:
    schema, obj = case
    known = defaulted(pruned(obj, schema), schema)
    assert valuevalidation.validate(known, schema, copy(known)) == []


@given(cases(), VALUES)
def test_an_update_is_never_refused_for_more_than_a_creation(
    case: tuple[structural.Structural, dict[str, Any]], value: Any
) -> None:
    schema, obj = case
    old = {**obj, "a": value}
    fresh = {str(error) for error in validation.validate(obj, None, schema)}
    assert {str(error) for error in validation.validate(obj, old, schema)} <= fresh
