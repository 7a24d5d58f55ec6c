"""What an aggregated API server says its objects look like: its OpenAPI documents, cut to what it is registered for.

`aggregator.py` calls `fetch` and hands the result to `apiserver/openapi/`, which merges it. Nobody can describe a
version that is not their own: paths outside it are dropped, and so are definitions that nothing left refers to.
Source: k8s.io/kube-aggregator `pkg/controllers/{openapi,openapiv3}`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from kijabi.api.apiregistration.apiservice import APIService
from kijabi.apiserver.aggregation.backends import Backends, Fetched, Unreachable
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.document import Document
from kijabi.apiserver.openapi.serving import OLD_ROOT, ROOT, Foreign
from kijabi.apiserver.openapi.version2 import OLD_REF, Pieces

SECONDS = 10.0  # for each document
MAX_DOCUMENT = 8 << 20  # bytes of one
USER = UserInfo("system:aggregator", groups=("system:authenticated",))
_NOTHING = Pieces({}, {})


class Known(NamedTuple):
    """What was fetched last. etag: of version 2; url: of version 3, whose hash changes with the document."""

    foreign: Foreign
    etag: str = ""
    url: str = ""


async def fetch(backends: Backends, service: APIService, known: Known | None) -> Known:
    """Ask the server behind an APIService; a version of OpenAPI that it does not have is left out.

    Raises Unreachable, webhooks.services.Unresolved, Untrusted.
    """
    before = known or Known(Foreign(None, _NOTHING))
    pieces, etag = await _version_2(backends, service, before)
    document, url = await _version_3(backends, service, before)
    return Known(Foreign(document, pieces), etag, url)


async def _version_2(backends: Backends, service: APIService, known: Known) -> tuple[Pieces, str]:
    found = await _get(backends, service, OLD_ROOT, known.etag)
    if found.status == 304:
        return known.foreign.pieces, known.etag
    if found.status != 200:
        return _NOTHING, ""
    spec = service.spec
    whole = _object(found)
    return cut(whole, f"/apis/{spec.group}/{spec.version}/"), found.headers.get("etag", "")


async def _version_3(backends: Backends, service: APIService, known: Known) -> tuple[Document | None, str]:
    found = await _get(backends, service, ROOT, "")
    if found.status != 200:
        return None, ""
    name = f"apis/{service.spec.group}/{service.spec.version}"
    places = _object(found).get("paths")
    place = places.get(name) if isinstance(places, dict) else None
    url = place.get("serverRelativeURL") if isinstance(place, dict) else None
    if not isinstance(url, str) or not url.startswith(f"{ROOT}/") or not url.isascii() or not url.isprintable():
        return None, ""
    if url == known.url:
        return known.foreign.document, url
    document = await _get(backends, service, url.replace(" ", "%20"), "")
    if document.status != 200:
        return None, ""
    _object(document)
    return Document(document.body), url


async def _get(backends: Backends, service: APIService, path: str, etag: str) -> Fetched:
    headers = [("Accept", "application/json")]
    if etag:
        headers.append(("If-None-Match", etag))
    found = await backends.fetch(service, path, USER, headers, seconds=SECONDS, limit=MAX_DOCUMENT)
    if found.status not in (200, 304, 403, 404, 406):
        raise Unreachable(f"failed to retrieve openAPI spec, http error: {found.status}")
    return found


def _object(found: Fetched) -> dict[str, Any]:
    """The JSON object in an answer. Raises Unreachable."""
    try:
        value = msgspec.json.decode(found.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(f"garbage instead of OpenAPI: {error}") from None
    if not isinstance(value, dict):
        raise Unreachable("garbage instead of OpenAPI: no object")
    return value


def cut(document: dict[str, Any], prefix: str) -> Pieces:
    """The part of a version 2 document that is about paths with a prefix. Raises Unreachable."""
    paths, definitions = document.get("paths") or {}, document.get("definitions") or {}
    if not isinstance(paths, dict) or not isinstance(definitions, dict):
        raise Unreachable("garbage instead of OpenAPI: paths or definitions are no objects")
    own = {path: each for path, each in paths.items() if path.startswith(prefix) and isinstance(each, dict)}
    found: dict[str, Any] = {}
    todo = [own]
    try:
        while todo:
            for name in _references(todo.pop()):
                each = definitions.get(name)
                if name not in found and isinstance(each, dict):
                    found[name] = each
                    todo.append(each)
    except RecursionError:
        raise Unreachable("garbage instead of OpenAPI: it nests too deep") from None
    return Pieces(own, found)


def _references(value: Any) -> set[str]:
    """The definitions that a part of a document refers to."""
    if isinstance(value, list):
        return {name for each in value for name in _references(each)}
    if not isinstance(value, dict):
        return set()
    found = {name for each in value.values() for name in _references(each)}
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith(OLD_REF):
        found.add(reference.removeprefix(OLD_REF))
    return found
