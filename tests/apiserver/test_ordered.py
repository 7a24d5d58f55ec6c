"""Ordered items against a dict: ranges are of the moment in which they were asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kijabi.apiserver import ordered
from kijabi.apiserver.ordered import Ordered
from kijabi.apiserver.watchcache import Item

KEYS = st.text("abc/", min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, KEYS),
        st.tuples(st.just("remove"), KEYS, KEYS),
        st.tuples(st.just("range"), st.one_of(st.just(""), KEYS), st.one_of(st.just(""), KEYS)),
    ),
    max_size=200,
)


def item(key: str, revision: int) -> Item:
    return Item(key, "", key, None, b"", revision)


@given(steps=STEPS)
def test_ranges_of_a_moment(steps: list[Any]) -> None:
    block, ordered.BLOCK = ordered.BLOCK, 2
    try:
        found, model = Ordered(), {}
        ranges = []
        for revision, (action, key, other) in enumerate(steps):
            if action == "put":
                model[key] = item(key, revision)
                found.put(model[key])
            elif action == "remove" and key in model:
                del model[key]
                found.remove(key)
            elif action == "range":
                expected = [model[each] for each in sorted(model) if key <= each and (not other or each < other)]
                assert found.count(key, other) == len(expected)
                ranges.append((found.between(key, other), expected))
        for got, expected in ranges:
            assert list(map(id, got)) == list(map(id, expected))
        assert [each.key for each in found.between("", "")] == sorted(model)
    finally:
        ordered.BLOCK = block
