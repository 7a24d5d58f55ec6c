"""The node's own account of itself, against the real API server."""

from __future__ import annotations

from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeStatus
from kijabi.testing import simloop
from kijabi.testing.cluster import cluster


def ready(status: NodeStatus) -> str:
    return next((one.status for one in status.conditions if one.type == "Ready"), "")


def test_a_node_that_others_gave_up_says_at_once_that_it_lives() -> None:
    """It was cut off for a while, and nothing about it has changed but what the controllers think of it."""

    async def story() -> None:
        async with cluster(nodes=1, controllers_too=False) as world:

            async def lives() -> bool:
                return ready((await world.admin.get(Node, "node-1")).status) == "True"

            await world.until(lives)
            condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
            patch = {"status": {"conditions": [condition]}}
            given_up = await world.admin.patch(Node, "node-1", patch, type="strategic", subresource="status")
            assert ready(given_up.status) == "Unknown"
            await world.until(lives, seconds=15)

    simloop.run(story(), 1)
