"""Pods that claim devices, on a whole cluster in one process: they wait for their claims, and say what for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.dra.resourceclaimtemplate import ResourceClaimTemplate
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster

ASKED = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}]}}


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(nodes=2, detect_mutations=True) as world:
            await story(world)

    simloop.run(main(), 1)


def pod(**source: str) -> Pod:
    container = {"name": "c", "image": "web:1", "resources": {"claims": [{"name": "gpu"}]}}
    spec = {"containers": [container], "resourceClaims": [{"name": "gpu", **source}]}
    return codec.from_builtins(Pod, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})


def claim() -> ResourceClaim:
    return codec.from_builtins(ResourceClaim, {"metadata": {"name": "one", "namespace": "default"}, "spec": ASKED})


async def says(world: World, text: str) -> None:
    """Wait until the pod's condition tells so."""

    async def told() -> bool:
        waiting = await world.admin.get(Pod, "p", "default")
        return any(text in one.message for one in waiting.status.conditions if one.type == "PodScheduled")

    await world.until(told)


async def allocate(world: World, name: str, *nodes: str) -> None:
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}]
    held: dict[str, Any] = {"nodeSelector": {"nodeSelectorTerms": terms}} if nodes else {}
    change = {"status": {"allocation": held}}
    await world.admin.patch(ResourceClaim, name, change, namespace="default", subresource="status")


async def running(world: World) -> str:
    """Its node, once it runs."""
    found = await world.admin.get(Pod, "p", "default")
    return found.spec.nodeName if found.status.phase == "Running" else ""


def test_a_pod_waits_for_its_claim_and_goes_where_its_devices_are() -> None:
    async def story(world: World) -> None:
        await world.admin.create(pod(resourceClaimName="one"))
        await says(world, '0/2 nodes are available: resourceclaim "one" not found.')
        await world.admin.create(claim())
        await says(world, "0/2 nodes are available: 2 cannot allocate all claims.")
        await allocate(world, "one", "node-2")
        assert await world.until(lambda: running(world)) == "node-2"

    play(story)


def test_no_node_reaches_the_devices() -> None:
    async def story(world: World) -> None:
        await world.admin.create(claim())
        await allocate(world, "one", "node-9")
        await world.admin.create(pod(resourceClaimName="one"))
        await says(world, "0/2 nodes are available: 2 resourceclaim not available on the node.")

    play(story)


def test_a_claim_that_is_made_for_the_pod() -> None:
    async def story(world: World) -> None:
        await world.admin.create(pod(resourceClaimTemplateName="gpus"))
        await says(world, 'pod "default/p": ResourceClaim not created yet')
        content = {"metadata": {"name": "gpus", "namespace": "default"}, "spec": {"spec": ASKED}}
        await world.admin.create(codec.from_builtins(ResourceClaimTemplate, content))

        async def made() -> str | None:
            live = await world.admin.get(Pod, "p", "default")
            return next((one.resourceClaimName for one in live.status.resourceClaimStatuses), None)

        name = await world.until(made)
        assert name
        await says(world, "2 cannot allocate all claims")
        await allocate(world, name)
        await world.until(lambda: running(world))

    play(story)
