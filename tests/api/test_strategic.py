"""Strategic merge: merge keys, directives, element order, and laws, on a small type of its own."""

import copy
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.strategic import strategic_merge
from kijabi.api.struct import Struct, Tag
from kijabi.base.errors import ApiError, BadRequest


class Port(Struct):
    containerPort: int = 0
    name: str = ""


class Container(Struct):
    name: str = ""
    image: str = ""
    ports: Annotated[tuple[Port, ...], Tag(1, strategy="merge", mergeKey="containerPort")] = ()
    args: tuple[str, ...] = ()


class Strategy(Struct):
    type: str = ""
    rollingUpdate: dict[str, int] | None = None


class Spec(Struct):
    containers: Annotated[tuple[Container, ...], Tag(1, strategy="merge", mergeKey="name")] = ()
    finalizers: Annotated[tuple[str, ...], Tag(2, strategy="merge")] = ()
    strategy: Annotated[Strategy | None, Tag(3, strategy="retainKeys")] = None
    labels: dict[str, str] = {}
    whole: Annotated[Strategy | None, Tag(4, strategy="replace")] = None
    class_: int = 0


def merge(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy((document, patch))
    merged = strategic_merge(document, patch, Spec)
    assert (document, patch) == before
    return merged


A, B, C = ({"name": name, "image": name} for name in "abc")
CASES = {
    "scalars and maps": ({"labels": {"x": "1", "y": "2"}}, {"labels": {"x": None, "z": "3"}},
        {"labels": {"y": "2", "z": "3"}}),
    "items merge by key": ({"containers": [A, B]}, {"containers": [{"name": "b", "image": "new"}]},
        {"containers": [A, {"name": "b", "image": "new"}]}),
    "new items come first": ({"containers": [A]}, {"containers": [C]}, {"containers": [C, A]}),
    "items inside items": ({"containers": [{"name": "a", "ports": [{"containerPort": 1}]}]},
        {"containers": [{"name": "a", "ports": [{"containerPort": 2}]}]},
        {"containers": [{"name": "a", "ports": [{"containerPort": 2}, {"containerPort": 1}]}]}),
    "an atomic list is replaced": ({"containers": [{"name": "a", "args": ["x"]}]},
        {"containers": [{"name": "a", "args": ["y"]}]}, {"containers": [{"name": "a", "args": ["y"]}]}),
    "delete an item": ({"containers": [A, B]}, {"containers": [{"$patch": "delete", "name": "a"}]},
        {"containers": [B]}),
    "replace the list": ({"containers": [A, B]}, {"containers": [C, {"$patch": "replace"}]},
        {"containers": [C]}),
    "replace an object": ({"strategy": {"type": "x"}},
        {"strategy": {"$patch": "replace", "rollingUpdate": {"a": 1}}},
        {"strategy": {"rollingUpdate": {"a": 1}}}),
    "empty an object": ({"strategy": {"type": "x"}}, {"strategy": {"$patch": "delete"}}, {"strategy": {}}),
    "retain keys": ({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"a": 1}}},
        {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}, {"strategy": {"type": "Recreate"}}),
    "set the order": ({"containers": [A, B, C]},
        {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}]},
        {"containers": [C, A, B]}),
    "order and change": ({"containers": [A, B]},
        {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
         "containers": [{"name": "a", "image": "n"}]},
        {"containers": [B, {"name": "a", "image": "n"}]}),
    "order keeps what only the server has": ({"containers": [A, B, C]},
        {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}]}, {"containers": [A, C, B]}),
    "scalars merge": ({"finalizers": ["x", "y"]}, {"finalizers": ["z", "y"]},
        {"finalizers": ["z", "x", "y"]}),
    "scalars go": ({"finalizers": ["x", "y"]}, {"$deleteFromPrimitiveList/finalizers": ["x"]},
        {"finalizers": ["y"]}),
    "nothing to delete from": ({}, {"$deleteFromPrimitiveList/finalizers": ["x"]}, {}),
    "nulls without match vanish": ({}, {"strategy": {"type": None, "rollingUpdate": {"a": None}}},
        {"strategy": {"rollingUpdate": {}}}),
    "replace strategy": ({"whole": {"type": "x"}}, {"whole": {"rollingUpdate": {}}},
        {"whole": {"rollingUpdate": {}}}),
    "a new object with a directive is none": ({}, {"strategy": {"$patch": "delete"}}, {}),
    "delete an item that is not there": ({}, {"containers": [{"$patch": "delete", "name": "a"}]},
        {"containers": []}),
}  # fmt: skip


@pytest.mark.parametrize(("document", "patch", "expected"), CASES.values(), ids=CASES)
def test_merge(document: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert merge(document, patch) == expected


@pytest.mark.parametrize(
    ("document", "patch", "text"),
    [
        (
            {"containers": [A]},
            {"containers": [{"image": "x"}]},
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            {"strategy": {"type": "x"}},
            {"strategy": {"$retainKeys": "x"}},
            "invalid patch format of retainKeys",
        ),
        (
            {"strategy": {"type": "x"}},
            {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {"a": 1}}},
            "invalid patch format of retainKeys",
        ),
        ({"containers": [A]}, {"containers": [1]}, "list element types are not identical"),
        ({"labels": {}}, {"labels": {"$patch": "frob"}}, "unknown patch type: frob in map: map[$patch:frob]"),
        ({}, {"$setElementOrder/containers": "x"}, "expected a [ ]interface {}, but received a string"),
        ({"nope": {}}, {"nope": {}}, 'unable to find api field in struct Spec for the json field "nope"'),
        (
            {"containers": [A, B]},
            {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]},
            "The order in patch list:",
        ),
    ],
)
def test_a_bad_patch_says_why(document: dict[str, Any], patch: dict[str, Any], text: str) -> None:
    with pytest.raises(ApiError) as caught:
        merge(document, patch)
    assert text.replace("[ ]", "[]") in caught.value.message


def test_not_an_object() -> None:
    with pytest.raises(BadRequest):
        strategic_merge({}, [1], Spec)  # type: ignore[arg-type]


names = st.sampled_from("abcdef")
containers = st.lists(st.builds(lambda n, i: {"name": n, "image": i}, names, st.text("xy", max_size=2)),
    unique_by=lambda item: item["name"])  # fmt: skip


@given(containers, containers)
def test_every_named_item_is_merged_and_no_other_touched(old: list[Any], new: list[Any]) -> None:
    merged = merge({"containers": old}, {"containers": new})["containers"]
    wanted = {item["name"]: item for item in (*old, *new)}
    assert {item["name"]: item for item in merged} == wanted
    assert len(merged) == len(wanted)
    given_order = [item["name"] for item in merged if item in new]
    assert given_order == [item["name"] for item in new if item["name"] in given_order]


@given(containers, containers)
def test_merging_twice_is_merging_once(old: list[Any], new: list[Any]) -> None:
    once = merge({"containers": old}, {"containers": new})
    assert merge(once, {"containers": new}) == once


@given(containers, st.permutations("abcdef"))
def test_the_order_asked_for_is_the_order_got(old: list[Any], order: list[Any]) -> None:
    patch = {"$setElementOrder/containers": [{"name": name} for name in order]}
    merged = merge({"containers": old}, patch)["containers"]
    assert [item["name"] for item in merged] == [n for n in order if any(i["name"] == n for i in old)]
