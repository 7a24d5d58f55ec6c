"""Label and field selectors: parse what clients write, match what is stored.

The API server parses `labelSelector` and `fieldSelector` of lists and watches with `parse_labels` and
`parse_fields`; controllers and the scheduler turn the LabelSelector of an object into a matcher with
`from_label_selector`. A text that cannot be understood raises BadRequest with the words of
k8s.io/apimachinery `pkg/labels` and `pkg/fields`.

    app=web,tier!=cache,env in (prod,test),track notin (beta),owner,!legacy,cpus>4     labels
    spec.nodeName=n1,status.phase!=Running,involvedObject.name=a\\,b                    fields
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from kijabi.api.formats import label_value, qualified_name
from kijabi.api.gotext import quote, read_int
from kijabi.api.resource import FieldError, Resource
from kijabi.api.validation import aggregate, invalid
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.meta import LabelSelector

Operator = Literal["=", "==", "!=", "in", "notin", "exists", "!", "gt", "lt"]
_SIGNS: dict[str, Operator] = {
    "=": "=",
    "==": "==",
    "!=": "!=",
    "in": "in",
    "notin": "notin",
    ">": "gt",
    "<": "lt",
}
_WORDS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


Test = Callable[[Mapping[str, str]], bool]


class Requirement(msgspec.Struct, frozen=True):
    """One condition on one label. Build with `requirement`, which checks it."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet this condition."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "gt" | "lt":
                have, bound = read_int(value), read_int(next(iter(self.values)))
                if have is None or bound is None:
                    return False
                return have > bound if self.operator == "gt" else have < bound

    def test(self) -> Test:
        """`matches` as a function of its own, for one that is asked about many objects."""
        key, values = self.key, self.values
        match self.operator:
            case "=" | "==" | "in" if len(values) == 1:
                (wanted,) = values
                return lambda labels: labels.get(key) == wanted
            case "=" | "==" | "in":
                return lambda labels: labels.get(key) in values
            case "!=" | "notin":
                return lambda labels: labels.get(key) not in values
            case "exists":
                return lambda labels: key in labels
            case "!":
                return lambda labels: key not in labels
            case _:
                return self.matches

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({values})"
            case "gt":
                return f"{self.key}>{values}"
            case "lt":
                return f"{self.key}<{values}"
            case "=" | "==" | "!=":
                return f"{self.key}{self.operator}{values}"


class Selector(msgspec.Struct, frozen=True):
    """All of some requirements. Empty, it matches everything; `NOTHING` matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet every requirement."""
        if self.nothing:
            return False
        return all(requirement.matches(labels) for requirement in self.requirements)

    def test(self) -> Test:
        """`matches` as a function of its own, for one that is asked about many objects."""
        if self.nothing or not self.requirements:
            return self.matches
        first, *others = (requirement.test() for requirement in self.requirements)
        return (lambda labels: first(labels) and all(test(labels) for test in others)) if others else first

    @property
    def everything(self) -> bool:
        """Whether it restricts nothing."""
        return not self.nothing and not self.requirements

    def exact(self, key: str) -> str | None:
        """The one value that it demands of a label, None if there is no such one."""
        for requirement in self.requirements:
            if requirement.key == key:
                single = requirement.operator in ("=", "==", "in") and len(requirement.values) == 1
                return next(iter(requirement.values)) if single else None
        return None

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def requirement(key: str, operator: Operator, values: Iterable[str] = ()) -> Requirement:
    """A checked condition; raises BadRequest if key, operator and values do not go together."""
    given = tuple(values)
    problems: list[FieldError] = []
    wrong = "; ".join(qualified_name(key))
    if wrong:
        problems.append(invalid("key", key, wrong))
    if operator in ("in", "notin") and not given:
        problems.append(invalid("values", given, "for 'in', 'notin' operators, values set can't be empty"))
    elif operator in ("=", "==", "!=") and len(given) != 1:
        problems.append(invalid("values", given, "exact-match compatibility requires one single value"))
    elif operator in ("exists", "!") and given:
        problems.append(invalid("values", given, "values set must be empty for exists and does not exist"))
    elif operator in ("gt", "lt"):
        if len(given) != 1:
            problems.append(invalid("values", given, "for 'Gt', 'Lt' operators, exactly one value is required"))
        for index, value in enumerate(given):
            if read_int(value) is None:
                detail = "for 'Gt', 'Lt' operators, the value must be an integer"
                problems.append(invalid(f"values[{index}]", value, detail))
    for index, value in enumerate(given):
        wrong = "; ".join(label_value(value))
        if wrong:
            problems.append(invalid(f"values[{index}][{key}]", value, wrong))
    if problems:
        raise BadRequest(aggregate(problems))
    return Requirement(key, operator, frozenset(given))


def from_labels(labels: Mapping[str, str]) -> Selector:
    """The selector that demands exactly these labels (a Service's `spec.selector`); unchecked, empty is
    everything."""
    return Selector(tuple(Requirement(key, "=", frozenset((labels[key],))) for key in sorted(labels)))


def from_label_selector(selector: LabelSelector | None) -> Selector:
    """The matcher of an object's LabelSelector: None matches nothing, an empty one everything."""
    if selector is None:
        return NOTHING
    found = [requirement(key, "=", (value,)) for key, value in selector.matchLabels.items()]
    for term in selector.matchExpressions:
        operator = _WORDS.get(term.operator)
        if operator is None:
            raise BadRequest(f"{quote(term.operator)} is not a valid label selector operator")
        found.append(requirement(term.key, operator, term.values))
    return Selector(tuple(sorted(found, key=lambda each: each.key)))


# The words of a label selector: operators and brackets, names and values, and what ends the text.
_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^=!(),<> \t\r\n\0]+|\0|\Z)")
_PUNCTUATION = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_END = ""


def parse_labels(text: str) -> Selector:
    """The selector that a text says; empty text selects everything. Raises BadRequest."""
    if not text.strip(" \t\r\n"):
        return EVERYTHING
    return _LabelParser(text).parse()


class _LabelParser:
    """Recursive descent over the words, as k8s.io/apimachinery `pkg/labels` does it, with its texts."""

    def __init__(self, text: str) -> None:
        self.words = _words(text)
        self.at = 0

    def peek(self) -> str:
        return self.words[min(self.at, len(self.words) - 1)]

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def parse(self) -> Selector:
        found: list[Requirement] = []
        while True:
            word = self.peek()
            if word == _END:
                break
            if word in _PUNCTUATION and word != "!":
                raise BadRequest(f"found '{word}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self.requirement())
            except BadRequest as error:
                raise BadRequest(f"unable to parse requirement: {error.message}") from None
            word = self.take()
            if word == _END:
                break
            if word != ",":
                raise BadRequest(f"found '{word}', expected: ',' or 'end of string'")
            following = self.peek()
            if following == _END or (following in _PUNCTUATION and following != "!"):
                raise BadRequest(f"found '{following}', expected: identifier after ','")
        return Selector(tuple(sorted(found, key=lambda each: each.key)))

    def requirement(self) -> Requirement:
        key = self.take()
        negated = key == "!"
        if negated:
            key = self.take()
        if key == _END or key in _PUNCTUATION:
            raise BadRequest(f"found '{key}', expected: identifier")
        wrong = "; ".join(qualified_name(key))
        if wrong:
            raise BadRequest(f"<nil>: {invalid('', key, wrong).message}")
        if negated:
            return requirement(key, "!")
        if self.peek() in (_END, ","):
            return requirement(key, "exists")
        sign = self.take()
        operator = _SIGNS.get(sign)
        if operator is None:
            raise BadRequest(f"found '{sign}', expected: in, notin, =, ==, !=, gt, lt")
        values = self.value_list() if operator in ("in", "notin") else {self.value()}
        return requirement(key, operator, sorted(values))

    def value(self) -> str:
        word = self.peek()
        if word in (_END, ","):
            return ""
        self.at += 1
        if word in _PUNCTUATION:
            raise BadRequest(f"found '{word}', expected: identifier")
        return word

    def value_list(self) -> set[str]:
        word = self.take()
        if word != "(":
            raise BadRequest(f"found '{word}' expected: '('")
        word = self.peek()
        if word == ")":
            self.at += 1
            return {""}
        if word == _END or (word in _PUNCTUATION and word != ","):
            raise BadRequest(f"found '{word}', expected: ',', ')' or identifier")
        values: set[str] = set()
        while True:
            word = self.take()
            following = self.peek()
            if word == ",":
                # An empty place, as in "(,a)", "(a,,b)" and "(a,)", stands for the empty value.
                if not values or following in (",", ")"):
                    values.add("")
            elif word == _END or word in _PUNCTUATION:
                raise BadRequest(f"found '{word}', expected: ',', or identifier")
            else:
                values.add(word)
                if following not in (",", ")"):
                    raise BadRequest(f"found '{following}', expected: ',' or ')'")
            if following == ")":
                self.at += 1
                return values


def _words(text: str) -> list[str]:
    words: list[str] = []
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        word = match.group(1) if match else _END
        position = match.end() if match else len(text)
        if word in (_END, "\0"):
            return [*words, _END]
        words.append(word)


# Field selectors


class FieldTerm(msgspec.Struct, frozen=True):
    """One condition: the field equals the value, or (equal False) does not."""

    field: str
    value: str
    equal: bool = True

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
        return f"{self.field}{'=' if self.equal else '!='}{escaped}"


class FieldSelector(msgspec.Struct, frozen=True):
    """All of some conditions on fields; without any it matches everything."""

    terms: tuple[FieldTerm, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether it restricts nothing."""
        return not self.terms

    def exact(self, field: str) -> str | None:
        """The value that it demands of a field, None if there is none."""
        return next((term.value for term in self.terms if term.equal and term.field == field), None)

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the fields meet every condition; a field that is not there is empty."""
        return all((fields.get(term.field, "") == term.value) == term.equal for term in self.terms)

    def predicate(self, resource: Resource) -> Callable[[Any], bool]:
        """The test for objects of a resource. Raises BadRequest for a field that it cannot select by."""
        readers: dict[str, Callable[[Any], str]] = {
            "metadata.name": lambda obj: str(obj.metadata.name),
            "metadata.namespace": lambda obj: str(obj.metadata.namespace),
            **dict(resource.fields),
        }
        if (resource.fields or resource.custom) and not resource.namespaced:
            del readers["metadata.namespace"]
        tests: list[tuple[Callable[[Any], str], str, bool]] = []
        for term in self.terms:
            if not term.field and not term.value:
                continue
            reader = readers.get(term.field)
            if reader is None:
                raise BadRequest(_unknown_field(resource, term.field))
            tests.append((reader, term.value, term.equal))
        return lambda obj: all((reader(obj) == value) == equal for reader, value, equal in tests)

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.terms)


def _unknown_field(resource: Resource, field: str) -> str:
    if resource.fields and resource.group == "batch":
        return f"field label {quote(field)} not supported for {resource.kind}"
    if resource.fields and resource.group == "resource.k8s.io":
        return f"field label not supported for {resource.api_version}, Kind={resource.kind}: {field}"
    if resource.fields or resource.custom:
        return f"field label not supported: {field}"
    return f'{quote(field)} is not a known field selector: only "metadata.name", "metadata.namespace"'


def parse_fields(text: str) -> FieldSelector:
    """The field selector that a text says; empty text selects everything. Raises BadRequest."""
    terms: list[FieldTerm] = []
    for part in sorted(_split_unescaped(text)):
        if not part:
            continue
        match = re.search("!=|==|=", part)
        if match is None:
            raise BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        value = _unescape(part[match.end() :])
        terms.append(FieldTerm(part[: match.start()], value, match.group() != "!="))
    return FieldSelector(tuple(terms))


def _split_unescaped(text: str) -> list[str]:
    """The parts between commas that no backslash escapes."""
    parts, start, escaped = [], 0, False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _unescape(text: str) -> str:
    plain, escaped = [], False
    for char in text:
        if escaped:
            if char not in "\\,=":
                raise BadRequest(f"invalid field selector: invalid escape sequence: \\{char}")
            plain.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            # Go prints the rune as its number here.
            raise BadRequest(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            plain.append(char)
    if escaped:
        raise BadRequest("invalid field selector: invalid escape sequence: \\")
    return "".join(plain)
