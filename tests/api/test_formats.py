"""Formats of names, labels and keys, and the texts of what is wrong; upstream's own examples."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api import formats, gotext, validation
from kijabi.api.resource import FieldError

GOOD_AND_BAD = [
    (
        formats.dns_label,
        "a ab abc a1 a-1 a--1--2--b 0 01 a1 123-abc " + "a" * 63,
        "A -a a- a.b a_b é " + "a" * 64,
    ),
    (formats.dns_subdomain, "a a.b 1.2.3 a-1.b-2 " + "a" * 253, "A a..b .a a. a_b a-.b " + "a" * 254),
    (formats.dns1035_label, "a a1 a-b", "1 1a -a a- A a.b"),
    (
        formats.qualified_name,
        "simple now-with-dashes 1234 simple/simple 1.2.3.4/5678 Uppercase_Is_OK_123 example.com/Upper_1",
        "nospecialchars%^=@ cantendwithadash- only/one/slash Example.com/abc example.com/ /simple " + "a" * 64,
    ),
    (formats.label_value, "a 1 A_b.c-d", "-a a- b/c é " + "a" * 64),
    (formats.config_key, "a .a a.b A_B-c", ". .. ..a a/b b/"),
    (formats.env_name, "A a.b 1a - a/b", "a=b é"),
    (formats.port_name, "http a1 1a www-2", "1 -a a- a--b A a_b " + "a" * 16),
    (formats.path_segment_name, "a A:b system:node ...", ". .. a/b a%b"),
    (formats.c_identifier, "a _a A1", "1a a-b a.b"),
    (formats.percent, "1% 100%", "1 % -1% 1.5%"),
    (formats.http_header_name, "X-A a1", "a_b a:b"),
]


@pytest.mark.parametrize(("check", "good", "bad"), GOOD_AND_BAD, ids=lambda v: getattr(v, "__name__", ""))
def test_good_and_bad(check: Callable[[str], list[str]], good: str, bad: str) -> None:
    assert [text for text in good.split() if check(text)] == []
    assert [text for text in bad.split() if not check(text)] == []


@pytest.mark.parametrize("check", [row[0] for row in GOOD_AND_BAD])
def test_the_empty_text(check: Callable[[str], list[str]]) -> None:
    assert bool(check("")) is (check not in (formats.label_value, formats.path_segment_name))


@given(st.text(max_size=300))
def test_every_check_takes_any_text(text: str) -> None:
    for check, _, _ in GOOD_AND_BAD:
        check(text)


def test_texts() -> None:
    assert formats.dns_label("A") == [
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
        "start and "
        "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ]
    assert formats.dns_label("a.b") == ["must not contain dots"]
    assert formats.dns_label("a" * 64) == ["must be no more than 63 characters"]
    assert formats.label_value("a" * 64) == ["must be no more than 63 bytes"]
    assert formats.port_number(0) == ["must be between 1 and 65535, inclusive"]


def test_a_name_prefix_may_end_in_a_dash() -> None:
    assert formats.name_problems("subdomain", "web-", prefix=True) == []
    assert formats.name_problems("subdomain", "web-") != []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", '"x"'),
        ('a"b\\', '"a\\"b\\\\"'),
        ("a\n\t\x01\x7f", '"a\\n\\t\\x01\\x7f"'),
        ("é", '"é"'),
        ("\u200b\U0010ffff", '"\\u200b\\U0010ffff"'),
    ],
)
def test_quote(value: str, text: str) -> None:
    assert gotext.quote(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-1, "-1"),
        (None, "null"),
        ("x", '"x"'),
        ({"b": 1, "a": ["<"]}, '{"a":["\\u003c"],"b":1}'),
        ((), "[]"),
    ],
)
def test_bad_values(value: object, text: str) -> None:
    assert gotext.bad_value(value) == text


def test_display() -> None:
    assert gotext.display({"b": [1, None, "x"], "a": {"t": True}}) == "map[a:map[t:true] b:[1 <nil> x]]"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (validation.required("p"), "p: Required value"),
        (validation.required("p", "why"), "p: Required value: why"),
        (validation.invalid("p", "x", "why"), 'p: Invalid value: "x": why'),
        (
            validation.not_supported("p", "x", ("a", "b")),
            'p: Unsupported value: "x": supported values: "a", "b"',
        ),
        (validation.forbidden("p", "why"), "p: Forbidden: why"),
        (validation.duplicate("p", "x"), 'p: Duplicate value: "x"'),
        (validation.not_found("p", "x"), 'p: Not found: "x"'),
        (validation.too_long("p", 3), "p: Too long: may not be more than 3 bytes"),
        (validation.too_many("p", 2, 1), "p: Too many: 2: must have at most 1 item"),
    ],
)
def test_field_errors(error: FieldError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("text", ["10.0.0.1", "::1", "2001:db8::1"])
def test_addresses(text: str) -> None:
    assert validation.ip("p", text) == []
    assert validation.ip_legacy("p", text) == []


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("010.0.0.1", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("2001:0db8::1", 'must be in canonical form ("2001:db8::1")'),
        ("10.0.0", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_bad_addresses(text: str, detail: str) -> None:
    assert [str(e) for e in validation.ip("p", text)] == [f'p: Invalid value: "{text}": {detail}']


def test_ranges() -> None:
    assert validation.cidr_legacy("p", "10.0.0.0/8") == []
    assert validation.cidr_legacy("p", "10.0.0.1/8") != []
    assert validation.cidr_legacy("p", "10.0.0.0") != []
    assert validation.cidr_legacy("p", "10.0.0.0/33") != []
