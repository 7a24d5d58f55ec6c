"""Continue tokens: where the next page of a list begins, and at which revision.

`reading.py` gives one with each page that is not the last, and reads those that come back. They are opaque to clients,
and may say anything when they come from one (k8s.io/apiserver `pkg/storage/continue.go`).
"""

from __future__ import annotations

import base64
import posixpath
import re

import msgspec

from kijabi.api import codec_slow
from kijabi.base.errors import BadRequest, Expired

LATEST = -1  # revision in a token that continues an expired list with the newest state
_VERSION = "meta.k8s.io/v1"
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]")
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    "modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


class ContinueExpired(Expired):
    """A list cannot go on as it began; `token` goes on with the newest state."""

    def __init__(self, start: str) -> None:
        super().__init__(_EXPIRED)
        self.token = make(LATEST, start)


class _Token(msgspec.Struct):
    v: str = ""
    rv: int = 0
    start: str = ""


_DECODER = msgspec.json.Decoder(_Token)


def make(revision: int, start: str) -> str:
    """The token of a page that begins with the first key >= `start`."""
    data = msgspec.json.encode(_Token(_VERSION, revision, start))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse(text: str) -> tuple[int, str]:
    """(revision, start key) of a token; a revision below 0 means the newest state. Raises BadRequest."""
    token = _decode(text)
    if token.v != _VERSION:
        raise _invalid(f"server does not recognize this encoded version {token.v}")
    if token.rv == 0:
        raise _invalid(f"incorrect encoded start resourceVersion (version {_VERSION})")
    if not token.start:
        raise _invalid(f"encoded start key empty (version {_VERSION})")
    start = token.start if token.start.startswith("/") else f"/{token.start}"
    if start.startswith("//") or posixpath.normpath(start) != start:
        raise _invalid(token.start)
    return token.rv, start[1:]


def _decode(text: str) -> _Token:
    foreign = _FOREIGN.search(text)
    if foreign is not None or len(text) % 4 == 1:
        place = foreign.start() if foreign is not None else len(text) - 1
        raise _invalid(f"illegal base64 data at input byte {place}")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError) as problem:
        told = codec_slow.syntax_problem(data)
        if not told and codec_slow.json_kind(data) != "object":
            told = f"json: cannot unmarshal {codec_slow.json_kind(data)} into Go value of type storage.continueToken"
        raise _invalid(told or str(problem)) from None


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"invalid continue token: continue key is not valid: {why}")
