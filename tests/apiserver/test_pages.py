"""Discovery, OpenAPI, health, version, metrics, negotiation, and paths that are nowhere."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kijabi.api import catalog
from kijabi.api.duration import parse as duration
from kijabi.apiserver import negotiate
from kijabi.apiserver.discovery import storage_hash
from kijabi.apiserver.negotiate import Media
from kijabi.client.transport import Request, Response
from tests.apiserver.world import TABLE, World, configmap

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
HASHES = Path(__file__).parents[1] / "golden" / "storage-version-hashes.tsv"


async def test_legacy_discovery(world: World) -> None:
    assert (await world.get("/api")).body["versions"] == ["v1"]
    groups = [group["name"] for group in (await world.get("/apis/")).body["groups"]]
    assert "apps" in groups
    assert "" not in groups
    apps = (await world.get("/apis/apps")).body
    assert apps["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    core = {each["name"]: each for each in (await world.get("/api/v1")).body["resources"]}
    assert core["pods"]["shortNames"] == ["po"]
    assert core["pods/eviction"] | {"verbs": 0} == {
        "name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1",
        "kind": "Eviction", "verbs": 0,
    }  # fmt: skip
    assert core["serviceaccounts/token"]["group"] == "authentication.k8s.io"
    assert (await world.get("/apis/none")).raw == b"404 page not found\n"
    assert (await world.get("/apis/apps/v2")).status == 404


async def test_aggregated_discovery_and_its_etag(world: World) -> None:
    answer = await world.get("/apis", {"accept": f"{V2},application/json"})
    assert answer.headers["Content-Type"] == V2
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept", "public")
    apps = next(each for each in answer.body["items"] if each["metadata"]["name"] == "apps")
    deployments = next(each for each in apps["versions"][0]["resources"] if each["resource"] == "deployments")
    assert deployments["scope"] == "Namespaced"
    scale = next(each for each in deployments["subresources"] if each["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    again = await world.get("/apis", {"accept": V2, "if-none-match": answer.headers["ETag"]})
    assert (again.status, again.raw) == (304, b"")
    beta = await world.get("/api", {"accept": V2.replace("v=v2", "v=v2beta1")})
    assert beta.body["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    peerless = await world.get("/apis", {"accept": f"{V2};profile=nopeer"})
    assert peerless.body["kind"] == "APIGroupDiscoveryList"


def test_storage_hashes_are_upstreams() -> None:
    with HASHES.open(newline="") as file:
        published = {(row[0], row[1], row[2]): row[3] for row in csv.reader(file, delimiter="\t")}
    ours = {(each.group, each.version, each.plural): storage_hash(each) for each in catalog.RESOURCES}
    assert len(published) > 60
    assert {key: ours[key] for key in published if key in ours} == {
        key: value for key, value in published.items() if key in ours
    }


async def test_openapi_documents_are_found_by_hash(world: World) -> None:
    index = (await world.get("/openapi/v3")).body["paths"]
    assert {"api/v1", "apis/apps/v1"} <= set(index)
    url = index["apis/apps/v1"]["serverRelativeURL"]
    document = await world.get(url)
    assert document.headers["Cache-Control"] == "public, immutable"
    moved = await world.get(url[:-1] + "x")
    assert (moved.status, moved.headers["Location"]) == (301, url)
    schemas = document.body["components"]["schemas"]
    spec = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert spec["x-kubernetes-patch-merge-key"] == "name"
    kinds = schemas["io.k8s.api.apps.v1.Deployment"]["x-kubernetes-group-version-kind"]
    assert kinds == [{"group": "apps", "version": "v1", "kind": "Deployment"}]
    item = document.body["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert "fieldValidation" in [each["name"] for each in item["patch"]["parameters"]]
    assert item["patch"]["x-kubernetes-group-version-kind"] == kinds[0]
    for path in index:
        text = (await world.get(f"/openapi/v3/{path}")).body
        known = set(text["components"]["schemas"])
        assert set(references(text)) <= known, path
    assert (await world.get("/openapi/v3/apis/none/v1")).status == 404


def references(value: object) -> list[str]:
    """Every schema that a document refers to."""
    if isinstance(value, list):
        return [name for each in value for name in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"].rsplit("/", 1)[1]] if isinstance(value.get("$ref"), str) else []
    return own + [name for each in value.values() for name in references(each)]


async def test_health_version_and_metrics(world: World) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping", "/healthz/"):
        assert (await world.get(path)).raw == b"ok"
    verbose = await world.get("/readyz?verbose")
    assert verbose.raw.endswith(b"readyz check passed\n")
    assert b"[+]watch-cache ok" in verbose.raw
    assert (await world.get("/readyz/none")).status == 404
    assert (await world.get("/version/")).body["gitVersion"] == "v1.37.0"
    await world.get("/api/v1/pods")
    metrics = (await world.get("/metrics")).raw.decode()
    wanted = 'apiserver_request_total{code="200",group="",resource="pods",subresource="",verb="LIST",version="v1"} 1.0'
    assert wanted in metrics
    assert "/healthz" in (await world.get("/")).body["paths"]


async def test_the_health_check_that_fails_is_named(world: World) -> None:
    world.app.api.plain.checks["store"] = lambda: "the disk is gone"
    answer = await world.get("/livez?verbose")
    assert answer.status == 500
    assert b"[-]store failed: reason withheld\n" in answer.raw
    assert (await world.get("/livez?exclude=store")).status == 200


async def test_nowhere(world: World) -> None:
    for method, path, status in (
        ("GET", "/nope", 404),
        ("GET", "/api/v1/nopes", 404),
        ("GET", "/apis/none/v1/things", 404),
        ("GET", "/api/v1/pods/p", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/namespaces/default/pods/p/nope", 404),
        ("GET", "/api/v1/namespaces/default/configmaps/a/status", 404),
        ("POST", "/api/v1/pods", 405),
        ("POST", "/api/v1/namespaces/default/configmaps/a", 405),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405),
        ("DELETE", "/api/v1/namespaces/default/pods/p/binding", 405),
        ("POST", "/version", 405),
        ("GET", "/api/v1/watch", 400),
    ):
        answer = await world.call(method, path)
        assert answer.status == status, (method, path, answer)
    lost = await world.get("/api/v1/nopes")
    assert lost.message == "the server could not find the requested resource"
    refused = await world.call("POST", "/api/v1/pods")
    assert (refused.reason, refused.message) == (
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )


async def test_a_deadline(world: World) -> None:
    assert (await world.get("/api/v1/pods?timeout=5s")).status == 200
    bad = await world.get("/api/v1/pods?timeout=abc")
    assert bad.message == 'invalid timeout specified in the request URL - time: invalid duration "abc"'
    late = await world.get("/api/v1/pods?timeout=1ns")
    assert late.status in (200, 504)


def test_durations() -> None:
    assert [duration(text) for text in ("1h2m", "1.5s", "0", "-2ms", "+3us")] == [3720, 1.5, 0, -0.002, 3e-6]
    for text in ("", "5", "s", "1x", "1h-2m", "٣s"):
        with pytest.raises(ValueError, match="time: "):
            duration(text)


def accept(header: str, endpoint: negotiate.Endpoint = "resource") -> Media:
    return negotiate.output(Request(method="GET", path="/", headers={"accept": header}), endpoint)


def test_accept_headers() -> None:
    assert accept("") == accept("*/*") == accept("application/*") == Media("application/json")
    assert accept("text/html, application/json;q=0.5").type == "application/json"
    assert accept("application/json;q=0.1, application/yaml").type == "application/yaml"
    protobuf = "application/vnd.kubernetes.protobuf"
    assert accept(f"{protobuf},application/json") == Media(protobuf)
    assert accept(f"{protobuf},application/json", "custom") == Media("application/json")
    assert accept(f"{protobuf};as=Table;v=v1;g=meta.k8s.io,application/json").type == "application/json"
    assert accept(TABLE["accept"]) == Media("application/json", "Table", "v1")
    assert accept("application/json;as=Table;v=v2;g=meta.k8s.io,application/json") == Media("application/json")
    assert accept(TABLE["accept"], "plain") == Media("application/json")
    for header in ("text/html", "application/cbor", "application/json;as=Table;v=v1;g=other", "???", ";;,,"):
        with pytest.raises(Exception, match="only the following media types are accepted"):
            accept(header)


async def test_what_is_no_stored_object_is_no_table(world: World) -> None:
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    only = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    assert (await world.post(path, review, only)).status == 406
    assert (await world.post(path, review, TABLE)).body["kind"] == "SelfSubjectAccessReview"


async def test_a_panic_is_one_requests_failure(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Response:
        raise RuntimeError("boom")

    world.app.api.plain.add("/broken", broken)
    answer = await world.get("/broken")
    assert (answer.status, answer.reason) == (500, "InternalError")
    assert "This request caused apiserver to panic" in answer.message
    assert "GET /broken panicked" in caplog.text
    assert (await world.get("/healthz")).status == 200


async def test_yaml_answers(world: World) -> None:
    await world.post("/api/v1/namespaces/default/configmaps", configmap())
    answer = await world.get("/api/v1/namespaces/default/configmaps/a", {"accept": "application/yaml"})
    assert answer.headers["Content-Type"] == "application/yaml"
    assert b"kind: ConfigMap\n" in answer.raw


async def test_component_statuses(world: World) -> None:
    listed = await world.get("/api/v1/componentstatuses")
    assert {each["metadata"]["name"] for each in listed.body["items"]} == {"etcd-0"}
    assert listed.headers["Warning"] == '299 - "v1 ComponentStatus is deprecated in v1.19+"'
    assert (await world.get("/api/v1/componentstatuses/etcd-0")).body["conditions"][0]["status"] == "True"
    assert (await world.get("/api/v1/componentstatuses/none")).status == 404
    assert (await world.get("/api/v1/componentstatuses", TABLE)).body["rows"][0]["cells"][1] == "Healthy"
