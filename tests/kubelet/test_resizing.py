"""A running pod gets other resources: in place, or refused by the server or by the kubelet that knows better."""

from __future__ import annotations

import pytest

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.quantity import Quantity
from kijabi.base.errors import Forbidden
from tests.kubelet.test_podworker import app
from tests.kubelet.world import World, play, running


def test_a_running_pod_is_resized_in_place() -> None:
    async def scene(world: World) -> None:
        def given(cpu: str) -> dict[str, object]:
            return {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}

        async def resize(cpu: str) -> None:
            await world.client.patch(
                Pod, "web", given(cpu), namespace="default", type="strategic", subresource="resize"
            )

        some = ResourceRequirements(requests={"cpu": Quantity("1")})
        await world.create(app(resources=some))
        await world.until(running)
        await resize("2")
        pod = await world.until(lambda p: p.status.containerStatuses[0].resources.requests["cpu"] == "2")
        assert world.runtime.calls[-1] == "resize c 2048"
        pod = await world.until(lambda p: not any("Resize" in c.type for c in p.status.conditions))
        assert pod.status.containerStatuses[0].restartCount == 0
        with pytest.raises(Forbidden, match="enough allocatable resources: cpu, requested: 100000, allocatable: 4000"):
            await resize("100")
        # The server goes by what the node said last; the kubelet knows better.
        (node,) = (await world.client.list(Node)).items
        more = {"status": {"allocatable": {"cpu": "200"}, "capacity": {"cpu": "200"}}}
        await world.client.patch(Node, node.metadata.name, more, subresource="status")
        await resize("100")
        pod = await world.until(lambda p: any(c.type == "PodResizePending" for c in p.status.conditions))
        condition = next(c for c in pod.status.conditions if c.type == "PodResizePending")
        assert condition.reason == "Infeasible"
        assert condition.message == "Node didn't have enough capacity: cpu, requested: 100000, capacity: 4000"
        assert pod.status.containerStatuses[0].allocatedResources == {"cpu": "2"}
        await resize("500m")
        await world.until(lambda p: p.status.containerStatuses[0].resources.requests["cpu"] == "500m")
        await world.until(lambda p: not any("Resize" in c.type for c in p.status.conditions))
        reasons = [reason for reason, _ in await world.events() if "Resize" in reason]
        assert reasons == ["ResizeStarted", "ResizeCompleted", "ResizeInfeasible", "ResizeStarted", "ResizeCompleted"]

    play(scene)
