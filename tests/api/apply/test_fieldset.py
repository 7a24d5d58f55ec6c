"""Sets of fields: their JSON, their order, their algebra."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api.apply import elements, fieldset
from kijabi.api.apply.fieldset import Path, Tree
from kijabi.base.errors import BadRequest

STEPS = ("f:a", "f:b", 'k:{"name":"x"}', 'k:{"port":80}', 'k:{"port":9}', 'v:"s"', "v:1", "v:true", "i:3")
PATHS = st.lists(st.sampled_from(STEPS), min_size=1, max_size=4).map(tuple)
SETS = st.sets(PATHS, max_size=8)


def tree(paths: set[Path]) -> Tree:
    return fieldset.of(*sorted(paths))


def members(found: Tree) -> set[Path]:
    return set(fieldset.paths(found))


@settings(deadline=None)
@given(SETS, SETS)
def test_the_algebra_is_that_of_sets_of_paths(left: set[Path], right: set[Path]) -> None:
    one, two = tree(left), tree(right)
    assert members(one) == left
    assert members(fieldset.union(one, two)) == left | right
    assert members(fieldset.difference(one, two)) == left - right
    assert members(fieldset.intersection(one, two)) == left & right
    below = {path for path in left if any(path[: len(top)] == top for top in right)}
    assert members(fieldset.without(one, two)) == left - below
    assert all(fieldset.has(one, path) for path in left)
    assert not any(fieldset.has(one, path) for path in right - left)


@settings(deadline=None)
@given(SETS)
def test_a_set_survives_its_json_and_equal_sets_have_equal_json(paths: set[Path]) -> None:
    data = fieldset.encode(tree(paths))
    assert members(fieldset.read(data)) == paths
    assert fieldset.encode(fieldset.of(*sorted(paths, reverse=True))) == data
    assert fieldset.encode(fieldset.read(data)) == data


def test_the_order_is_members_then_keys_then_values_then_places() -> None:
    found = fieldset.of(*((step,) for step in STEPS))
    assert fieldset.encode(found) == (
        b'{"f:a":{},"f:b":{},"k:{\\"name\\":\\"x\\"}":{},"k:{\\"port\\":9}":{},"k:{\\"port\\":80}":{},'
        b'"v:1":{},"v:\\"s\\"":{},"v:true":{},"i:3":{}}'
    )


def test_a_field_above_others_is_marked_by_a_dot() -> None:
    assert fieldset.encode(fieldset.of(("f:a",), ("f:a", "f:b"))) == b'{"f:a":{".":{},"f:b":{}}}'
    assert fieldset.difference(fieldset.of(("f:a",), ("f:a", "f:b")), fieldset.of(("f:a",))) == {"f:a": {"f:b": {}}}
    assert fieldset.difference(fieldset.of(("f:a", "f:b")), fieldset.of(("f:a", "f:b"))) == {}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('k:{"b":1, "a":"x"}', 'k:{"a":"x","b":1}'),
        ('k:{"port":80.0}', 'k:{"port":80}'),
        ("v:1.0", "v:1"),
        ('v:"a<b"', 'v:"a\\u003cb"'),
        ("i:007", "i:7"),
        ("f:any thing", "f:any thing"),
    ],
)
def test_steps_that_others_write_become_canonical(sent: str, kept: str) -> None:
    assert elements.canonical(sent) == kept


def test_unknown_kinds_of_steps_are_dropped() -> None:
    assert fieldset.read(b'{"x:y":{"f:z":{}},"f:a":{}}') == {"f:a": {}}


@pytest.mark.parametrize(
    "text",
    [
        b"[]", b'{"f":{}}', b'{"f-a":{}}', b'{"v:{":{}}', b'{"k:[]":{}}', b'{"i:x":{}}', b'{"f:a":1}',
        b'{"f:a":{}}{"f:b":{}}', b'{"v:\\"x\\" {}":{}}', b'{"k:{\\"a\\":1} {}":{}}', b"{" * 100_000,
        b'{"f:a":' * 5000 + b"{}" + b"}" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_set_is_refused(text: bytes) -> None:
    with pytest.raises((ValueError, BadRequest)):
        fieldset.read(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", 'k:{"a":"x","b":1}', "f:c"), '.spec[a="x",b=1].c'),
        (("f:finalizers", 'v:"a/b"'), '.finalizers[="a/b"]'),
        (("f:l", "i:3", "v:true", "v:null", "v:1.5"), ".l[3][=true][=null][=1.5]"),
    ],
)
def test_paths_as_errors_show_them(path: Path, text: str) -> None:
    assert fieldset.shown(path) == text


def test_patterns_keep_what_lies_on_or_below_them() -> None:
    found = fieldset.of(("f:a", "f:b"), ("f:a", "v:1", "f:c"), ("f:a", "v:2", "f:d", "f:e"), ("f:z",))
    kept: Any = fieldset.matching(found, (("f:a", "*", "f:c"), ("f:a", "*", "f:d")))
    assert members(kept) == {("f:a", "f:b"), ("f:a", "v:1", "f:c"), ("f:a", "v:2", "f:d", "f:e")}
