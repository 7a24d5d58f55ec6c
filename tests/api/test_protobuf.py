"""Protobuf: bytes that upstream wrote, round trips of every type, and nothing worse than a BadRequest."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api import catalog, codec, protobuf
from kijabi.api.core.pod import Pod
from kijabi.api.meta import DeleteOptions, ObjectMeta, Time
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.base.errors import BadRequest
from tests.api.samples import sample
from tests.api.test_codec import ALL, without_zeros

GOLDEN = Path(__file__).parents[1] / "golden" / "protobuf"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.pb"))
# JSON alone: discovery and tables have no protobuf form of ours.
BINARY = [cls for cls in ALL if cls.__module__.split(".")[2] not in ("table", "apidiscovery")]


def type_named(api_version: str, kind: str) -> type[Struct]:
    group, _, version = api_version.rpartition("/")
    cls = catalog.type_of(group, version, kind)
    assert cls is not None
    return cls


@pytest.mark.parametrize("name", NAMES)
def test_reads_what_upstream_wrote(name: str) -> None:
    unknown = protobuf.decode_unknown((GOLDEN / f"{name}.pb").read_bytes())
    wanted = json.loads((GOLDEN / f"{name}.json").read_text())
    assert (unknown.apiVersion, unknown.kind) == (wanted["apiVersion"], wanted["kind"])
    obj = protobuf.decode(type_named(unknown.apiVersion, unknown.kind), unknown.raw)
    assert without_zeros(codec.to_builtins(obj)) == without_zeros(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_message_is_a_bad_request_or_a_shorter_object(name: str) -> None:
    unknown = protobuf.decode_unknown((GOLDEN / f"{name}.pb").read_bytes())
    cls = type_named(unknown.apiVersion, unknown.kind)
    refused = 0
    for end in range(len(unknown.raw)):
        try:
            protobuf.decode(cls, unknown.raw[:end])
        except BadRequest:
            refused += 1
    assert refused > len(unknown.raw) // 2


@pytest.mark.parametrize("cls", BINARY, ids=lambda cls: f"{cls.__module__}.{cls.__name__}".removeprefix("kijabi.api."))
@pytest.mark.parametrize("seed", range(5))
def test_every_type_comes_back_as_it_went(cls: type[Struct], seed: int) -> None:
    obj = codec.from_builtins(cls, sample(cls, Random(seed)))
    again = protobuf.decode(cls, protobuf.encode(obj))
    assert without_zeros(codec.to_builtins(again)) == without_zeros(codec.to_builtins(obj))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(BINARY))
def test_random_bytes_are_an_object_or_a_bad_request(data: bytes, cls: type[Struct]) -> None:
    with suppress(BadRequest):
        codec.encode(protobuf.decode(cls, data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_flipped_bytes_are_an_object_or_a_bad_request(data: st.DataObject) -> None:
    raw = bytearray(protobuf.decode_unknown((GOLDEN / "pod.pb").read_bytes()).raw)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadRequest):
        codec.encode(protobuf.decode(Pod, bytes(raw)))


def test_envelopes() -> None:
    options = DeleteOptions(gracePeriodSeconds=0)
    unknown = protobuf.decode_unknown(protobuf.encode_unknown(options))
    assert unknown == ("v1", "DeleteOptions", b"\x08\x00")
    assert protobuf.decode(DeleteOptions, unknown.raw) == options
    for wrong in (b"", b"k8s", b"{}", b"k8s\x00\xff"):
        with pytest.raises(BadRequest):
            protobuf.decode_unknown(wrong)


def test_by_hand() -> None:
    meta = protobuf.decode(ObjectMeta, b"\x0a\x01a\x42\x04\x08\x05\x10\x09\x5a\x06\x0a\x01k\x12\x01v\x38\x07")
    assert meta == ObjectMeta(name="a", creationTimestamp=Time("1970-01-01T00:00:05Z"), labels={"k": "v"}, generation=7)
    assert protobuf.decode(ObjectMeta, b"\x42\x00").creationTimestamp is Time()
    # Field 2047 and field 1000000 are nobody's: skipped, whatever their wire type.
    assert protobuf.decode(ObjectMeta, b"\xf8\x7f\x01\x82\xa4\xe8\x03\x02xx\x0a\x01a") == ObjectMeta(name="a")
    with pytest.raises(BadRequest, match="illegal wireType"):
        protobuf.decode(ObjectMeta, b"\x0f")


class Message(Struct):
    """A message as CRI writes them (proto3)."""

    numbers: Annotated[tuple[int, ...], Tag(1)] = ()
    ratio: Annotated[float, Tag(2)] = 0.0
    state: Annotated[int, Tag(3)] = 0
    parts: Annotated[dict[str, Message], Tag(40)] = {}
    small: Annotated[tuple[Int32, ...], Tag(5)] = ()


def test_messages_of_other_protocols() -> None:
    packed = b"\x0a\x03\x01\x96\x01"
    assert protobuf.decode(Message, packed).numbers == (1, 150)
    assert protobuf.decode(Message, b"\x08\x01\x08\x96\x01") == Message(numbers=(1, 150))
    message = Message(ratio=1.5, state=2, parts={"a": Message(numbers=(-1,), small=(-1, 7)), "b": Message()})
    assert protobuf.decode(Message, protobuf.encode(message)) == message
    assert protobuf.encode(Message()) == b""
