"""Content negotiation: what form the client accepts, and what form its body has.

`server.py` asks here once for each request; results are remembered by header text, since clients send few different
ones. The rules are those of k8s.io/apiserver `pkg/endpoints/handlers/negotiation`.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from kijabi.base.errors import NotAcceptable, UnsupportedMediaType
from kijabi.client.transport import Request, Response

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
SUPPORTED = (JSON, YAML, PROTOBUF)
STREAMED = (JSON, PROTOBUF)  # of watches: events in YAML could not be told apart
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
APPLY_PATCH = "application/apply-patch+yaml"  # its CBOR twin is alpha: clients go on with this one

MAX_ACCEPT = 4096  # characters of an Accept header that are looked at
GZIP_THRESHOLD = 128 * 1024  # bytes; smaller bodies go as they are (k8s.io/apiserver responsewriters)
_META_VERSIONS = ("v1", "v1beta1")
_PARTIAL = ("PartialObjectMetadata", "PartialObjectMetadataList")
_BROWSERS = ("curl", "Wget", "Mozilla/5.0")

# What answers: a stored resource, a custom one (no protobuf but of its metadata), aggregated discovery, anything else.
Endpoint = Literal["resource", "custom", "discovery", "plain"]


class Media(NamedTuple):
    """What to answer with. convert: "", Table, PartialObjectMetadata(List) or APIGroupDiscoveryList."""

    type: str = JSON
    convert: str = ""
    version: str = ""
    pretty: bool = False


class Clause(NamedTuple):
    """One alternative of an Accept header."""

    type: str
    subtype: str
    params: tuple[tuple[str, str], ...]


def parse_accept(header: str) -> list[Clause]:
    """The alternatives, best first: by q, then by place. Malformed ones are left out."""
    found: list[tuple[float, Clause]] = []
    for part in header[:MAX_ACCEPT].split(","):
        media, *rest = part.split(";")
        kind, slash, sub = media.strip().lower().partition("/")
        if not slash and kind == "*":
            sub = "*"
        elif not slash:
            continue
        quality = 1.0
        params: list[tuple[str, str]] = []
        for param in rest:
            name, _, value = param.strip().partition("=")
            if name == "q":
                quality = _quality(value)
            else:
                params.append((name, value.strip('"')))
        found.append((quality, Clause(kind, sub, tuple(params))))
    found.sort(key=lambda item: -item[0])
    return [clause for _, clause in found]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


@lru_cache(1024)
def _negotiate(header: str, endpoint: Endpoint) -> Media | None:
    if not header:
        return Media()
    for clause in parse_accept(header):
        for supported in SUPPORTED:
            kind, _, sub = supported.partition("/")
            if clause.type not in (kind, "*") or clause.subtype not in (sub, "*"):
                continue
            media = _allowed(supported, dict(clause.params), endpoint)
            if media is not None:
                return media
    return None


def _allowed(media: str, params: dict[str, str], endpoint: Endpoint) -> Media | None:
    """The Media if the endpoint can give this form, else None."""
    if params.get("stream", "") not in ("", "watch") or params.get("sv", "v1") not in ("", "v1"):
        return None
    pretty = params.get("pretty") == "1"
    kind = params.get("as", "")
    if not (kind or params.get("g") or params.get("v")):
        return Media(media, pretty=pretty) if media != PROTOBUF or endpoint != "custom" else None
    group, version = params.get("g", ""), params.get("v", "")
    if endpoint == "discovery":
        wanted = kind == "APIGroupDiscoveryList" and group == "apidiscovery.k8s.io"
        return Media(media, kind, version, pretty) if wanted and version in ("v2", "v2beta1") else None
    if endpoint == "plain" or group != "meta.k8s.io" or version not in _META_VERSIONS:
        return None
    known = kind in _PARTIAL or (kind == "Table" and media != PROTOBUF)
    return Media(media, kind, version, pretty) if known else None


def output(request: Request, endpoint: Endpoint = "resource", *, stream: bool = False) -> Media:
    """The form to answer in; stream: of a watch. Raises NotAcceptable when the client accepts none that there is."""
    media = _negotiate(request.headers.get("accept", ""), endpoint)
    if media is None or (stream and media.type not in STREAMED):
        there = [f"{each};stream=watch" for each in STREAMED] if stream and media is not None else SUPPORTED
        raise NotAcceptable(f"only the following media types are accepted: {', '.join(there)}")
    return media._replace(pretty=True) if not media.pretty and wants_pretty(request) else media


def of_failure(request: Request) -> Media:
    """The form to tell a failure in: one that the client accepts, or JSON."""
    media = _negotiate(request.headers.get("accept", ""), "plain") or Media()
    return media._replace(pretty=True) if not media.pretty and wants_pretty(request) else media


def wants_pretty(request: Request) -> bool:
    """Whether `?pretty` or a browser's or curl's User-Agent asks for indented JSON."""
    if request.query:
        value = request.param("pretty")
        if value:
            return parse_bool(value) is True
    return request.headers.get("user-agent", "").startswith(_BROWSERS)


def parse_bool(text: str) -> bool | None:
    """A query boolean as Go's strconv.ParseBool reads it; None if it is none."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    return None


@lru_cache(256)
def media_type(header: str) -> str:
    """The media type of a Content-Type header, lower case and without parameters."""
    return header.partition(";")[0].strip().lower()


def body_type(request: Request) -> str:
    """JSON, YAML or PROTOBUF; a body without Content-Type is JSON. Raises UnsupportedMediaType."""
    kind = media_type(request.headers.get("content-type", ""))
    if not kind:
        return JSON
    if kind not in SUPPORTED:
        raise unsupported(SUPPORTED)
    return kind


def unsupported(accepted: tuple[str, ...]) -> UnsupportedMediaType:
    """The error for a body type that nobody decodes, naming those that somebody does."""
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    )


def finish(request: Request, response: Response, pretty: bool = False) -> Response:
    """Indent JSON if asked for, and compress what is large if the client takes gzip."""
    if pretty and response.headers.get("Content-Type") == JSON:
        response.body = msgspec.json.format(response.body, indent=2) + b"\n"
    if len(response.body) > GZIP_THRESHOLD and takes_gzip(request):
        response.body = gzip.compress(response.body, compresslevel=1)
        response.headers["Content-Encoding"] = "gzip"
        vary = response.headers.get("Vary")
        response.headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
    return response


def takes_gzip(request: Request) -> bool:
    """Whether the client names gzip without conditions (`gzip;q=0` is none)."""
    return any(each.strip() == "gzip" for each in request.headers.get("accept-encoding", "").split(","))
