"""A route in the cloud's network to the pods of every node.

Receives nodes; asks the provider's `Routes`; writes the condition NetworkUnavailable. There is one key, for all routes
are compared with all nodes. `plan` decides (k8s.io/cloud-provider `controllers/route`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeAddress, NodeCondition
from kijabi.api.meta import Time
from kijabi.base import clock
from kijabi.base.errors import NotFound
from kijabi.controllers.cloud.interface import CloudError, Route, Routes
from kijabi.controllers.cloud.patience import Patience
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import nodes

ALL = "routes"
# Seconds between two looks at all routes, at least, however often nodes change.
APART = 10.0
# Requests to the cloud at the same time.
MAX_AT_ONCE = 200

log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """Routes to remove, then routes to make (with the node's uid, which names are made of), and who is told what.

    kept: node → its CIDRs that have a route already. Nodes that are not in it are not told anything.
    """

    delete: tuple[Route, ...]
    create: tuple[tuple[Route, str], ...]
    kept: Mapping[str, frozenset[str]]


def plan(nodes: Iterable[Node], routes: Sequence[Route], cidrs: Sequence[str]) -> Plan:
    """What brings the routes in line with the nodes. cidrs: of the cluster's pods; routes elsewhere are not ours."""
    by_node: dict[str, list[Route]] = {}
    for route in routes:
        if route.node:
            by_node.setdefault(route.node, []).append(route)
    create: list[tuple[Route, str]] = []
    kept: dict[str, frozenset[str]] = {}
    for node in nodes:
        name, addresses = node.metadata.name, node.status.addresses
        if not node.spec.podCIDRs and name not in by_node:
            continue
        there = {route.destination: route for route in reversed(by_node.get(name, []))}
        good = frozenset(cidr for cidr in node.spec.podCIDRs if _serves(there.get(cidr), addresses))
        kept[name] = good
        for cidr in node.spec.podCIDRs:
            if cidr not in good:
                create.append((Route(destination=cidr, node=name, addresses=addresses), node.metadata.uid))
    wrong = (route for route in routes if route.blackhole or route.destination not in kept.get(route.node, ()))
    return Plan(tuple(route for route in wrong if _ours(route, cidrs)), tuple(create), kept)


def _serves(route: Route | None, addresses: Sequence[NodeAddress]) -> bool:
    """The route leads to the node as it is reached now, as far as the cloud says."""
    if route is None:
        return False
    if route.addresses is None:
        return True
    same = len(route.addresses) == len(addresses)
    return same and all(one in route.addresses for one in addresses)


def _ours(route: Route, cidrs: Sequence[str]) -> bool:
    try:
        network = ipaddress.ip_network(route.destination, strict=False)
    except ValueError:
        log.error("a route that leads nowhere known", extra={"route": route.name, "destination": route.destination})
        return False
    ends = (network.network_address, network.broadcast_address)
    return any(end in ipaddress.ip_network(cidr) for cidr in cidrs for end in ends)


def condition(made: bool, now: Time) -> NodeCondition:
    """What a node is told: whether all its routes are there."""
    return NodeCondition(
        type="NetworkUnavailable",
        status="False" if made else "True",
        reason="RouteCreated" if made else "NoRouteCreated",
        message="RouteController created a route" if made else "RouteController failed to create a route",
        lastHeartbeatTime=now,
        lastTransitionTime=now,
    )


class CloudRoutes:
    """The controller."""

    name = "route"
    workers = 1

    def __init__(self, context: Context, routes: Routes) -> None:
        self.client = context.client
        self.routes = routes
        self.cidrs = tuple(cidr for cidr, _ in context.config.pod_cidrs)
        self.patience = Patience(self.name)
        self.recorder = context.recorder("route_controller")
        self.nodes = nodes(context.informers)
        self._looked = float("-inf")

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        same = old is not None and new is not None and _matters(old) == _matters(new)
        return () if same and _told(new) >= _told(old) else (ALL,)

    async def reconcile(self, key: str) -> float | None:
        return await self.patience.tried(key, self._reconcile())

    async def _reconcile(self) -> float | None:
        early = self._looked + APART - clock.monotonic()
        if early > 0:
            return early
        self._looked = clock.monotonic()
        present = tuple(self.nodes.items())
        try:
            todo = plan(present, await self.routes.list(), self.cidrs)
        except CloudError as error:
            raise CloudError(f"error listing routes: {error}") from error
        limit = asyncio.Semaphore(MAX_AT_ONCE)
        by_name = {node.metadata.name: node for node in present}
        async with asyncio.TaskGroup() as group:  # One after the other: a route may be replaced by one of its name.
            removed = [group.create_task(self._delete(route, limit)) for route in todo.delete]
        async with asyncio.TaskGroup() as group:
            made = [
                (route, group.create_task(self._create(by_name[route.node], route, hint, limit)))
                for route, hint in todo.create
            ]
        there = {(route.node, route.destination) for route, task in made if task.result()}
        for name, kept in todo.kept.items():
            node = by_name[name]
            whole = bool(node.spec.podCIDRs) and all(
                cidr in kept or (name, cidr) in there for cidr in node.spec.podCIDRs
            )
            await self._tell(node, whole)
        failed = sum(not task.result() for task in removed) + len(made) - len(there)
        if failed:
            raise CloudError(f"{failed} routes could not be made or removed")
        return None

    async def _delete(self, route: Route, limit: asyncio.Semaphore) -> bool:
        async with limit:
            try:
                await self.routes.delete(route)
            except CloudError as error:
                log.warning("route not deleted", extra={"route": route.destination, "error": str(error)})
                return False
        return True

    async def _create(self, node: Node, route: Route, hint: str, limit: asyncio.Semaphore) -> bool:
        async with limit:
            try:
                await self.routes.create(route, hint)
            except CloudError as error:
                text = f"Could not create route {hint} {route.destination} for node {route.node}: {error}"
                self.recorder.event(node, "Warning", "FailedToCreateRoute", text)
                return False
        return True

    async def _tell(self, node: Node, made: bool) -> None:
        wanted = condition(made, Time.of(clock.now()))
        now = next((one for one in node.status.conditions if one.type == wanted.type), None)
        if now is not None and (now.status, now.reason) == (wanted.status, wanted.reason):
            return
        change = {"metadata": {"uid": node.metadata.uid}, "status": {"conditions": [codec.to_builtins(wanted)]}}
        try:
            await self.client.patch(Node, node.metadata.name, change, type="strategic", subresource="status")
        except NotFound:
            return


def _told(node: Node | None) -> bool:
    """It says that its routes are there. A request that comes late can unsay it."""
    conditions = node.status.conditions if node is not None else ()
    return any((one.type, one.status) == ("NetworkUnavailable", "False") for one in conditions)


def _matters(node: Node) -> tuple[object, ...]:
    return (node.metadata.uid, node.spec.podCIDRs, node.status.addresses)
