"""Named formats of text: `format.dns1123Label().validate('a_b')` gives what is wrong with it, or nothing.

The checks are those of `api/formats.py` (names of objects, labels) and of schema formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from kijabi.api import formats, gourl
from kijabi.api.apiextensions.stringformats import FORMATS
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import NONE, Optional


class Format:
    """A format. regex_size: the length of a pattern that would check as much, for the cost."""

    __slots__ = ("name", "problems", "regex_size")
    cel_type: ClassVar[Type] = NAMED["Format"]

    def __init__(self, name: str, problems: Callable[[str], Sequence[str]], regex_size: int) -> None:
        self.name = name
        self.problems = problems
        self.regex_size = regex_size

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same format."""
        if not isinstance(other, Format):
            raise CelError("no such overload")
        return self.name == other.name


def _name(rule: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    """The check of a generateName: what is put behind it may follow a dash."""
    return lambda text: rule(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)


def _schema(format_: str, message: str) -> Callable[[str], Sequence[str]]:
    check = FORMATS[format_]
    return lambda text: () if check(text) else (message,)


def _uri(text: str) -> Sequence[str]:
    try:
        gourl.parse(text, request=True)
    except gourl.UrlError as error:
        return (str(error),)
    return ()


_KNOWN = {
    "dns1123Label": Format("DNS1123Label", formats.dns_label, 30),
    "dns1123Subdomain": Format("DNS1123Subdomain", formats.dns_subdomain, 60),
    "dns1035Label": Format("DNS1035Label", formats.dns1035_label, 30),
    "qualifiedName": Format("QualifiedName", formats.qualified_name, 60),
    "dns1123LabelPrefix": Format("DNS1123LabelPrefix", _name(formats.dns_label), 30),
    "dns1123SubdomainPrefix": Format("DNS1123SubdomainPrefix", _name(formats.dns_subdomain), 60),
    "dns1035LabelPrefix": Format("DNS1035LabelPrefix", _name(formats.dns1035_label), 30),
    "labelValue": Format("LabelValue", formats.label_value, 40),
    "uri": Format("URI", _uri, 1103),
    "uuid": Format("uuid", _schema("uuid", "does not match the UUID format"), 70),
    "byte": Format("byte", _schema("byte", "invalid base64"), 84),
    "date": Format("date", _schema("date", "invalid date"), 71),
    "datetime": Format("datetime", _schema("datetime", "invalid datetime"), 71),
}


def _named(name: str) -> Optional:
    found = _KNOWN.get(name)
    return NONE if found is None else Optional(found)


def _validate(one: Format, text: str) -> Optional:
    problems = list(one.problems(text))
    return Optional(problems) if problems else NONE


def _constant(one: Format) -> Callable[[], Format]:
    return lambda: one


LIBRARY = (
    *(Overload(f"format.{name}", f"format.{name}() -> Format", _constant(one)) for name, one in _KNOWN.items()),
    Overload("format-validate", "Format.validate(string) -> optional(list(string))", _validate),
    Overload("format-named", "format.named(string) -> optional(Format)", _named),
)
