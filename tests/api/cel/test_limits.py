"""Hostile expressions and data end in upstream's error, in bounded time and memory."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api.cel.environment import Budget, Environment
from kijabi.api.cel.errors import CelCompileError, CelError, CelFailure, CostExceeded
from kijabi.api.cel.estimates import estimate_cost
from kijabi.api.cel.types import DYN, escape, from_schema

ANY = Environment({"self": DYN})
TOO_DEEP = "ERROR: <input>:-1:0: expression recursion limit exceeded: 250"
BIG = {"numbers": list(range(1000)), "text": "a" * 1_000_000, "texts": ["x" * 100] * 2000}


@pytest.mark.parametrize("expression", [
    "(" * 300 + "1" + ")" * 300, "[" * 300 + "]" * 300, "1 + " * 300 + "1", "self" + ".a" * 300,
    "true ? 1 : " * 300 + "2", "size(" * 300 + "'a'" + ")" * 300, "self" + "[0]" * 300,
])  # fmt: skip
def test_nesting_is_limited(expression: str) -> None:
    with pytest.raises(CelCompileError) as caught:
        ANY.compile(expression)
    assert caught.value.message == TOO_DEEP


@pytest.mark.parametrize("chain", ["1" + " + 1" * 248, "self" + ".a" * 248, "true" + " && true" * 5000])
def test_chains_up_to_the_limit_compile(chain: str) -> None:
    assert estimate_cost(ANY.compile(chain)).max > 0 or chain.startswith("true")


def test_length_is_limited() -> None:
    with pytest.raises(CelCompileError, match="expression code point size exceeds limit: size: 100001, limit 100000"):
        ANY.compile("a" * 100_001)


@pytest.mark.parametrize("expression", [
    "self.numbers.all(a, self.numbers.all(b, self.numbers.all(c, a + b + c >= 0)))",
    "self.numbers.map(a, self.numbers.map(b, self.numbers))",
    "self.numbers.map(x, self.text + self.text)",  # the types are unknown, so upstream would count one for each
    "self.text.replace('', self.text)", "self.texts.join(self.text)", "self.text.split('').sort()",
    "lists.range(10000000)", "('%s' + '%s').format([self.text, self.text]).replace('a', self.text)",
    "'" + "%s" * 40 + "'.format([" + ", ".join(["self.text"] * 40) + "])",
])  # fmt: skip
def test_work_is_limited(expression: str) -> None:
    with pytest.raises(CostExceeded):
        ANY.compile(expression).evaluate({"self": BIG}, Budget(10**12))


def test_patterns_take_linear_time() -> None:
    for pattern in ("(a*)*b", "(a|a)*b", "(a+)+$"):
        ANY.compile(f"self.text.matches('{pattern}')").evaluate({"self": BIG}, Budget())


def test_deep_data_do_not_break_the_process() -> None:
    deep: Any = reduce(lambda inner, _: [inner], range(5000), 1)
    with pytest.raises(CelError, match="recursion limit"):
        ANY.compile("self == self").evaluate({"self": deep}, Budget())


def test_a_bomb_is_seen_before_it_runs() -> None:
    schema = from_schema({"type": "array", "items": {"type": "array", "items": {"type": "array", "items": {
        "type": "string"}}}})  # fmt: skip
    assert schema is not None
    program = Environment({"self": schema}).compile("self.all(a, a.all(b, b.all(c, c.matches('a*'))))")
    assert estimate_cost(program, schema).max > 10**20 or estimate_cost(program, schema).max == 2**64 - 1


WORDS = st.sampled_from([
    "self", "a", "1", "2u", "1.5", "'x'", "b'y'", "true", "null", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+",
    "-", "*", "/", "%", "!", "&&", "||", "==", "<", " in ", "has", "size", ".all(x, ", ".map(x, ", ".?", "[?",
    "timestamp", "duration", "matches", "'[a'", "\n", "#", "'", "`", "\\", "é", "🐧",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=20).map("".join))
def test_whatever_is_written_compiles_or_fails_in_words(expression: str) -> None:
    message = None
    try:
        program = ANY.compile(expression)
        estimate_cost(program)
        program.evaluate({"self": {"a": [1, {"b": None}]}}, Budget())
    except CelFailure as error:
        message = error.message
    assert message is None or "internal error" not in message


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab_.-/9", min_size=1, max_size=12), st.text(alphabet="ab_.-/9", min_size=1, max_size=12))
def test_names_of_properties_stay_apart(one: str, other: str) -> None:
    escaped = escape(one)
    if escaped is not None and one != other:
        assert escaped.isidentifier()
        assert escaped != escape(other) or "__" in one or "__" in other


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_everything_is_equal_to_itself(value: Any) -> None:
    same = ANY.compile("self == self && !(self != self) && [self] == [self] && self in [self]")
    assert same.evaluate({"self": value}, Budget()) is True
