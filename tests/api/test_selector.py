"""Label and field selectors: the grammar, upstream's texts, and laws."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.api.meta import LabelSelector, LabelSelectorRequirement
from kijabi.api.resource import Resource
from kijabi.api.selector import (
    NOTHING,
    FieldSelector,
    FieldTerm,
    from_label_selector,
    from_labels,
    parse_fields,
    parse_labels,
)
from kijabi.api.struct import Struct
from kijabi.base.errors import BadRequest

MATCHES = [
    ("", {"a": "b"}, True),
    ("  ", {}, True),
    ("a=b", {"a": "b"}, True),
    ("a==b", {"a": "c"}, False),
    ("a=", {"a": ""}, True),
    ("a=", {}, False),
    ("a!=b", {"a": "c"}, True),
    ("a!=b", {}, True),
    ("a!=b", {"a": "b"}, False),
    ("a in (x, y)", {"a": "y"}, True),
    ("a in (x,y)", {}, False),
    ("a in (x,)", {"a": ""}, True),
    ("a in ()", {"a": ""}, True),
    ("a notin (x)", {"a": "y"}, True),
    ("a notin (x)", {}, True),
    ("a notin (x)", {"a": "x"}, False),
    ("a", {"a": "1"}, True),
    ("a", {}, False),
    ("!a", {}, True),
    ("!a", {"a": "1"}, False),
    ("a>4", {"a": "5"}, True),
    ("a>4", {"a": "4"}, False),
    ("a<4", {"a": "-3"}, True),
    ("a<4", {"a": "x"}, False),
    ("a,!b,c in (d)", {"a": "", "c": "d"}, True),
    ("a,!b,c in (d)", {"a": "", "b": "", "c": "d"}, False),
    ("in in (in,notin)", {"in": "in"}, True),
    ("example.com/app=web", {"example.com/app": "web"}, True),
]


@pytest.mark.parametrize(("text", "labels", "expected"), MATCHES)
def test_labels(text: str, labels: dict[str, str], expected: bool) -> None:
    selector = parse_labels(text)
    assert selector.matches(labels) is expected
    assert selector.test()(labels) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a=)", "unable to parse requirement: found ')', expected: identifier"),
        (
            "a>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the "
            "value "
            "must be an integer",
        ),
        (
            "/a",
            'unable to parse requirement: <nil>: Invalid value: "/a": prefix part must be non-empty',
        ),
        (
            "a=-",
            'unable to parse requirement: values[0][a]: Invalid value: "-": a valid label must be an empty '
            "string "
            "or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric "
            "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ],
)
def test_bad_labels_say_why(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_labels(text)
    assert caught.value.message == message


def label_selector(labels: dict[str, str], *terms: tuple[str, str, tuple[str, ...]]) -> LabelSelector:
    return LabelSelector(labels, tuple(LabelSelectorRequirement(*term) for term in terms))


def test_an_objects_selector() -> None:
    assert from_label_selector(None) is NOTHING
    assert not NOTHING.matches({})
    assert from_label_selector(label_selector({})).everything
    selector = from_label_selector(
        label_selector({"a": "b"}, ("c", "In", ("d", "e")), ("f", "DoesNotExist", ()), ("g", "Exists", ()))
    )
    assert str(selector) == "a=b,c in (d,e),!f,g"
    assert selector.matches({"a": "b", "c": "e", "g": ""})
    with pytest.raises(BadRequest, match='"Gt" is not a valid label selector operator'):
        from_label_selector(label_selector({}, ("a", "Gt", ("1",))))


names = st.from_regex(r"\A[a-z]([a-z0-9]{0,4})\Z").filter(lambda name: name not in ("in", "notin"))
labels = st.dictionaries(names, names, max_size=4)
terms = st.one_of(
    st.builds("{}={}".format, names, names),
    st.builds("{}!={}".format, names, names),
    st.builds("{} in ({})".format, names, st.lists(names, min_size=1, max_size=3).map(",".join)),
    st.builds("{} notin ({})".format, names, st.lists(names, min_size=1, max_size=3).map(",".join)),
    st.builds("{}".format, names),
    st.builds("!{}".format, names),
    st.builds("{}>{}".format, names, st.integers(0, 99)),
)
selectors = st.lists(terms, max_size=4).map(",".join)


@given(selectors, labels)
def test_printing_and_parsing_again_selects_the_same(text: str, have: dict[str, str]) -> None:
    selector = parse_labels(text)
    assert str(parse_labels(str(selector))) == str(selector)
    assert parse_labels(str(selector)).matches(have) == selector.matches(have) == selector.test()(have)


@given(selectors, selectors, labels)
def test_a_comma_is_and(left: str, right: str, have: dict[str, str]) -> None:
    both = ",".join(part for part in (left, right) if part)
    expected = parse_labels(left).matches(have) and parse_labels(right).matches(have)
    assert parse_labels(both).matches(have) == expected


@given(labels)
def test_labels_select_themselves(have: dict[str, str]) -> None:
    assert from_labels(have).matches(have)


@given(st.text(alphabet="ab=!(),<> \t\0in\\", max_size=12))
def test_any_text_parses_or_says_why(text: str) -> None:
    for parse in (parse_labels, parse_fields):
        try:
            parse(text)
        except BadRequest as error:
            assert error.message  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("", {}, True),
        ("spec.nodeName=n1", {"spec.nodeName": "n1"}, True),
        ("spec.nodeName==n1,status.phase!=Running", {"spec.nodeName": "n1"}, True),
        ("spec.nodeName!=n1", {"spec.nodeName": "n1"}, False),
        ("involvedObject.namespace=", {}, True),
        (r"a=x\,y\=z\\", {"a": r"x,y=z" + "\\"}, True),
        (",a=b,", {"a": "b"}, True),
    ],
)
def test_fields(text: str, fields: dict[str, str], expected: bool) -> None:
    assert parse_fields(text).matches(fields) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_bad_fields_say_why(text: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_fields(text)
    assert caught.value.message == message


@given(st.lists(st.builds(FieldTerm, names, st.text("ab,=\\", max_size=4), st.booleans()), max_size=4))
def test_fields_printed_parse_again(terms: list[FieldTerm]) -> None:
    again = parse_fields(str(FieldSelector(tuple(terms))))
    assert sorted(map(str, again.terms)) == sorted(map(str, terms))


def test_only_known_fields_select() -> None:
    pods = Resource(
        group="",
        version="v1",
        kind="Pod",
        plural="pods",
        type=Struct,
        fields=(("spec.nodeName", lambda o: o.node),),
    )
    maps = Resource(group="", version="v1", kind="ConfigMap", plural="configmaps", type=Struct)
    pod = types.SimpleNamespace(node="n1", metadata=types.SimpleNamespace(name="p", namespace="d"))
    assert parse_fields("spec.nodeName=n1,metadata.name=p").predicate(pods)(pod)
    assert not parse_fields("metadata.namespace!=d").predicate(maps)(pod)
    with pytest.raises(BadRequest, match=r"^field label not supported: spec.x$"):
        parse_fields("spec.x=1").predicate(pods)
    with pytest.raises(BadRequest, match=r'^"spec.x" is not a known field selector: only "metadata.name", "meta'):
        parse_fields("spec.x=1").predicate(maps)
