"""URLs as Go's net/url parses them, with its error texts.

Rules of kinds that name a webhook and the formats of custom resources' schemas (`uri`) call `parse`; Python's own
`urlsplit` accepts far more. Pure.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

import msgspec

from kijabi.api.gotext import quote

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT = re.compile(r"(:[0-9]*)?")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HEX = re.compile(r"%[0-9a-fA-F]{2}")
_HOST_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~!$&'()*+,;=:[]<>\"")


class UrlError(ValueError):
    """The text is no URL; the text of the error is Go's (`parse "x": invalid URI for request`)."""


class GoUrl(msgspec.Struct, frozen=True):
    """The parts of a URL. user is None where there is no user information."""

    scheme: str = ""
    opaque: str = ""
    user: str | None = None
    host: str = ""
    path: str = ""
    query: str = ""
    fragment: str = ""


def parse(text: str, *, request: bool = False) -> GoUrl:
    """The parts of a URL. UrlError if it is none.

    request: as in the first line of an HTTP request (url.ParseRequestURI): absolute or a path, without a fragment.
    """
    plain, fragment = (text, "") if request else text.partition("#")[::2]
    try:
        url = _parse(plain, request)
    except UrlError as error:
        raise UrlError(f"parse {quote(plain)}: {error}") from None
    try:
        _check_escapes(fragment)
    except UrlError as error:
        raise UrlError(f"parse {quote(text)}: {error}") from None
    return msgspec.structs.replace(url, fragment=fragment) if fragment else url


def _parse(text: str, request: bool) -> GoUrl:
    if _CONTROL.search(text):
        raise UrlError("net/url: invalid control character in URL")
    if not text and request:
        raise UrlError("empty url")
    if text == "*":
        return GoUrl(path="*")
    if text.startswith(":"):
        raise UrlError("missing protocol scheme")
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    rest, _, query = (text[found.end() :] if found else text).partition("?")
    if not rest.startswith("/"):
        if scheme:
            return GoUrl(scheme=scheme, opaque=rest, query=query)
        if request:
            raise UrlError("invalid URI for request")
        if ":" in rest.partition("/")[0]:
            raise UrlError("first path segment in URL cannot contain colon")
    user, host = None, ""
    if (scheme or (not request and not rest.startswith("///"))) and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, host = _authority(scheme, authority)
        rest = slash + path
    _check_escapes(rest)
    return GoUrl(scheme=scheme, user=user, host=host, path=rest, query=query)


def _authority(scheme: str, authority: str) -> tuple[str | None, str]:
    user, at, host = authority.rpartition("@")
    _check_host(scheme, host)
    if not at:
        return None, host
    if not _USER.fullmatch(user):
        raise UrlError("net/url: invalid userinfo")
    _check_escapes(user)
    return user, host


def _check_host(scheme: str, host: str) -> None:
    bracket = host.rfind("[")
    if bracket > 0:
        raise UrlError("invalid IP-literal")
    if bracket == 0:
        end = host.rfind("]")
        if end < 0:
            raise UrlError("missing ']' in host")
        _check_port(host[end + 1 :])
        _check_literal(host[1:end])
        return
    first, last = host.find(":"), host.rfind(":")
    if first >= 0:
        _check_port(host[first if scheme in ("http", "https") else last :])
    _check_host_escapes(host)


def _check_port(text: str) -> None:
    if not _PORT.fullmatch(text):
        raise UrlError(f"invalid port {quote(text)} after host")


def _check_literal(text: str) -> None:
    """An IPv6 address in brackets, with a zone after `%25`."""
    address, _, zone = text.partition("%25")
    _check_host_escapes(address)
    try:
        IPv6Address(address)
    except AddressValueError:
        shown = f"{address}%{zone}" if zone else address
        raise UrlError(f"invalid host: ParseAddr({quote(shown)}): unable to parse IP") from None


def _check_host_escapes(text: str) -> None:
    """Only bytes beyond ASCII may be escaped in a host, and few others may be there."""
    _check_escapes(text)
    for at, char in enumerate(text):
        if char == "%":
            if text[at + 1] < "8" and text[at : at + 3] != "%25":
                raise UrlError(f"invalid URL escape {quote(text[at : at + 3])}")
        elif char < "\x80" and char not in _HOST_CHARS:
            raise UrlError(f"invalid character {quote(char)} in host name")


def _check_escapes(text: str) -> None:
    at = text.find("%")
    while at >= 0:
        if not _HEX.match(text, at):
            raise UrlError(f"invalid URL escape {quote(text[at : at + 3])}")
        at = text.find("%", at + 1)
