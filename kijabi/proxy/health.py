"""Health checks for load balancers outside: a port for each Service with externalTrafficPolicy Local, on every node.

A balancer asks each node over HTTP whether it has endpoints of the Service. `loop` says what to answer; whether the
node is asked at `/healthz` or anything else makes no difference (core/v1 ServiceSpec, healthCheckNodePort).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from kijabi.api.core.reference import ObjectReference
from kijabi.client.events import Recorder

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)


class Check(NamedTuple):
    """What a port says: of which Service, and how many ready endpoints this node has."""

    namespace: str
    name: str
    uid: str
    endpoints: int


class HealthPorts:
    """One node's ports. healthy: whether the proxy's rules are in force; without them endpoints are of no use."""

    def __init__(self, node: str, recorder: Recorder, healthy: Callable[[], bool]) -> None:
        self._node = node
        self._recorder = recorder
        self._healthy = healthy
        self._checks: dict[int, Check] = {}
        self._sites: dict[int, web.TCPSite] = {}
        self._runner: web.ServerRunner | None = None

    async def sync(self, checks: Mapping[int, Check]) -> None:
        """Listen at these ports, and no others. One that somebody else has is said in an event."""
        before, self._checks = self._checks, dict(checks)
        for port in self._sites.keys() - checks.keys():
            await self._sites.pop(port).stop()
        for port in sorted(checks.keys() - self._sites.keys()):
            if port not in before or before[port][:3] != checks[port][:3]:  # What failed is not told again and again.
                await self._listen(port, checks[port])

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, port: int, check: Check) -> None:
        from aiohttp import web  # Late: most clusters have no such Service.

        if self._runner is None:
            self._runner = web.ServerRunner(web.Server(self._answer, access_log=None))
            await self._runner.setup()
        site = web.TCPSite(self._runner, "0.0.0.0", port)
        try:
            await site.start()
        except OSError as error:
            await site.stop()
            service = f"{check.namespace}/{check.name}"
            text = f'node {self._node} failed to start healthcheck "{service}" on port {port}: {error}'
            about = ObjectReference(kind="Service", apiVersion="v1", namespace=check.namespace, name=check.name)
            about.uid = check.uid
            self._recorder.event(about, "Warning", "FailedToStartServiceHealthcheck", text)
            log.error("no health check", extra={"service": service, "port": port, "error": str(error)})
            return
        self._sites[port] = site

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web

        port = request.transport.get_extra_info("sockname")[1] if request.transport is not None else 0
        check = self._checks.get(port)
        if check is None:  # It was closed a moment ago.
            return web.Response(status=503)
        healthy = self._healthy()
        content = {
            "service": {"namespace": check.namespace, "name": check.name},
            "localEndpoints": check.endpoints,
            "serviceProxyHealthy": healthy,
        }
        headers = {"X-Content-Type-Options": "nosniff", "X-Load-Balancing-Endpoint-Weight": str(check.endpoints)}
        return web.Response(
            status=200 if check.endpoints and healthy else 503,
            body=json.dumps(content, indent="\t").encode(),
            content_type="application/json",
            headers=headers,
        )
