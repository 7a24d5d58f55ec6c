"""Load balancers for Services: made, brought before other nodes, removed, and shown in the Service's status.

Receives Services and nodes; asks the provider's `LoadBalancers`; writes the finalizer and the status. `plan` decides
what is to be done for one Service, from what was done last (k8s.io/cloud-provider `controllers/service` for order,
texts and events).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from kijabi.api import codec
from kijabi.api.core.balancing import ANNOUNCED_BY
from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerStatus, Service
from kijabi.base.errors import ApiError, Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.cloud.interface import CloudError, ImplementedElsewhere, LoadBalancers, RetryAfter
from kijabi.controllers.cloud.nodes import balanced, included, shown
from kijabi.controllers.cloud.patience import Patience
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import nodes, services

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
# Names of nodes in the text of an event, at most.
MAX_NAMES = 20
BALANCED = "balanced"


class Todo(Enum):
    """What is to be done for a Service."""

    NOTHING = "nothing"
    ENSURE = "ensure"
    UPDATE = "update"
    DELETE = "delete"


class Done(NamedTuple):
    """What was done last for a Service: what it was then, asked for and was shown, and before which nodes."""

    service: Service
    asked: tuple[Any, ...]
    nodes: frozenset[tuple[str, str]]
    status: LoadBalancerStatus | None = None


def wants(service: Service) -> bool:
    """It is to have a load balancer, and not one of a class, which others make."""
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass is None


def needs_cleanup(service: Service) -> bool:
    """It has had one, and is to have none any more."""
    if FINALIZER not in service.metadata.finalizers:
        return False
    return service.metadata.deletionTimestamp is not None or service.spec.type != "LoadBalancer"


def asked(service: Service) -> tuple[Any, ...]:
    """What a load balancer is made by: its change makes one worth ensuring. Who announces is not asked, but told."""
    spec = service.spec
    annotations = {key: value for key, value in service.metadata.annotations.items() if key != ANNOUNCED_BY}
    return (
        service.metadata.uid,
        annotations,
        spec.ports,
        spec.loadBalancerIP,
        spec.loadBalancerSourceRanges,
        spec.externalIPs,
        spec.externalTrafficPolicy,
        spec.sessionAffinity,
        spec.sessionAffinityConfig,
        spec.healthCheckNodePort,
        len(spec.ipFamilies),
    )


def plan(service: Service, done: Done | None, now: frozenset[tuple[str, str]]) -> Todo:
    """What brings a Service's load balancer in line. now: the nodes that it is to stand before."""
    if needs_cleanup(service) or not wants(service):
        return Todo.DELETE if needs_cleanup(service) or done is not None else Todo.NOTHING
    if service.metadata.deletionTimestamp is not None:
        return Todo.NOTHING
    if done is None or done.asked != asked(service):
        return Todo.ENSURE
    if done.status is not None and done.status != service.status.loadBalancer:  # Such as by another type meanwhile.
        return Todo.ENSURE
    return Todo.UPDATE if done.nodes != now else Todo.NOTHING


def _balanced(service: Service) -> tuple[str, ...]:
    """Index: the Services whose load balancer follows the nodes."""
    return (BALANCED,) if wants(service) else ()


class ServiceBalancers:
    """The controller."""

    name = "service"
    workers = WORKERS

    def __init__(self, context: Context, balancers: LoadBalancers) -> None:
        self.client = context.client
        self.balancers = balancers
        self.patience = Patience(self.name)
        self.recorder = context.recorder("service-controller")
        self.services = services(context.informers)
        self.services.add_index(BALANCED, _balanced)
        self.nodes = nodes(context.informers)
        self._done: dict[str, Done] = {}

    def sources(self) -> Sequence[Source]:
        more = (Source(source.informer, self._again(source.keys)) for source in self.balancers.sources())
        return (Source(self.services, self._keys), Source(self.nodes, self._keys_of_node), *more)

    def _keys(self, old: Service | None, new: Service | None) -> Iterable[str]:
        service = new if new is not None else old
        if service is None or not (wants(service) or needs_cleanup(service) or key_of(service) in self._done):
            return ()
        if old is not None and new is not None and not needs_cleanup(new) and self._same(old, new):
            return ()
        return (key_of(service),)

    def _same(self, old: Service, new: Service) -> bool:
        shown = old.status.loadBalancer == new.status.loadBalancer
        return shown and wants(old) == wants(new) and asked(old) == asked(new)

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """All that have a load balancer, if the node begins or ceases to take part, or became another machine."""
        if old is not None and new is not None:
            same = included(old) == included(new) and old.spec.providerID == new.spec.providerID
            if same and (old.metadata.deletionTimestamp is None) == (new.metadata.deletionTimestamp is None):
                return ()
        return [key_of(service) for service in self.services.index(BALANCED, BALANCED)]

    def _again(self, keys: Callable[[Any, Any], Iterable[str]]) -> Callable[[Any, Any], Iterable[str]]:
        """What the provider wants to be asked about again, as if it had not been asked yet."""

        def handle(old: Any, new: Any) -> Iterable[str]:
            woken = tuple(keys(old, new))
            for key in woken:
                done = self._done.get(key)
                if done is not None:
                    self._done[key] = done._replace(asked=())
            return woken

        return handle

    async def reconcile(self, key: str) -> float | None:
        return await self.patience.tried(key, self._reconcile(key))

    async def _reconcile(self, key: str) -> None:
        service = self.services.get(key)
        done = self._done.get(key)
        if done is not None and (service is None or service.metadata.uid != done.service.metadata.uid):
            await self._vanished(key, done.service)
            done = None
        if service is None:
            return
        ready = [node for node in self.nodes.items() if balanced(node)] if wants(service) else []
        match plan(service, done, shown(ready)):
            case Todo.DELETE:
                if done is not None:  # Whatever becomes of this: what was made is not there any more.
                    self._done[key] = done._replace(asked=())
                await self._told(service, "SyncLoadBalancerFailed", "Error syncing load balancer", self._delete)
                self._done.pop(key, None)
            case Todo.ENSURE:

                async def ensure(one: Service) -> None:
                    await self._ensure(key, one, ready)

                await self._told(service, "SyncLoadBalancerFailed", "Error syncing load balancer", ensure)
            case Todo.UPDATE:
                await self._update(key, service, ready)

    async def _told(self, service: Service, reason: str, text: str, act: Callable[[Service], Any]) -> None:
        """Do something; what the cloud has against it is said in an event."""
        try:
            await act(service)
        except ImplementedElsewhere:
            raise
        except (CloudError, ApiError) as error:
            if not isinstance(error, Conflict):
                self.recorder.event(service, "Warning", reason, f"{text}: {error}")
            raise

    async def _vanished(self, key: str, service: Service) -> None:
        """It went without our finalizer, which somebody has taken away."""
        if wants(service):
            self.recorder.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
            delete = self.balancers.delete
            await self._told(service, "DeleteLoadBalancerFailed", "Error deleting load balancer", delete)
            self.recorder.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
        self._done.pop(key, None)

    async def _delete(self, service: Service) -> None:
        if await self.balancers.get(service) is not None:
            self.recorder.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
            try:
                await self.balancers.delete(service)
            except ImplementedElsewhere:
                pass
            except CloudError as error:
                raise CloudError(f"failed to delete load balancer: {error}") from error
        try:
            # The status first: an address that nobody is shown any more may be given to others.
            service = await self._write_status(service, LoadBalancerStatus())
            if FINALIZER in service.metadata.finalizers:
                left = [name for name in service.metadata.finalizers if name != FINALIZER]
                await self._patch(service, {"metadata": {"finalizers": left}})
        except NotFound:
            pass
        self.recorder.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")

    async def _ensure(self, key: str, service: Service, ready: list[Node]) -> None:
        self.recorder.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        question = asked(service)
        self._done[key] = Done(service, (), frozenset())  # From now on there may be something to remove.
        if FINALIZER not in service.metadata.finalizers:
            finalizers = [*service.metadata.finalizers, FINALIZER]
            service = await self._patch(service, {"metadata": {"finalizers": finalizers}})
        self._tell_if_none(service, ready)
        try:
            status = await self.balancers.ensure(service, ready)
        except RetryAfter as error:
            raise RetryAfter(f"failed to ensure load balancer: {error}", error.seconds) from error
        except ImplementedElsewhere:
            self._done[key] = Done(service, question, shown(ready))
            raise
        except CloudError as error:
            raise CloudError(f"failed to ensure load balancer: {error}") from error
        self.recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        service = await self._write_status(service, status)
        self._done[key] = Done(service, question, shown(ready), service.status.loadBalancer)

    def _tell_if_none(self, service: Service, ready: list[Node]) -> None:
        if not ready:
            text = "There are no available nodes for LoadBalancer"
            self.recorder.event(service, "Warning", "UnAvailableLoadBalancer", text)

    async def _update(self, key: str, service: Service, ready: list[Node]) -> None:
        now = shown(ready)
        try:
            await self.balancers.update(service, ready)
        except ImplementedElsewhere:
            pass
        except CloudError as error:
            self._done[key] = Done(service, (), now)
            if await self.balancers.get(service) is None:
                return
            names = sorted(name for name, _ in now)
            cut = [*names[:MAX_NAMES], f"<{len(names) - MAX_NAMES} more>"] if len(names) > MAX_NAMES else names
            total = f"[node names limited, total number of nodes: {len(names)}]"
            text = f"Error updating load balancer with new hosts [{' '.join(cut)}] {total}, error: {error}"
            self.recorder.event(service, "Warning", "UpdateLoadBalancerFailed", text)
            raise
        else:
            self._tell_if_none(service, ready)
            if ready:
                self.recorder.event(service, "Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts")
        self._done[key] = Done(service, asked(service), now, service.status.loadBalancer)

    async def _write_status(self, service: Service, status: LoadBalancerStatus) -> Service:
        if service.status.loadBalancer == status:
            return service
        ingress = codec.to_builtins(status).get("ingress")
        return await self._patch(service, {"status": {"loadBalancer": {"ingress": ingress}}})

    async def _patch(self, service: Service, change: dict[str, Any]) -> Service:
        """Change what the Service is as we saw it; Conflict if it is another by now."""
        meta = service.metadata
        change["metadata"] = {**change.get("metadata", {}), "uid": meta.uid, "resourceVersion": meta.resourceVersion}
        return await self.client.patch(Service, meta.name, change, namespace=meta.namespace, subresource="status")
