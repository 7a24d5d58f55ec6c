"""The wire checklist, section 1: what bodies may be, what answers are like, and what is said where they differ."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.apiserver.negotiate import takes_gzip
from kijabi.client.transport import Request
from tests.apiserver.world import MERGE, World, configmap

CMS = "/api/v1/namespaces/default/configmaps"
READ = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
PATCHED = (
    "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
    "application/apply-patch+yaml"
)
UNKNOWN = "the body of the request was in an unknown format - accepted media types include: "
LOST = "the object provided is unrecognized (must be of type ConfigMap): "
UNREAD = f"{LOST}couldn't get version/kind; json parse error: "
ID_TYPE = r"""struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"""
PROTOBUF = "application/vnd.kubernetes.protobuf"


@pytest.mark.parametrize(
    ("accept", "status", "gets"),
    [
        ("", 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/*", 200, "application/json"),
        ("text/html, */*", 200, "application/json"),
        ("text/html", 406, "application/json"),
        ("application/cbor", 406, "application/json"),
        ("application/vnd.kubernetes.protobuf,application/json", 200, "application/vnd.kubernetes.protobuf"),
        ("application/yaml", 200, "application/yaml"),
        ("application/json, application/yaml", 200, "application/json"),
        ("application/json;q=0.1, application/yaml", 200, "application/yaml"),
        ("application/json;stream=watch", 200, "application/json"),
        ("application/json;stream=other", 406, "application/json"),
        ("application/json;as=Table;v=v2;g=meta.k8s.io", 406, "application/json"),
        ("application/json;as=Other;v=v1;g=meta.k8s.io", 406, "application/json"),
    ],
)
async def test_what_is_accepted(world: World, accept: str, status: int, gets: str) -> None:
    await world.post(CMS, configmap())
    answer = await world.get(f"{CMS}/a", {"accept": accept} if accept else {})
    assert (answer.status, answer.headers["Content-Type"]) == (status, gets)
    if status == 406:
        assert answer.reason == "NotAcceptable"
        assert answer.message.startswith("only the following media types are accepted: application/json")


@pytest.mark.parametrize(
    ("path", "wanted", "found"),
    [
        (CMS, "PartialObjectMetadata", "a list (*core.ConfigMapList)"),
        (f"{CMS}/a", "PartialObjectMetadataList", "not a list (*core.ConfigMap)"),
    ],
)
async def test_lists_and_objects_are_told_apart(world: World, path: str, wanted: str, found: str) -> None:
    await world.post(CMS, configmap())
    refused = await world.get(path, {"accept": f"application/json;as={wanted};v=v1;g=meta.k8s.io"})
    assert (refused.status, refused.reason) == (406, "NotAcceptable")
    assert refused.message == f"you requested {wanted}, but the requested object is {found}"


@pytest.mark.parametrize(
    ("query", "agent", "indented"),
    [
        ("", "kubectl/v1", False),
        ("", "curl/8.1", True),
        ("", "Wget/1", True),
        ("", "Mozilla/5.0 (X11)", True),
        ("?pretty=1", "", True),
        ("?pretty=true", "", True),
        ("?pretty=0", "curl/8.1", False),
        ("?pretty=nonsense", "", False),
    ],
)
async def test_pretty(world: World, query: str, agent: str, indented: bool) -> None:
    await world.post(CMS, configmap())
    answer = await world.get(f"{CMS}/a{query}", {"user-agent": agent})
    assert answer.raw.startswith(b"{\n  ") == indented


@pytest.mark.parametrize(
    ("method", "url", "media", "status"),
    [
        ("POST", CMS, "", 201),
        ("POST", CMS, "application/json; charset=utf-8", 201),
        ("POST", CMS, "APPLICATION/JSON", 201),
        ("POST", CMS, "text/plain", 415),
        ("POST", CMS, "application/cbor", 415),
        ("POST", CMS, "application/merge-patch+json", 415),
        ("PUT", f"{CMS}/a", "", 200),
        ("PUT", f"{CMS}/a", "text/plain", 415),
        ("DELETE", f"{CMS}/a?dryRun=All", "", 200),
        ("DELETE", f"{CMS}/a?dryRun=All", "text/plain", 415),
        ("PATCH", f"{CMS}/a", "", 415),
        ("PATCH", f"{CMS}/a", "application/json", 415),
        ("PATCH", f"{CMS}/a", "application/apply-patch+cbor", 415),
        ("PATCH", f"{CMS}/a", "application/merge-patch+json; charset=utf-8", 200),
    ],
)
async def test_what_bodies_may_be(world: World, method: str, url: str, media: str, status: int) -> None:
    await world.post(CMS, configmap())
    body: Any = configmap("new") if method == "POST" else configmap()
    if method == "DELETE":
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]}
    answer = await world.call(method, url, body, {"content-type": media} if media else {})
    assert answer.status == status, answer
    if status == 415:
        accepted = PATCHED if method == "PATCH" else READ
        assert (answer.reason, answer.message) == ("UnsupportedMediaType", UNKNOWN + accepted)


@pytest.mark.parametrize(
    ("media", "body", "text"),
    [
        ("", b"", f"{UNREAD}unexpected end of JSON input (<empty>)"),
        ("", b"{", f"{UNREAD}unexpected end of JSON input ({{)"),
        ("", b"[]", f"{UNREAD}json: cannot unmarshal array into Go value of type {ID_TYPE} (5b5d)"),
        ("", b"3", f"{UNREAD}json: cannot unmarshal number into Go value of type {ID_TYPE} (33)"),
        ("", b'{"kind":1}', f"{UNREAD}json: cannot unmarshal number into Go struct field .kind of type string "
         '({"kind":1})'),
        ("", b'{"kind":"ConfigMap","apiVersion":"a/b/c"}',
         f'{LOST}unexpected GroupVersion string: a/b/c ({{"kind":"ConfigMap","apiVersio ...)'),
        ("", b'{"data":[]}', 'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal array '
         "into Go struct field ConfigMap.data of type map[string]string"),
        ("", b'{"kind":"Pod","apiVersion":"v1"}', 'Pod in version "v1" cannot be handled as a ConfigMap: '
         "converting (v1.Pod) to (core.ConfigMap): unknown conversion"),
        ("", b'{"kind":"ConfigMap","apiVersion":"v2"}', 'ConfigMap in version "v2" cannot be handled as a ConfigMap: '
         'no kind "ConfigMap" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"'),
        ("application/yaml", b"a: b: c", f"{LOST}yaml: mapping values are not allowed in this context "
         "(613a20623a2063)"),
        (PROTOBUF, b"", f"{LOST}empty data (<empty>)"),
        (PROTOBUF, b"k8s\0", f"{LOST}empty body (6b387300)"),
        (PROTOBUF, b"abcd", f"{LOST}provided data does not appear to be a protobuf message, "
         "expected prefix [107 56 115 0] (61626364)"),
        (PROTOBUF, b"k8s\0\xff\xff", f"{LOST}unexpected EOF (6b387300ffff)"),
    ],
)  # fmt: skip
async def test_bodies_that_cannot_be_read(world: World, media: str, body: bytes, text: str) -> None:
    refused = await world.post(CMS, body, {"content-type": media} if media else {})
    assert (refused.status, refused.reason) == (400, "BadRequest")
    assert refused.message == text


@pytest.mark.parametrize(
    ("header", "taken"),
    [("gzip", True), ("deflate, gzip", True), ("", False), ("gzip;q=0", False), ("xgzip", False), ("identity", False)],
)
def test_who_takes_gzip(header: str, taken: bool) -> None:
    assert takes_gzip(Request(method="GET", path="/", headers={"accept-encoding": header})) is taken


async def test_timeouts(world: World) -> None:
    for text, status in (("32s", 200), ("0s", 200), ("-1s", 200), ("1h", 200), ("1x", 400), ("x", 400)):
        assert (await world.get(f"{CMS}?timeout={text}")).status == status, text


async def test_every_answer_says_where_it_came_from(world: World) -> None:
    for answer in (await world.get(CMS), await world.get(f"{CMS}/none"), await world.get("/nowhere")):
        assert answer.headers["Cache-Control"] == "no-cache, private"
        assert answer.headers["Audit-Id"]
        assert answer.headers["X-Kubernetes-PF-FlowSchema-UID"]
        assert answer.headers["X-Kubernetes-PF-PriorityLevel-UID"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/version", 405),
        ("PUT", "/apis", 405),
        ("DELETE", "/apis/apps/v1", 405),
        ("OPTIONS", CMS, 405),
        ("TRACE", CMS, 405),
        ("HEAD", CMS, 405),
        ("PUT", CMS, 405),
        ("POST", "/healthz", 200),
        ("POST", "/nowhere", 404),
        ("GET", "/version/", 200),
        ("GET", "/api/", 200),
        ("GET", "/apis/apps/", 200),
        ("GET", f"{CMS}/", 200),
    ],
)
async def test_methods_and_slashes(world: World, method: str, path: str, status: int) -> None:
    answer = await world.call(method, path, None, MERGE)
    assert answer.status == status
    if status == 405:
        assert answer.message == "the server does not allow this method on the requested resource"
        assert answer.reason == "MethodNotAllowed"


async def test_health_checks_are_left_out_on_demand(world: World) -> None:
    for page in ("healthz", "livez", "readyz"):
        assert (await world.get(f"/{page}")).raw == b"ok"
        told = (await world.get(f"/{page}?verbose&exclude=ping&exclude=other")).raw.decode()
        assert "[+]ping excluded: ok" in told
        assert 'warn: some health checks cannot be excluded: no matches for "other"' in told
        assert told.endswith(f"{page} check passed\n")
