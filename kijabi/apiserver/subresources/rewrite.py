"""Makes links lead back through the proxy: redirects and HTML of what stands behind it.

`proxy.py` gives it a Location header or an HTML page. Only links to the proxied host itself that start at its root are
changed; which attributes are links follows k8s.io/apimachinery `pkg/util/proxy/transport.go`.
"""

from __future__ import annotations

import gzip
import html
import re
import zlib
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from kijabi.apiserver.subresources.backend import Address, Exchange
from kijabi.client.transport import Request

MAX_HTML = 16 * 1024 * 1024  # bytes of a page that is rewritten; what is longer is cut there
_ATTRIBUTES = {
    "href": ("a", "area", "base", "link"),
    "src": ("audio", "embed", "frame", "iframe", "img", "input", "script", "source", "video"),
    "cite": ("blockquote", "del", "ins", "q"),
    "longdesc": ("frame", "iframe", "img"),
    "usemap": ("img", "input", "object"),
    "formaction": ("button", "input"),
    "codebase": ("applet", "object"),
    "action": ("form",),
    "background": ("body",),
    "icon": ("command",),
    "profile": ("head",),
    "manifest": ("html",),
    "classid": ("object",),
    "data": ("object",),
    "poster": ("video",),
}
_TAG = re.compile(rb"<([a-zA-Z]+)(\s[^<>]*)>")
_ATTRIBUTE = re.compile(rb"""([a-zA-Z]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")


class Links(NamedTuple):
    """How links of one proxied request change. prefix: the path in front of the proxied one; host: as the client
    called the API server; backend: the proxied host."""

    prefix: str
    path: str
    host: str
    backend: str

    @classmethod
    def of(cls, request: Request, path: str, address: Address) -> Links:
        """path: the proxied part of the request's path."""
        prefix = request.path.removesuffix(path) if path else request.path
        return cls(prefix.rstrip("/"), path, request.headers.get("host", ""), str(address))

    def headers(self) -> list[tuple[str, str]]:
        """What tells the backend under which URL its client sees it."""
        return [("X-Forwarded-Uri", quote(self.prefix + self.path))]

    def rewrite(self, link: str) -> str:
        """A link that leads through the proxy, where this one leads past it."""
        try:
            url = urlsplit(link)
        except ValueError:
            return link
        if url.netloc and url.netloc not in (self.backend, self.host):
            return link
        if not url.path.startswith("/"):
            return link
        path = url.path if url.path.startswith(self.prefix) else self.prefix + url.path
        same = url.netloc == self.host
        scheme, host = (url.scheme, url.netloc) if same else ("", "")
        return urlunsplit(SplitResult(scheme, host, path, url.query, url.fragment))

    def applies(self, found: Exchange) -> bool:
        """Is the answer an HTML page that can be read here?"""
        media = found.header("content-type").partition(";")[0].strip().lower()
        return media == "text/html" and found.header("content-encoding") in ("", "gzip", "deflate")

    def rewrite_html(self, page: bytes, encoding: str = "") -> bytes:
        """A page with its links rewritten, in the same content encoding."""
        try:
            text = _decode(page, encoding)
        except (OSError, zlib.error, EOFError):
            return page
        return _encode(_TAG.sub(self._tag, text), encoding)

    def _tag(self, match: re.Match[bytes]) -> bytes:
        name = match[1].decode("ascii").lower()

        def attribute(found: re.Match[bytes]) -> bytes:
            if name not in _ATTRIBUTES.get(found[1].decode("ascii").lower(), ()):
                return found[0]
            value = found[3]
            mark = value[:1] if value[:1] in (b'"', b"'") else b'"'
            link = html.unescape(value.strip(mark).decode("utf-8", "surrogateescape"))
            changed = html.escape(self.rewrite(link), quote=True).encode("utf-8", "surrogateescape")
            return found[1] + found[2] + b'"' + changed + b'"'

        return b"<" + match[1] + _ATTRIBUTE.sub(attribute, match[2]) + b">"


def _decode(page: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        plain = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif encoding == "deflate":
        plain = zlib.decompressobj(-zlib.MAX_WBITS)
    else:
        return page
    return plain.decompress(page, MAX_HTML)


def _encode(page: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(page)
    if encoding == "deflate":
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(page) + packer.flush()
    return page
