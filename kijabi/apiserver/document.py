"""A document that many fetch and few changes touch: its bytes, its ETag, and its compressed form once asked for.

Discovery and OpenAPI answer with it. Conditional requests follow RFC 9110 (13.1.2); large documents are compressed a
slice at a time, so that other requests are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib

from kijabi.apiserver import negotiate
from kijabi.client.transport import Request, Response

SLICE = 256 * 1024  # bytes that are compressed between two looks at everything else
_GZIP = 31  # zlib's window bits for the gzip format


class Document:
    """digest: what the ETag says, by default the upper-case SHA-512 of the body."""

    __slots__ = ("_packed", "body", "digest")

    def __init__(self, body: bytes, digest: str = "") -> None:
        self.body = body
        self.digest = digest or hashlib.sha512(body).hexdigest().upper()
        self._packed = b""

    @property
    def etag(self) -> str:
        """The digest in quotes."""
        return f'"{self.digest}"'

    async def respond(self, request: Request, headers: dict[str, str]) -> Response:
        """The answer to a request: 304 for a client that has it, else the document, compressed if that helps."""
        headers = {**headers, "ETag": self.etag}
        if has(request, self.etag):
            return Response(status=304, headers=headers)
        if len(self.body) <= negotiate.GZIP_THRESHOLD or not negotiate.takes_gzip(request):
            return Response(headers=headers, body=self.body)
        if not self._packed:
            self._packed = await pack(self.body)
        vary = headers.get("Vary")
        headers |= {"Content-Encoding": "gzip", "Vary": f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"}
        return Response(headers=headers, body=self._packed)


def has(request: Request, etag: str) -> bool:
    """Whether the client says that it has the document with this ETag."""
    given = request.headers.get("if-none-match", "")
    return bool(given) and any(each.strip().removeprefix("W/") in (etag, "*") for each in given.split(","))


async def pack(body: bytes) -> bytes:
    """Compress by gzip, in slices."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    parts = []
    for start in range(0, len(body), SLICE):
        parts.append(packer.compress(body[start : start + SLICE]))
        await asyncio.sleep(0)
    return b"".join((*parts, packer.flush()))
