"""YAML bodies read as sigs.k8s.io/yaml reads them."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.yamltext import to_json
from kijabi.base.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("22:22", "22:22"), ("2001-02-03", "2001-02-03"), ("y", True), ("on", True), ("Off", False), ("0644", 420),
        ("0o17", 15), ("0x1F", 31), ("1e3", 1000), ("1.", 1), (".5", 0.5), ("~", None), ("null", None), ("", None),
        ("'1'", "1"), ("1_000", 1000), ("09", 9), ("1.2.3", "1.2.3"), ("nothing", "nothing"), ("-0x1", -1),
        ("1.5e400", "1.5e400"), ("!!str 5", "5"), ("<<", "<<"),
    ],
)  # fmt: skip
def test_scalars(text: str, wanted: object) -> None:
    assert json.loads(to_json(f"a: {text}\n".encode())[0]) == {"a": wanted}


def test_keys_become_texts_and_repeated_ones_are_told() -> None:
    assert json.loads(to_json(b"1: a\ntrue: b")[0]) == {"1": "a", "true": "b"}
    data, problems = to_json(b"a: 1\nb: {x: 1, x: 2}\na: 2")
    assert json.loads(data) == {"a": 2, "b": {"x": 2}}
    head = "yaml: unmarshal errors:\n"
    assert problems == [head + '  line 2: key "x" already set in map\n  line 3: key "a" already set in map']


def test_aliases_merges_and_the_first_document() -> None:
    assert json.loads(to_json(b"x: &b {p: 1}\nz: {<<: *b, q: 2}")[0]) == {"x": {"p": 1}, "z": {"p": 1, "q": 2}}
    assert to_json(b"---\na: 1\n---\nb: 2")[0] == b'{"a":1}'
    assert to_json(b"")[0] == b"null"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [\n", "yaml: line 1: did not find expected node content"),
        ("a: b: c", "yaml: mapping values are not allowed in this context"),
        ("a:\n  - b\n c: 1", "yaml: line 2: did not find expected key"),
        ("a: &x [*x]", "yaml: document contains excessive aliasing"),
    ],
)
def test_errors(text: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=re.escape(reason)):
        to_json(text.encode())


def test_a_small_document_cannot_unfold_to_a_huge_one() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(BadRequest, match="excessive aliasing"):
        to_json("\n".join(lines).encode())


@given(st.binary(max_size=60))
def test_no_text_does_worse_than_a_bad_request(data: bytes) -> None:
    with suppress(BadRequest):
        json.loads(to_json(data)[0])
