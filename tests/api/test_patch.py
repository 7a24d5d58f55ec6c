"""JSON patch and merge patch: the RFCs' own examples, bounds, and laws."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.patch import MAX_DEPTH, MAX_OPERATIONS, json_patch, merge_patch, same
from kijabi.base.errors import ApiError, BadRequest, Invalid, RequestTooLarge

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text("abc", max_size=2), documents, max_size=4)

JSON_PATCHES = [  # RFC 6902, appendix A
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
    (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
    ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
    (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
    (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"g": {}}}],
        {"foo": "bar", "child": {"g": {}}},
    ),
    ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
    ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
    ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
]


@pytest.mark.parametrize(("document", "operations", "expected"), JSON_PATCHES)
def test_json_patch(document: object, operations: object, expected: object) -> None:
    before = copy.deepcopy(document)
    assert json_patch(document, operations) == expected
    assert document == before


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": "bar"}],
        [{"op": "test", "path": "/n", "value": True}],
        [{"op": "add", "path": "/x/y", "value": 1}],
        [{"op": "add", "path": "/l/5", "value": 1}],
        [{"op": "add", "path": "/l/01", "value": 1}],
        [{"op": "add", "path": "/l/" + "9" * 9999, "value": 1}],
        [{"op": "remove", "path": "/nope"}],
        [{"op": "replace", "path": "/nope", "value": 1}],
        [{"op": "replace", "path": "/a"}],
        [{"op": "move", "from": "/o", "path": "/o/p"}],
        [{"op": "copy", "from": "/nope", "path": "/z"}],
        [{"op": "copy", "path": "/z"}],
        [{"op": "conjure", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
    ],
)
def test_json_patch_that_cannot_apply(operations: object) -> None:
    with pytest.raises(Invalid):
        json_patch({"a": "x", "n": 1, "l": [1], "o": {}}, operations)


@pytest.mark.parametrize("operations", [{}, "x", None, [1], [{"op": "add"}]])
def test_not_a_json_patch(operations: object) -> None:
    with pytest.raises(BadRequest):
        json_patch({}, operations)


def test_bounds() -> None:
    with pytest.raises(RequestTooLarge, match=r"maximum operations in a JSON patch is 10000, got 10001"):
        json_patch({}, [{"op": "test", "path": ""}] * (MAX_OPERATIONS + 1))
    doubling = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 60
    with pytest.raises(ApiError):
        json_patch({"a": ["x" * 100]}, doubling)
    deep: object = 1
    for _ in range(MAX_DEPTH * 10):
        deep = {"a": deep}
    with pytest.raises(BadRequest):
        merge_patch({}, deep)
    with pytest.raises(BadRequest):
        json_patch({}, [{"op": "add", "path": "/a", "value": deep}])


MERGE_PATCHES = [  # RFC 7386, appendix A
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("document", "patch", "expected"), MERGE_PATCHES)
def test_merge_patch(document: object, patch: object, expected: object) -> None:
    before = copy.deepcopy((document, patch))
    assert merge_patch(document, patch) == expected
    assert (document, patch) == before


@given(objects, objects)
def test_merging_twice_is_merging_once(document: object, patch: object) -> None:
    once = merge_patch(document, patch)
    assert same(merge_patch(once, patch), once)


@given(documents, st.text("ab", min_size=1, max_size=2), documents)
def test_adding_and_removing_again_changes_nothing(document: object, key: str, value: object) -> None:
    holder = {"doc": document}
    added = json_patch(holder, [{"op": "add", "path": f"/{key}", "value": value}])
    assert same(added[key], value)
    assert same(json_patch(added, [{"op": "remove", "path": f"/{key}"}]), holder)


verbs = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
paths = st.text("/ab01~", max_size=5)
operations = st.fixed_dictionaries({"op": verbs, "path": paths}, optional={"value": documents, "from": paths})


@given(documents, st.lists(operations, max_size=4))
def test_any_patch_applies_or_says_why(document: object, operations: object) -> None:
    before = copy.deepcopy(document)
    try:
        json_patch(document, operations)
    except ApiError as error:
        assert 400 <= error.code < 500  # noqa: PT017
    assert same(document, before)
