"""Formats of text that the API asks for: names, labels, keys, ports, percentages.

Each check takes the bare text and gives the list of what is wrong with it, in upstream's words
(k8s.io/apimachinery `pkg/util/validation`, `pkg/api/validate/content`); an empty list is good. Everything is
pure. `api/validation.py` turns problems into FieldErrors; `api/selector.py` and the registry use the checks
as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

SUBDOMAIN_LIMIT = 253
LABEL_LIMIT = 63

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD = rf"\*\.{_SUBDOMAIN}"
_LABEL1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_NAME_PART})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PERCENT = "[0-9]+%"
_HEADER = "[-A-Za-z0-9]+"
_ALL = (
    _LABEL,
    _SUBDOMAIN,
    _WILDCARD,
    _LABEL1035,
    _NAME_PART,
    _LABEL_VALUE,
    _CONFIG_KEY,
    _C_IDENTIFIER,
    _PERCENT,
    _HEADER,
)
_RE = {regex: re.compile(regex) for regex in _ALL}


def size(text: str) -> int:
    """Bytes of the text in UTF-8, which is what Go counts."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def regex_problem(message: str, regex: str, *examples: str) -> str:
    """`message (e.g. 'a',  or 'b', regex used for validation is '…')`, blanks as upstream writes them."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{message} ({'e.g. ' if shown else ''}{shown}regex used for validation is '{regex}')"


def _matches(regex: str, text: str) -> bool:
    return _RE[regex].fullmatch(text) is not None


def max_length(limit: int) -> str:
    """The problem of a text of more than `limit` characters."""
    return f"must be no more than {limit} characters"


def in_range(value: int, low: int, high: int) -> list[str]:
    """Problems of a number outside low..high, both allowed."""
    return [] if low <= value <= high else [f"must be between {low} and {high}, inclusive"]


def port_number(value: int) -> list[str]:
    """Problems of a port number, 1 to 65535."""
    return in_range(value, 1, 65535)


def dns_label(text: str) -> list[str]:
    """Problems of a lowercase RFC 1123 label: at most 63 characters, no dots."""
    problems = [max_length(LABEL_LIMIT)] if size(text) > LABEL_LIMIT else []
    if not _matches(_LABEL, text):
        if _matches(_SUBDOMAIN, text):
            return [*problems, "must not contain dots"]
        message = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
            "start and end with an alphanumeric character"
        )
        problems.append(regex_problem(message, _LABEL, "my-name", "123-abc"))
    return problems


def dns_subdomain(text: str) -> list[str]:
    """Problems of a lowercase RFC 1123 subdomain: labels joined by dots, at most 253 characters."""
    problems = [max_length(SUBDOMAIN_LIMIT)] if size(text) > SUBDOMAIN_LIMIT else []
    if not _matches(_SUBDOMAIN, text):
        message = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and "
            "must start and end with an alphanumeric character"
        )
        problems.append(regex_problem(message, _SUBDOMAIN, "example.com"))
    return problems


def wildcard_subdomain(text: str) -> list[str]:
    """Problems of a domain name that stands for all below it: `*.example.com`."""
    found = [max_length(SUBDOMAIN_LIMIT)] if size(text) > SUBDOMAIN_LIMIT else []
    if not _matches(_WILDCARD, text):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        found.append(regex_problem(rule, _WILDCARD, "*.example.com"))
    return found


def dns1035_label(text: str) -> list[str]:
    """Problems of an RFC 1035 label: as RFC 1123, but it starts with a letter."""
    problems = [max_length(LABEL_LIMIT)] if size(text) > LABEL_LIMIT else []
    if not _matches(_LABEL1035, text):
        message = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
            "alphabetic character, and end with an alphanumeric character"
        )
        problems.append(regex_problem(message, _LABEL1035, "my-name", "abc-123"))
    return problems


def path_segment_name(text: str) -> list[str]:
    """Problems of a name that must be one segment of a URL path, as RBAC names are."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{bad}'" for bad in "/%" if bad in text]


def qualified_name(text: str) -> list[str]:
    """Problems of a label key: `name` or `example.com/name`."""
    message = (
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character"
    )
    wrong = regex_problem(message, _NAME_PART, "MyName", "my.name", "123-abc")
    prefix, slash, name = text.partition("/")
    problems: list[str] = []
    if not slash:
        name = prefix
    elif "/" in name:
        with_prefix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {wrong} {with_prefix}"]
    elif not prefix:
        problems.append("prefix part must be non-empty")
    else:
        problems += [
            f"prefix part {problem}".replace("no more than 253 characters", "no more than 253 bytes")
            for problem in dns_subdomain(prefix)
        ]
    if not name:
        problems.append("name part must be non-empty")
    elif size(name) > LABEL_LIMIT:
        problems.append(f"name part must be no more than {LABEL_LIMIT} bytes")
    if not _matches(_NAME_PART, name):
        problems.append(f"name part {wrong}")
    return problems


def label_value(text: str) -> list[str]:
    """Problems of a label's value: empty, or at most 63 bytes of letters, digits, `-`, `_` and `.`."""
    problems = [f"must be no more than {LABEL_LIMIT} bytes"] if size(text) > LABEL_LIMIT else []
    if not _matches(_LABEL_VALUE, text):
        message = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and "
            "must start and end with an alphanumeric character"
        )
        problems.append(regex_problem(message, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return problems


def _dots(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"must not be '{text}'"]
    return ["must not start with '..'"] if text.startswith("..") else []


def config_key(text: str) -> list[str]:
    """Problems of a key of a ConfigMap or Secret, which becomes a file name."""
    problems = [max_length(SUBDOMAIN_LIMIT)] if size(text) > SUBDOMAIN_LIMIT else []
    if not _matches(_CONFIG_KEY, text):
        message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        problems.append(regex_problem(message, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return problems + _dots(text)


def env_name(text: str) -> list[str]:
    """Problems of an environment variable's name: printable ASCII but `=` (KEP-4369, relaxed names)."""
    problems = [] if text else ["environment variable name must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in text):
        problems.append(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
    return problems


def c_identifier(text: str) -> list[str]:
    """Problems of an identifier in C."""
    if _matches(_C_IDENTIFIER, text):
        return []
    message = (
        "a valid C identifier must start with alphabetic character or '_', followed by a string of "
        "alphanumeric characters or '_'"
    )
    return [regex_problem(message, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def http_header_name(text: str) -> list[str]:
    """Problems of the name of an HTTP header."""
    if _matches(_HEADER, text):
        return []
    message = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [regex_problem(message, _HEADER, "X-Header-Name")]


def percent(text: str) -> list[str]:
    """Problems of a percentage such as `25%`."""
    if _matches(_PERCENT, text):
        return []
    message = "a valid percent string must be a numeric string followed by an ending '%'"
    return [regex_problem(message, _PERCENT, "1%", "93%")]


def port_name(text: str) -> list[str]:
    """Problems of a port's name (IANA service name, RFC 6335, lower case only)."""
    problems = [max_length(15)] if size(text) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


NAME_RULES: Mapping[str, Callable[[str], list[str]]] = {
    "subdomain": dns_subdomain,
    "label": dns_label,
    "label1035": dns1035_label,
    "path": path_segment_name,
    "none": lambda _: [],
}


def name_problems(rule: str, name: str, *, prefix: bool = False) -> list[str]:
    """Problems of an object's name by its resource's `name_rule`; prefix: it is a generateName."""
    if prefix and rule != "path" and len(name) > 1 and name.endswith("-"):
        name = name[:-2] + "a"
    if prefix and rule == "path" and name in (".", ".."):
        return []
    return NAME_RULES[rule](name)
