"""URLs as values: `url('https://a/b?c=d').getHost()`, `isURL`. Parsed as Go's net/url parses them (`api/gourl.py`)."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import quote, unquote_plus

from kijabi.api import gourl
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type

_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


class Url:
    """A URL. text: as it was given."""

    __slots__ = ("parts", "text")
    cel_type: ClassVar[Type] = NAMED["URL"]

    def __init__(self, text: str, parts: gourl.GoUrl) -> None:
        self.text = text
        self.parts = parts

    def cel_equals(self, other: Any) -> bool:
        """Whether the parts are the same."""
        if not isinstance(other, Url):
            raise CelError("no such overload")
        return self.parts == other.parts


def _url(text: str) -> Url:
    try:
        gourl.parse(text, request=True)
        return Url(text, gourl.parse(text))
    except gourl.UrlError as error:
        raise CelError(f"URL parse error during conversion from string: {error}") from None


def _is_url(text: str) -> bool:
    try:
        gourl.parse(text, request=True)
    except gourl.UrlError:
        return False
    return True


def _host(one: Url) -> tuple[str, str]:
    """Host without brackets, and port."""
    host = one.parts.host
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        name, port = host, ""
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name, port


def _escaped_path(one: Url) -> str:
    return quote(one.parts.path, safe="/%:@!$&'()*+,;=~-._[]" if "%" in one.parts.path else "/:@!$&'()*+,;=~-._[]")


def _query(one: Url) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in one.parts.query.split("&"):
        key, _, value = part.partition("=")
        if part and ";" not in part and not _BROKEN_ESCAPE.search(part):
            found.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return found


LIBRARY = (
    Overload("string_to_url", "url(string) -> URL", _url),
    Overload("url_get_scheme", "URL.getScheme() -> string", lambda one: one.parts.scheme),
    Overload("url_get_host", "URL.getHost() -> string", lambda one: one.parts.host),
    Overload("url_get_hostname", "URL.getHostname() -> string", lambda one: _host(one)[0]),
    Overload("url_get_port", "URL.getPort() -> string", lambda one: _host(one)[1]),
    Overload("url_get_escaped_path", "URL.getEscapedPath() -> string", _escaped_path),
    Overload("url_get_query", "URL.getQuery() -> map(string, list(string))", _query),
    Overload("is_url_string", "isURL(string) -> bool", _is_url),
)
