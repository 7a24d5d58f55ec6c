"""Quantities: the same canonical texts, values and errors as upstream, and the laws of arithmetic."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kijabi.api.quantity import Quantity

GOLDEN = Path(__file__).parents[1] / "golden" / "quantity" / "upstream.tsv"
ROWS = [line.split("\t") for line in GOLDEN.read_text().splitlines()[1:]]
SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2"]
TEXTS = st.builds(
    lambda sign, number, suffix: f"{sign}{number}{suffix}",
    st.sampled_from(["", "-"]),
    st.one_of(st.integers(0, 10**12).map(str), st.decimals(0, 10**6, places=4).map(str)),
    st.sampled_from(SUFFIXES),
)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_reads_as_upstream_reads(row: list[str]) -> None:
    text, *wanted = row
    if wanted[0].startswith("ERR "):
        with pytest.raises(ValueError, match=re.escape(wanted[0].removeprefix("ERR "))):
            Quantity(json.loads(text))
        return
    quantity = Quantity(json.loads(text))
    assert [json.dumps(str(quantity)), str(quantity.value()), str(quantity.milli())] == wanted


def test_json_numbers_and_null_are_quantities_too() -> None:
    assert Quantity.parse(2) == "2"
    assert Quantity.parse(0.5) == "500m"
    assert Quantity.parse(" 1Gi ") == "1Gi"
    assert Quantity.parse(None) == Quantity() == "0"
    for wrong in ("x", True, [1], {"a": 1}):
        with pytest.raises(ValueError, match="quantities must match"):
            Quantity.parse(wrong)


def test_made_from_numbers() -> None:
    assert Quantity.of_milli(1500) == "1500m"
    assert Quantity.of_milli(2000) == "2"
    assert Quantity.of(1536, binary=True) == "1536"
    assert Quantity.of(3 * 2**30, binary=True) == "3Gi"
    assert Quantity.of(2000) == "2k"


def test_sums_keep_the_family_of_the_first_unless_it_is_zero() -> None:
    assert Quantity("1Gi").plus(Quantity("1024Mi")) == "2Gi"
    assert Quantity("0").plus(Quantity("1Gi")) == "1Gi"
    assert Quantity("1").minus(Quantity("250m")) == "750m"
    assert Quantity("1Gi").minus(Quantity("1Gi")).is_zero()


def test_huge_exponents_cost_nothing() -> None:
    with pytest.raises(ValueError, match="unable to parse numeric part"):
        Quantity("1e999999999")


@given(TEXTS)
def test_canonical_form_is_stable_and_exact(text: str) -> None:
    once = Quantity(text)
    again = Quantity(str(once))
    assert again == once
    assert again.exact() == once.exact()


@given(TEXTS, TEXTS)
def test_arithmetic_is_exact(left: str, right: str) -> None:
    a, b = Quantity(left), Quantity(right)
    assume(abs(a.exact()) < 2**61 and abs(b.exact()) < 2**61)  # beyond int64, binary amounts are capped
    assert a.plus(b).exact() == a.exact() + b.exact()
    assert a.minus(b).plus(b).exact() == a.exact()
    assert a.cmp(b) == (a.exact() > b.exact()) - (a.exact() < b.exact())


@given(TEXTS)
def test_whole_values_round_away_from_zero(text: str) -> None:
    quantity = Quantity(text)
    assert abs(Decimal(quantity.value())) >= abs(quantity.exact())
    assert abs(Decimal(quantity.milli())) >= abs(quantity.exact()) * 1000
