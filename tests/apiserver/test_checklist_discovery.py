"""The wire checklist, section 2: what kr8s, kopf, the Python client and `kubectl drain` read of discovery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.apiserver.world import World


def nulls(value: Any, place: str = "") -> Iterator[str]:
    """Where a document holds null: Go's clients forgive it, the models of others do not."""
    if value is None:
        yield place
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from nulls(item, f"{place}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nulls(item, f"{place}[{index}]")


async def test_legacy_documents_are_whole(world: World) -> None:
    root = (await world.get("/api")).body
    assert root["versions"] == ["v1"]
    assert root["serverAddressByClientCIDRs"][0].keys() == {"clientCIDR", "serverAddress"}
    groups = (await world.get("/apis")).body["groups"]
    assert groups[0]["name"] == "apiregistration.k8s.io"
    versions = ["api/v1"]
    for group in groups:
        assert (await world.get(f"/apis/{group['name']}")).body == {"kind": "APIGroup", "apiVersion": "v1", **group}
        assert group["preferredVersion"] == group["versions"][0]
        versions += [f"apis/{each['groupVersion']}" for each in group["versions"]]
    for version in versions:
        document = (await world.get(f"/{version}")).body
        assert not list(nulls(document)), version
        assert document["kind"] == "APIResourceList"
        for resource in document["resources"]:
            assert resource.keys() >= {"name", "singularName", "namespaced", "kind", "verbs"}
            assert resource["verbs"] == sorted(resource["verbs"])
            assert resource["singularName"] or "/" in resource["name"]


async def test_the_bodies_of_subresources_are_named(world: World) -> None:
    found = {}
    for path in ("/api/v1", "/apis/apps/v1"):
        for resource in (await world.get(path)).body["resources"]:
            found[resource["name"]] = (resource.get("group"), resource.get("version"), resource["kind"])
    assert found["pods/eviction"] == ("policy", "v1", "Eviction")
    assert found["serviceaccounts/token"] == ("authentication.k8s.io", "v1", "TokenRequest")
    for scaled in ("deployments/scale", "replicasets/scale", "statefulsets/scale", "replicationcontrollers/scale"):
        assert found[scaled] == ("autoscaling", "v1", "Scale")
    assert found["pods/log"] == (None, None, "Pod")
    assert found["pods/exec"] == (None, None, "PodExecOptions")
    assert found["pods/binding"] == (None, None, "Binding")
