"""What is scaled: anything that has a `/scale`, found by its kind, read and set there.

`controller.py` calls it for every autoscaler; `metrics.py` asks it for the resource of an object that has a metric.
Kinds are asked of discovery when they are needed and held for a while, so custom resources are targets like others.
Source: autoscaling/v1 Scale; client-go `scale`.
"""

from __future__ import annotations

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.autoscaling.horizontalpodautoscaler import CrossVersionObjectReference
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.base.errors import Conflict, NotFound
from kijabi.base.expiring import Expiring
from kijabi.client.client import Client
from kijabi.controllers.discovery import discover

HELD = 30.0
"""Seconds for which what discovery said holds; a kind that it did not have is asked for again at once."""
TRIES = 5
"""Writes of a scale that somebody else keeps writing, before it is left for the next time."""


class Targets:
    """The scales of the cluster's objects."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: Expiring[str, list[Resource]] = Expiring(1)

    async def of_kind(self, group: str, kind: str) -> list[Resource]:
        """The resources of a kind, in the version that the group prefers. Raises NotFound if there is none."""
        for known in (self._known.get(""), None):
            if known is None:
                known = await discover(self._client)
                self._known.put("", known, HELD)
            found = [one for one in known if (one.group, one.kind) == (group, kind)]
            if found:
                return found
        raise NotFound(f"no matches for kind {quote(kind)} in group {quote(group)}")

    async def read(self, reference: CrossVersionObjectReference, namespace: str) -> tuple[Resource, Scale]:
        """The scale of what is meant, and its resource. Raises ApiError or ConnectionLost.

        Only what lives in the namespace can be meant: who may make autoscalers there rules over nothing else.
        """
        group = reference.apiVersion.rpartition("/")[0]
        if "/" in group:
            raise NotFound(f"unexpected GroupVersion string: {reference.apiVersion}")
        failed: NotFound | None = None
        for resource in await self.of_kind(group, reference.kind):
            try:
                return resource, await self._get(resource, reference.name, namespace)
            except NotFound as error:
                failed = failed or error
        raise failed or NotFound("unrecognized resource")

    async def set(self, resource: Resource, scale: Scale, replicas: int) -> None:
        """Write a number of replicas, whoever else writes too. Raises ApiError or ConnectionLost."""
        name, namespace = scale.metadata.name, scale.metadata.namespace
        for left in reversed(range(TRIES)):
            wanted = replace(scale, spec=replace(scale.spec, replicas=replicas))
            try:
                await self._client.subresource("PUT", resource, name, namespace, "scale", wanted)
                return
            except Conflict:
                if not left:
                    raise
                scale = await self._get(resource, name, namespace)

    async def _get(self, resource: Resource, name: str, namespace: str) -> Scale:
        if not resource.namespaced:
            raise NotFound("the server could not find the requested resource")
        answer = await self._client.subresource("GET", resource, name, namespace, "scale")
        return codec.decode(Scale, answer.body)
