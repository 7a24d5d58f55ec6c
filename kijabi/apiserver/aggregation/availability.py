"""Whether an aggregated API server can be used: what its APIService's condition `Available` says.

`aggregator.py` calls `check` after changes and now and then, and writes the Verdict. Reasons, messages and their
order are those of k8s.io/kube-aggregator `pkg/controllers/status/remote`.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from kijabi.api.apiregistration.apiservice import APIService, ServiceReference
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.api.gotext import quote
from kijabi.apiserver.aggregation.backends import Backends, Unreachable, Untrusted
from kijabi.apiserver.attributes import Reader, UserInfo
from kijabi.apiserver.webhooks.services import Unresolved

ATTEMPTS = 5  # at other endpoints too, when the first fails
SECONDS = 5.0  # for an answer to one
MAX_ANSWER = 4 << 20  # bytes read of it
AGGREGATOR = UserInfo("system:kube-aggregator", groups=("system:masters",))


class Verdict(NamedTuple):
    """The condition: status, reason, message."""

    status: str
    reason: str
    message: str

    @property
    def passed(self) -> bool:
        """Whether it is available."""
        return self.status == "True"


PASSED = Verdict("True", "Passed", "all checks passed")


async def check(reader: Reader, backends: Backends, service: APIService) -> Verdict:
    """Look at the Service, its endpoints, and what the server answers."""
    place = service.spec.service
    assert place is not None, "local APIServices are always available"
    return look(reader, place) or await _ask(backends, service)


def look(reader: Reader, place: ServiceReference) -> Verdict | None:
    """What is wrong by the objects alone; pure, but for what it reads. None if nothing is."""
    where = f"service/{place.name} in {quote(place.namespace)}"
    service = reader.get(Service, place.name, place.namespace)
    if service is None:
        return Verdict("False", "ServiceNotFound", f"{where} is not present")
    if service.spec.type != "ClusterIP":
        return None
    port = next((each for each in service.spec.ports if each.port == place.port), None)
    if port is None:
        return Verdict("False", "ServicePortError", f"{where} is not listening on port {place.port}")
    slices = [
        each
        for each in reader.items(EndpointSlice, place.namespace)
        if (each.metadata.labels or {}).get(SERVICE_NAME) == place.name
    ]
    if not slices:
        return Verdict("False", "EndpointsNotFound", f"cannot find endpointslices for {where}")
    if not any(_ready(each, port.name) for each in slices):
        text = f"endpointslices for {where} have no addresses with port name {quote(port.name)}"
        return Verdict("False", "MissingEndpoints", text)
    return None


def _ready(each: EndpointSlice, port_name: str) -> bool:
    usable = any(endpoint.conditions.ready is not False for endpoint in each.endpoints)
    return usable and any((port.name or "") == port_name and port.port is not None for port in each.ports)


async def _ask(backends: Backends, service: APIService) -> Verdict:
    """Ask for the version's discovery document: once, and if that fails several times at once."""
    problem = await _once(backends, service)
    if not problem:
        return PASSED
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(_once(backends, service)) for _ in range(ATTEMPTS - 1)]
        for each in asyncio.as_completed(tries):
            problem = await each
            if not problem:
                for task in tries:
                    task.cancel()
                return PASSED
    return Verdict("False", "FailedDiscoveryCheck", problem)


async def _once(backends: Backends, service: APIService) -> str:
    """Why there is no good answer; an empty text if there is one."""
    spec = service.spec
    path = f"/apis/{spec.group}/{spec.version}" if spec.group else f"/api/{spec.version}"
    try:
        url = f"https://{backends.address(service)}{path}"
    except (Unresolved, Untrusted) as error:
        return str(error)
    try:
        found = await backends.fetch(service, path, AGGREGATOR, [], seconds=SECONDS, limit=MAX_ANSWER)
    except (Unresolved, Untrusted) as error:
        return str(error)
    except Unreachable as error:
        return f"failing or missing response from {url}: Get {quote(url)}: {error}"
    if not 200 <= found.status < 300:
        return f"failing or missing response from {url}: bad status from {url}: {found.status}"
    return ""
