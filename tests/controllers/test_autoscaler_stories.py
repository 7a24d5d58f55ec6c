"""Autoscalers at work: the real server and controllers, servers of metrics that say what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import codec
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apps.deployment import Deployment
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition
from kijabi.api.core.event import Event
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.custom import Custom
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.client.client import Client
from kijabi.client.discovery import find
from kijabi.testing.faults import Faults
from tests.apiserver.crd.definitions import definition
from tests.controllers.meters import Meters
from tests.controllers.stories import complete, fresh, pods_of, simple_controller
from tests.controllers.world import World, play

Story = Callable[[World, Meters], Awaitable[None]]
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def autoscaler(name: str = "web", **spec: Any) -> HorizontalPodAutoscaler:
    fields = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 5, "metrics": [CPU], **spec}
    meta = {"name": name, "namespace": "ns"}
    return codec.from_builtins(HorizontalPodAutoscaler, {"metadata": meta, "spec": fields})


def asking(replicas: int) -> Deployment:
    """A Deployment whose pods request a tenth of a core."""
    made = fresh(replicas)
    requests = {"cpu": Quantity("100m")}
    made.spec.template.spec.containers[0].resources = ResourceRequirements(requests=requests)
    return made


def metered(story: Story, **more: Any) -> None:
    meters = Meters()
    play(lambda world: story(world, meters), between=meters, **more)


async def look(world: World, name: str = "web") -> HorizontalPodAutoscaler:
    return await world.client.get(HorizontalPodAutoscaler, name, "ns")


def said(hpa: HorizontalPodAutoscaler, kind: str) -> HorizontalPodAutoscalerCondition | None:
    return next((one for one in hpa.status.conditions if one.type == kind), None)


async def for_reason(
    world: World, kind: str, reason: str, name: str = "web", seconds: float = 60, text: str = ""
) -> HorizontalPodAutoscaler:
    """Wait until a condition says this, with this text in its message."""

    async def told() -> HorizontalPodAutoscaler | None:
        hpa = await look(world, name)
        found = said(hpa, kind)
        return hpa if found is not None and found.reason == reason and text in found.message else None

    hpa: HorizontalPodAutoscaler = await world.until(told, seconds)
    return hpa


async def replicas(world: World, count: int, seconds: float) -> None:
    async def so_many() -> bool:
        d = await complete(world)
        return d is not None and d.spec.replicas == count

    await world.until(so_many, seconds)


async def measured(world: World, average: str) -> bool:
    """Whether the status says that this was used."""
    metrics = (await look(world)).status.currentMetrics
    used = metrics[0].resource if metrics else None
    return used is not None and used.current.averageValue == average


def test_load_comes_and_goes() -> None:
    async def story(world: World, meters: Meters) -> None:
        meters.load = {"cpu": 300}
        await world.client.create(asking(1))
        await replicas(world, 1, 60)
        await world.client.create(autoscaler())
        await replicas(world, 4, 60)  # by no more than four at first
        await replicas(world, 5, 60)
        await world.until(lambda: measured(world, "60m"))
        hpa = await for_reason(world, "ScalingLimited", "TooManyReplicas")
        assert (hpa.status.currentReplicas, hpa.status.desiredReplicas, hpa.status.observedGeneration) == (5, 5, 1)
        used = hpa.status.currentMetrics[0].resource
        assert used is not None
        assert used.current.averageUtilization == 60
        assert hpa.status.lastScaleTime is not None
        meters.load = {"cpu": 0}
        began = asyncio.get_running_loop().time()
        await replicas(world, 1, 600)
        assert asyncio.get_running_loop().time() - began > 285  # five minutes of quiet, but for one look
        hpa = await look(world)
        assert said(hpa, "AbleToScale") is not None
        texts = {(each.reason, each.message) for each in (await world.client.list(Event, "ns")).items
                 if each.involvedObject.kind == "HorizontalPodAutoscaler"}  # fmt: skip
        above = "cpu resource utilization (percentage of request) above target"
        assert texts >= {
            ("SuccessfulRescale", f"New size: 4; reason: {above}"),
            ("SuccessfulRescale", "New size: 1; reason: All metrics below target"),
        }
        # Earlier load may count for the last pod when the new ones have no metrics yet: then no metric is the reason.
        assert any(text.startswith("New size: 5; reason: ") for _, text in texts)

    metered(story)


def test_it_comes_out_right_in_a_bad_network() -> None:
    async def story(world: World, meters: Meters) -> None:
        meters.load = {"cpu": 300}
        await world.client.create(asking(1))
        await world.client.create(autoscaler())
        await replicas(world, 5, 600)

    metered(story, faults=Faults(), seed=7)


def test_a_change_of_the_spec_acts_at_once_and_nothing_runs_for_what_is_gone() -> None:
    async def story(world: World, meters: Meters) -> None:
        meters.load = {"cpu": 50}
        await world.client.create(asking(1))
        await replicas(world, 1, 60)
        await asyncio.sleep(60)
        assert meters.asked == []
        await world.client.create(autoscaler())
        await for_reason(world, "ScalingLimited", "DesiredWithinRange", seconds=60)
        await world.client.patch(HorizontalPodAutoscaler, "web", {"spec": {"minReplicas": 3}}, namespace="ns")
        await replicas(world, 3, 5)
        before = len(meters.asked)
        await asyncio.sleep(60)
        assert len(meters.asked) - before == 4  # once in 15 s, and status writes of its own do not count
        await world.client.delete(HorizontalPodAutoscaler, "web", "ns")
        await asyncio.sleep(1)
        meters.asked.clear()
        await asyncio.sleep(120)
        assert meters.asked == []

    metered(story)


def test_what_cannot_be_scaled_says_why() -> None:
    async def story(world: World, meters: Meters) -> None:
        await world.client.create(autoscaler("absent"))
        hpa = await for_reason(world, "AbleToScale", "FailedGetScale", "absent")
        text = "the HPA controller was unable to get the target's current scale: "
        assert hpa.status.conditions[0].message == f'{text}deployments.apps "web" not found'
        nothing = {"apiVersion": "example.com/v1", "kind": "Nothing", "name": "x"}
        await world.client.create(autoscaler("nothing", scaleTargetRef=nothing))
        hpa = await for_reason(world, "AbleToScale", "FailedGetScale", "nothing")
        assert hpa.status.conditions[0].message == f'{text}no matches for kind "Nothing" in group "example.com"'
        node = {"apiVersion": "v1", "kind": "ReplicationController", "name": "web"}
        meters.load = {"cpu": 100}
        await world.client.create(simple_controller(2))
        await world.client.create(autoscaler("first", scaleTargetRef=node, maxReplicas=9))
        cause = "failed to get cpu utilization: missing request for cpu in container c of Pod web-"
        text = f"the HPA was unable to compute the replica count: {cause}"
        await for_reason(world, "ScalingActive", "FailedGetResourceMetric", "first", text=text)
        await world.client.create(autoscaler("second", scaleTargetRef=node, maxReplicas=9))
        hpa = await for_reason(world, "ScalingActive", "AmbiguousSelector", "second")
        found = said(hpa, "ScalingActive")
        assert found is not None
        others = "pods by selector app=web are controlled by more than one HPA (e.g. [ns/first ns/second])"
        assert found.message == others
        await world.client.delete(HorizontalPodAutoscaler, "first", "ns")
        await for_reason(world, "ScalingActive", "FailedGetResourceMetric", "second")

    metered(story)


def test_metrics_of_pods_objects_and_the_world_outside() -> None:
    async def story(world: World, meters: Meters) -> None:
        await world.client.create(asking(2))
        await replicas(world, 2, 60)
        ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"}
        per_pod = {"type": "AverageValue", "averageValue": "10"}
        wanted = [
            {"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": per_pod}},
            {"type": "Object", "object": {"metric": {"name": "rate", "selector": {"matchLabels": {"verb": "GET"}}},
                                          "describedObject": ingress, "target": per_pod}},
            {"type": "External", "external": {"metric": {"name": "queue", "selector": {"matchLabels": {"q": "a"}}},
                                              "target": per_pod}},
        ]  # fmt: skip
        meters.versions = ()
        await world.client.create(autoscaler(metrics=wanted, maxReplicas=9))
        hpa = await for_reason(world, "ScalingActive", "FailedGetPodsMetric")
        found = said(hpa, "ScalingActive")
        assert found is not None
        assert found.message == (
            "the HPA was unable to compute the replica count: unable to get metric hits: unable to fetch metrics from "
            "custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
        )
        assert hpa.status.currentMetrics == tuple(type(hpa.status.currentMetrics[0])() for _ in wanted)
        pods = {pod.metadata.name: "5" for pod in await pods_of(world)}
        meters.versions = ("v2", "v1beta1")
        meters.values = {"/pods/*/hits": pods, "/front/rate": {"front": "50"}, "/queue": {"a": "20", "b": "12500m"}}
        await replicas(world, 4, 60)
        hpa = await for_reason(world, "ScalingActive", "ValidMetricFound")
        assert {
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/pods/*/hits?labelSelector=app=web",
            "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ns/ingresses.networking.k8s.io/front/rate"
            "?metricLabelSelector=verb=GET",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/queue?labelSelector=q=a",
        } <= set(meters.asked)
        shown = [codec.to_builtins(each) for each in (await look(world)).status.currentMetrics]
        assert [each["type"] for each in shown] == ["Pods", "Object", "External"]
        assert shown[0]["pods"] == {"metric": {"name": "hits"}, "current": {"averageValue": "5"}}
        await replicas(world, 5, 60)  # the object's 50 are ten for each of five

    metered(story)


def test_a_custom_resource_is_scaled_to_zero_and_back() -> None:
    async def story(world: World, meters: Meters) -> None:
        mine = await scalable(world)
        made = await mine.create(Custom(metadata=ObjectMeta(name="w", namespace="ns"), content={"spec": {"size": 3}}))
        made.content["status"] = {"replicas": 3, "labels": "app=w"}
        await mine.update_status(made)
        per_pod = {"type": "AverageValue", "averageValue": "10"}
        queue = {"type": "External", "external": {"metric": {"name": "queue"}, "target": per_pod}}
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"}
        meters.values = {"/queue": {"": "0"}}
        await world.client.create(autoscaler("w", scaleTargetRef=widget, minReplicas=0, metrics=[queue]))
        hpa = await for_reason(world, "ScaledToZero", "ScaledToZero", "w", 600)
        assert hpa.status.desiredReplicas == 0
        assert (await mine.get(Custom, "w", "ns")).content["spec"]["size"] == 0
        meters.values = {"/queue": {"": "35"}}
        hpa = await for_reason(world, "ScaledToZero", "NotScaledToZero", "w", 60)
        assert (hpa.status.desiredReplicas, (await mine.get(Custom, "w", "ns")).content["spec"]["size"]) == (4, 4)
        # Stopped by hand, it stays so.
        await mine.patch(Custom, "w", {"spec": {"size": 0}}, namespace="ns")
        await for_reason(world, "ScalingActive", "ScalingDisabled", "w", 60)

    async def scalable(world: World) -> Client:
        crd = definition()
        version = crd["spec"]["versions"][0]
        version["subresources"] = {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.size",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.labels",
            },
        }
        version["schema"] = {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                "status": {"type": "object", "properties": {"replicas": {"type": "integer"},
                                                            "labels": {"type": "string"}}}}}
        }  # fmt: skip
        await world.client.create(codec.from_builtins(CustomResourceDefinition, crd))

        async def established() -> bool:
            made = await world.client.get(CustomResourceDefinition, crd["metadata"]["name"])
            return any(each.type == "Established" and each.status == "True" for each in made.status.conditions)

        await world.until(established)
        return world.client.of(await find(world.client, "example.com", "widget"))

    metered(story)
