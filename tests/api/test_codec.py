"""JSON: fast and patient decoding agree with upstream on objects, problems and errors."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api import catalog, codec
from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.custom import Custom
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import Object, ObjectMeta, Time
from kijabi.api.struct import NO_JSON, Struct
from kijabi.base.errors import BadRequest
from tests.api.samples import sample

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = [json.loads(line) for line in (GOLDEN / "decoding" / "upstream.jsonl").read_text().splitlines()]
TYPES = {resource.kind: resource.type for resource in catalog.RESOURCES if resource.group in ("", "apps")}
ALL = sorted({resource.type for resource in catalog.RESOURCES} | set(catalog.KINDS.values()), key=str)


def without_zeros(value: Any) -> Any:
    """A JSON value without what may as well be absent."""
    if isinstance(value, dict):
        kept = {name: without_zeros(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, {}, [], "", 0)}
    return [without_zeros(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=[case["body"][:80] for case in CASES])
def test_reads_as_upstream_reads(case: dict[str, Any]) -> None:
    kind = case["body"].partition('"kind":"')[2].partition('"')[0]
    cls = TYPES.get(kind, Pod)
    data = case["body"].encode()
    if "error" in case:
        for read in (codec.decode, codec.decode_strict):
            with pytest.raises(BadRequest) as caught:
                read(cls, data)
            assert str(caught.value) == case["error"]
        return
    obj, problems = codec.decode_strict(cls, data)
    assert problems == case.get("problems", [])
    assert without_zeros(codec.to_builtins(obj)) == without_zeros(case["object"])
    # Lenient decoding takes the last of repeated members; a strict one, as upstream, merges them.
    if not any(problem.startswith("duplicate") for problem in problems):
        assert codec.decode(cls, data) == obj


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: f"{cls.__module__}.{cls.__name__}".removeprefix("kijabi.api."))
@pytest.mark.parametrize("seed", range(5))
def test_every_type_comes_back_as_it_went(cls: type[Struct], seed: int) -> None:
    value = sample(cls, Random(seed))
    obj, problems = codec.decode_strict(cls, json.dumps(value).encode())
    assert problems == []
    assert codec.decode(cls, codec.encode(obj)) == _named(obj)
    written = codec.to_builtins(obj)
    assert _covers(written, value)


def _named(obj: Struct) -> Struct:
    """The object with the kind that encoding gives it."""
    if hasattr(obj, "kind") and hasattr(obj, "apiVersion"):
        obj.apiVersion, obj.kind = codec.identity(type(obj))
    return obj


def _covers(written: Any, value: Any) -> bool:
    """Whether everything in a value is in what was written; empty members may be missing."""
    if isinstance(value, dict) and isinstance(written, dict):
        return all(_covers(written.get(name), item) for name, item in value.items())
    if isinstance(value, list) and isinstance(written, list):
        return len(value) == len(written) and all(map(_covers, written, value))
    return written == value or (written is None and value in ({}, [], None))


def test_members_that_upstream_always_writes_are_written() -> None:
    assert codec.encode(EndpointSlice()) == (
        b'{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{},'
        b'"addressType":"","endpoints":[],"ports":[]}'
    )


def test_the_kind_is_written_but_not_set() -> None:
    pod = Pod(metadata=ObjectMeta(name="a"))
    assert codec.encode(pod).startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}')
    assert pod.kind == ""
    assert codec.encode(ObjectMeta()) == b"{}"


def test_the_keys_of_maps_are_sorted() -> None:
    pod = Pod(metadata=ObjectMeta(labels={"b": "1", "a": "2"}))
    assert b'"labels":{"a":"2","b":"1"}' in codec.encode(pod)
    custom = Custom(apiVersion="g/v1", kind="K", metadata=ObjectMeta(name="a"), content={"b": {"d": 1, "c": 2}, "a": 1})
    assert codec.encode(custom) == b'{"apiVersion":"g/v1","kind":"K","metadata":{"name":"a"},"a":1,"b":{"c":2,"d":1}}'


def test_null_is_absent_everywhere() -> None:
    data = b'{"metadata":{"creationTimestamp":null,"labels":null},"spec":null,"status":null}'
    pod, problems = codec.decode_strict(Pod, data)
    assert (pod, problems) == (Pod(), [])
    assert pod.metadata.creationTimestamp is Time()


def test_raw_values_do_not_hold_on_to_the_buffer() -> None:
    data = b'{"metadata":{"managedFields":[{"manager":"a"}]},"data":{"x":  [1, 2]},"revision":3}'
    revision = codec.decode(ControllerRevision, data)
    assert bytes(revision.data) == b'{"x":  [1, 2]}'
    copied = memoryview(revision.data).obj
    assert copied != data
    assert codec.decode(ControllerRevision, b'{"data":null}').data is NO_JSON


def test_a_clone_shares_nothing_that_changes() -> None:
    secret = Secret(metadata=ObjectMeta(name="a", labels={"x": "y"}), data={"k": b"\x00\xff"})
    copy = codec.clone(secret)
    assert copy == secret
    copy.metadata.labels["x"] = "z"
    copy.data["k"] = b""
    assert secret.metadata.labels == {"x": "y"}
    assert secret.data == {"k": b"\x00\xff"}


def test_builtins_are_read_with_the_same_rules() -> None:
    config = codec.from_builtins(ConfigMap, {"data": {"a": "b"}, "nope": 1})
    assert config.data == {"a": "b"}
    assert codec.from_builtins_strict(ConfigMap, {"nope": 1})[1] == ['unknown field "nope"']


@given(st.binary(max_size=40))
def test_no_text_does_worse_than_a_bad_request(data: bytes) -> None:
    with suppress(BadRequest):
        codec.decode_strict(Pod, data)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"metadata":{"managedFields":' + "[" * 100_000])
def test_deep_nesting_is_a_bad_request(text: str) -> None:
    with pytest.raises(BadRequest):
        codec.decode(Object, text.encode())


def test_a_hundred_problems_are_enough() -> None:
    body = json.dumps({f"x{i}": 1 for i in range(300)}).encode()
    assert len(codec.decode_strict(Pod, body)[1]) == 100
