"""Quotas, from admission to the controller and back: what is taken is charged, what goes is given back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kijabi.api import codec
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.api.custom import Custom
from kijabi.api.meta import ObjectMeta, PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.base.errors import Forbidden
from kijabi.client.transport import Request
from tests.controllers.world import World, play


def quota(name: str = "q", scopes: tuple[str, ...] = (), **hard: str) -> ResourceQuota:
    spec = {"hard": {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}}
    meta = {"name": name, "namespace": "ns"}
    return codec.from_builtins(ResourceQuota, {"metadata": meta, "spec": {**spec, "scopes": list(scopes)}})


def pod(name: str, **spec: Any) -> Pod:
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "100m"}}}
    meta = {"name": name, "namespace": "ns"}
    return codec.from_builtins(Pod, {"metadata": meta, "spec": {"containers": [container], **spec}})


async def used(world: World, **amounts: str) -> None:
    """Wait until the quota says so."""
    wanted = {key.replace("__", "/").replace("_", "."): value for key, value in amounts.items()}

    async def says() -> bool:
        status = (await world.client.get(ResourceQuota, "q", "ns")).status
        return {name: status.used.get(name) for name in wanted} == wanted

    await world.until(says, 30)


def test_the_life_of_a_quota() -> None:
    async def tell(world: World) -> None:
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="before", namespace="ns")))
        await world.client.create(quota(pods="2", requests_cpu="1", count__configmaps="3", services_nodeports="1"))
        await used(world, pods="0", requests_cpu="0", count__configmaps="2", services_nodeports="0")  # kube-root-ca.crt
        await world.client.create(pod("a"))
        await world.client.create(pod("b"))
        await used(world, pods="2", requests_cpu="200m")
        with pytest.raises(Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"):
            await world.client.create(pod("c"))
        await world.client.patch(Pod, "a", {"status": {"phase": "Succeeded"}}, namespace="ns", subresource="status")
        await used(world, pods="1", requests_cpu="100m")
        await world.client.delete(Pod, "b", "ns", grace=0)
        await used(world, pods="0", requests_cpu="0")
        await world.client.delete(ConfigMap, "before", "ns")
        await used(world, count__configmaps="1")
        ports = {"ports": [{"port": 80}], "type": "NodePort"}
        service = codec.from_builtins(Service, {"metadata": {"name": "s", "namespace": "ns"}, "spec": ports})
        await world.client.create(service)
        await used(world, services_nodeports="1")
        await world.client.patch(Service, "s", {"spec": {"type": "ClusterIP"}}, namespace="ns")
        await used(world, services_nodeports="0")
        await world.client.patch(ResourceQuota, "q", {"spec": {"hard": {"pods": "9", "secrets": "4"}}}, namespace="ns")
        await used(world, pods="0", secrets="0")

    play(tell)


def test_custom_resources_are_counted() -> None:
    async def tell(world: World) -> None:
        props = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": props}}
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
        spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
        crd = {"metadata": {"name": "widgets.example.com"}, "spec": spec}
        await world.client.create(quota(count__widgets_example_com="1"))
        await world.client.create(codec.from_builtins(CustomResourceDefinition, crd))
        await used(world, count__widgets_example_com="0")
        widgets = Resource(group="example.com", version="v1", kind="Widget", plural="widgets", type=Custom)
        path = "/apis/example.com/v1/namespaces/ns/widgets"

        async def make(name: str) -> None:
            body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}}
            headers = {"content-type": "application/json"}
            await world.client.request_raw(
                Request(method="POST", path=path, headers=headers, body=msgspec.json.encode(body))
            )

        await make("a")
        await used(world, count__widgets_example_com="1")
        with pytest.raises(Forbidden, match="exceeded quota: q, requested: count/widgets"):
            await make("b")
        await world.client.metadata_of(widgets).delete(PartialObjectMetadata, "a", "ns")
        await used(world, count__widgets_example_com="0")
        await make("b")

    play(tell)
