"""Quota counting: the status of quotas says what their namespaces use, and gives back what was freed.

Admission in the API server charges what is created, in the same transaction; this controller counts anew what there is
when something went, ended or shrank, when a quota is new or changed, and now and then. A count that lags behind would
give away what is taken already, so nothing is counted from informers: they only say when. The quotas are listed first,
then the objects, and a status is written only over the version of the quota that was listed: whatever was created
since has changed the quota (`api/quota/check.py`, Charge), and the write fails. What counts is pure and in
`api/quota/count.py` (core/v1 ResourceQuota; k8s.io/kubernetes `pkg/controller/resourcequota`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.resources import ResourceList
from kijabi.api.core.service import Service
from kijabi.api.meta import Object, PartialObjectMetadata
from kijabi.api.quota import pods as podquota
from kijabi.api.quota.count import counted, kinds, status, used_by
from kijabi.api.quota.evaluators import EVALUATORS, TYPES, claim_changed
from kijabi.api.resource import Resource
from kijabi.base import clock
from kijabi.base.errors import Conflict, MethodNotAllowed, NotFound
from kijabi.controllers.discovery import discover
from kijabi.controllers.removals import Removals
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import NAMESPACE, claims, namespace_of, pods, quotas, services

RESYNC = 300.0  # seconds until a namespace is counted again without a reason
UNKNOWN = 10.0  # seconds until a kind that the server does not have is looked for again
ATTEMPTS = 3  # of a count while others charge the same quotas


class ResourceQuotas:
    """The controller; a key is a namespace with quotas."""

    name = "resourcequota"
    workers = 5

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.quotas = quotas(context.informers)
        self.pods = pods(context.informers)
        self.services = services(context.informers)
        self.claims = claims(context.informers)
        self.removals = Removals(context.client)
        self.resources = {one.qualified: one for one in context.resources}
        context.background.append(self.removals.run)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.quotas, _keys_of_quota),
            Source(self.pods, self._when(_pod_shrank)),
            Source(self.services, self._when(_service_shrank)),
            Source(self.claims, self._when(claim_changed)),
            Source(self.removals, self._when(_never)),
        )

    def _when(self, shrank: Any) -> Any:
        """The namespace of an object that went or shrank, if it has quotas."""

        def keys(old: Object | None, new: Object | None) -> Iterable[str]:
            if old is None or not self.quotas.index(NAMESPACE, old.metadata.namespace):
                return ()
            gone = new is None or new.metadata.uid != old.metadata.uid
            return namespace_of(old) if gone or shrank(new, old) else ()

        return keys

    async def reconcile(self, key: str) -> float | None:
        for _ in range(ATTEMPTS):
            found = (await self.client.list(ResourceQuota, key)).items
            if not found:
                return None
            count = _Count(self, key, clock.now())
            try:
                for quota in found:
                    await self._settle(quota, await count.of(quota))
            except Conflict as conflict:
                late = conflict  # somebody was charged meanwhile: count again
                await self._announce(found)
                continue
            return count.again
        raise late

    async def _announce(self, found: Iterable[ResourceQuota]) -> None:
        """Say what will be counted, over the heads of busy writers: they are refused until it is counted."""
        for quota in found:
            own = quota.metadata
            if quota.status.hard != quota.spec.hard:
                status = {"hard": dict(quota.spec.hard)}
                await self.client.patch(
                    ResourceQuota, own.name, {"metadata": {"uid": own.uid}, "status": status},
                    namespace=own.namespace, subresource="status",
                )  # fmt: skip

    async def _settle(self, quota: ResourceQuota, found: dict[str, ResourceList]) -> None:
        new = status(quota, found)
        if new is None:
            return
        try:
            await self.client.update_status(replace(quota, status=new))
        except NotFound:
            return

    async def number(self, namespace: str, qualified: str) -> int | None:
        """How many objects of a kind a namespace has; None if there is no such kind."""
        resource = self.resources.get(qualified)
        if resource is None:
            found = await discover(self.client, "list", "watch", "delete")
            self.resources = {one.qualified: one for one in found}
            resource = self.resources.get(qualified)
        if resource is None or not resource.namespaced:
            return None
        try:
            await self.removals.watch(resource)
            page = await self.client.metadata_of(resource).list(PartialObjectMetadata, namespace, limit=1)
        except (NotFound, MethodNotAllowed):
            self._forget(resource)
            return None
        return len(page.items) + (page.remaining or 0)

    def _forget(self, resource: Resource) -> None:
        self.removals.drop(resource)
        self.resources.pop(resource.qualified, None)


class _Count:
    """What one namespace uses, each kind listed once. again: seconds after which it may be less by itself."""

    def __init__(self, controller: ResourceQuotas, namespace: str, now: datetime) -> None:
        self._controller = controller
        self._namespace = namespace
        self._now = now
        self._objects: dict[str, Sequence[Any]] = {}
        self._numbers: dict[str, int | None] = {}
        self.again = RESYNC

    async def of(self, quota: ResourceQuota) -> dict[str, ResourceList]:
        """What each kind takes of a quota."""
        found = {}
        for kind in kinds(quota):
            if kind in TYPES:
                found[kind] = used_by(quota, EVALUATORS[kind], await self._list(kind), self._now)
                continue
            if kind not in self._numbers:
                self._numbers[kind] = await self._controller.number(self._namespace, kind)
            number = self._numbers[kind]
            if number is None:
                self.again = UNKNOWN
            else:
                found[kind] = counted(quota, kind, number)
        return found

    async def _list(self, kind: str) -> Sequence[Any]:
        if kind not in self._objects:
            self._objects[kind] = (await self._controller.client.list(TYPES[kind], self._namespace)).items
            if kind == "pods":
                times = (podquota.overdue(pod) for pod in self._objects[kind])
                waits = [when - self._now.timestamp() for when in times if when is not None]
                self.again = min([self.again, *(wait + 1 for wait in waits if wait > 0)])
        return self._objects[kind]


def _keys_of_quota(old: ResourceQuota | None, new: ResourceQuota | None) -> Iterable[str]:
    """A quota that is new, was changed, or whose status somebody else has changed."""
    if new is None or (old is not None and old.spec == new.spec and new.status.hard == new.spec.hard):
        lost = old is not None and new is not None and old.status.used.keys() - new.status.used.keys()
        return namespace_of(new) if lost else ()
    return namespace_of(new)


def _pod_shrank(new: Pod, old: Pod) -> bool:
    now = clock.now()
    return (
        (podquota.ended(new, now) and not podquota.ended(old, now))
        or podquota.terminating(new) != podquota.terminating(old)
        or podquota.resources_changed(new, old)
    )


def _service_shrank(new: Service, old: Service) -> bool:
    return new.spec.type != old.spec.type or len(new.spec.ports) != len(old.spec.ports)


def _never(new: Object, old: Object) -> bool:
    return False
