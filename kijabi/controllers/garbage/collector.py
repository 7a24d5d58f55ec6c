"""The garbage collector's shell: watches every resource's metadata and carries out what follows.

Receives items through informers (the shared ones where a controller needs the objects anyway, metadata-only ones for
the rest) and keeps the graph; deletes and patches through metadata-only clients. Nothing is deleted on the word of a
cache: the object and every owner that the graph does not know are read from the server first, and the deletion names
the version that was judged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import Object, ObjectMeta, OwnerReference, PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.base.errors import NotFound, ServiceUnavailable
from kijabi.client.client import Client
from kijabi.controllers.garbage.graph import FOREGROUND, ORPHAN, Graph, Identity, Item, item_of
from kijabi.controllers.garbage.verdict import Owner, judge
from kijabi.controllers.garbage.watching import Change, Watching
from kijabi.controllers.kinds import Kinds
from kijabi.controllers.runtime import Context, Source

K = TypeVar("K")

SHARED: dict[tuple[str, str], type[Object]] = {
    ("", "pods"): Pod,
    ("", "nodes"): Node,
    ("", "services"): Service,
    ("apps", "deployments"): Deployment,
    ("apps", "replicasets"): ReplicaSet,
    ("discovery.k8s.io", "endpointslices"): EndpointSlice,
}
"""Resources whose whole objects this process watches anyway."""
IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
REMEMBERED = 5000
"""Owners remembered as gone, so that the many dependents of one ask the server once."""
UNSEEN = 30.0
"""Seconds after which to look again at an object whose owner exists but has not been seen by its informer."""


class GarbageCollector:
    """The controller; a key is an object's uid."""

    name = "garbage-collector"
    workers = 20

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("garbage-collector-controller")
        self.graph = Graph()
        self.resources: dict[tuple[str, str], Resource] = {}
        self._clients: dict[tuple[str, str], Client] = {}
        self._absent: OrderedDict[Identity, None] = OrderedDict()
        self._released: OrderedDict[str, None] = OrderedDict()  # uids of owners that orphaned their dependents
        kinds = Kinds(context.client, context.resources)
        for resource in kinds:
            self._meet(resource)
        self._watching = Watching(context, kinds, SHARED, IGNORED)
        context.background += [kinds.run, self._watching.run]

    def _meet(self, resource: Resource) -> None:
        kind = (resource.group, resource.kind)
        self.resources[kind] = resource
        self._clients[kind] = self.client.metadata_of(resource)

    def sources(self) -> Sequence[Source]:
        return (Source(self._watching, lambda _, change: self._keys(change)),)

    def _keys(self, change: Change) -> Iterable[str]:
        """What a change makes worth looking at."""
        resource, old, new = change.resource, change.old, change.new
        if old is None and new is None:
            return self._of_kind(resource, gone=change.forgotten)
        work: set[str] = set()
        if change.forgotten and old is not None:
            return self.graph.remove(old.metadata.uid)
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            work |= self._gone(item_of(resource.api_version, resource.kind, old.metadata))
        if new is not None:
            item = item_of(resource.api_version, resource.kind, new.metadata)
            work |= self.graph.put(item)
            self._report_foreign(item)
            if old is None:  # Its dependents may have been seen before it.
                for each in self.graph.dependents(item.uid):
                    if each.identity.namespace != item.identity.namespace:
                        self._report_foreign(each)
        return work

    def _of_kind(self, resource: Resource, gone: bool) -> Iterable[str]:
        """A kind came or went; those that were waiting for it, because an owner of theirs is of that kind, go on."""
        kind = (resource.group, resource.kind)
        if gone:
            self.resources.pop(kind, None)
            return ()
        self._meet(resource)
        return self.graph.owned_by_kind(*kind)

    def _gone(self, item: Item) -> set[str]:
        work = self.graph.remove(item.uid)
        if item.orphan:
            _remember(self._released, item.uid)
        if next(self.graph.dependents(item.uid), None) is not None:
            _remember(self._absent, item.identity)
        return work

    def _report_foreign(self, item: Item) -> None:
        """Tell of a reference to an owner in another namespace, which cannot be: it will count as absent."""
        here = item.identity
        for ref in item.owners:
            owner = self.graph.items.get(ref.uid)
            if owner is not None and owner.identity.namespace not in ("", here.namespace):
                named = Identity(ref.apiVersion, ref.kind, here.namespace, ref.name, ref.uid)
                about = ObjectReference(
                    apiVersion=here.apiVersion, kind=here.kind, namespace=here.namespace, name=here.name, uid=here.uid
                )
                text = f'ownerRef {named} does not exist in namespace "{here.namespace}"'
                self.recorder.event(about, "Warning", "OwnerRefInvalidNamespace", text)

    async def reconcile(self, key: str) -> float | None:
        item = self.graph.items.get(key)
        if item is None:
            return None
        if item.orphan:
            await self._orphan(item)
        elif item.foreground:
            if not any(each.blocks(key) for each in self.graph.dependents(key)):
                await self._drop_finalizer(item, FOREGROUND)
        elif not item.deleting and self.graph.suspicious(item):
            return await self._look_at(item)
        return None

    async def _look_at(self, item: Item) -> float | None:
        """Find out how its owners stand and do what follows."""
        live = await self._live(item.identity)
        if live is None or live.deletionTimestamp is not None:
            return None  # Its informer will say so.
        owners = {ref.uid: await self._state_of(item, ref) for ref in live.ownerReferences}
        dependents = tuple(self.graph.dependents(item.uid))
        verdict = judge(live, owners, dependents=bool(dependents), cycle=any(each.foreground for each in dependents))
        if verdict.drop:
            await self._patch_owners(item, live, [r for r in live.ownerReferences if r.uid not in verdict.drop])
        if verdict.unblock:
            refs = [_unblocked(ref) for ref in live.ownerReferences]
            live = await self._patch_owners(item, live, refs)
        if verdict.delete:
            await self._delete(item, live, verdict.delete)
        unseen = any(state is Owner.SOLID and uid not in self.graph.items for uid, state in owners.items())
        return UNSEEN if unseen and not verdict.delete else None

    async def _state_of(self, item: Item, ref: OwnerReference) -> Owner:
        """How an owner stands: by the graph if it is known under that reference, else by the server."""
        here = item.identity
        resource = self.resources.get((ref.apiVersion.rpartition("/")[0], ref.kind))
        if resource is None:
            raise ServiceUnavailable(f"no resource is known for owner {ref.apiVersion}/{ref.kind} of {here}")
        if resource.namespaced and not here.namespace:
            return Owner.SOLID  # An invalid reference; nothing must be deleted because of it.
        namespace = here.namespace if resource.namespaced else ""
        named = Identity(resource.api_version, resource.kind, namespace, ref.name, ref.uid)
        known = self.graph.items.get(ref.uid)
        if known is not None and known.identity == named:
            return Owner.WAITING if known.foreground else Owner.SOLID
        if ref.uid in self._released:  # A dependent that was made, or seen, too late to be orphaned with the rest.
            return Owner.RELEASED
        if named in self._absent:
            return Owner.ABSENT
        live = await self._live(named)
        if live is None:
            _remember(self._absent, named)
            return Owner.ABSENT
        foreground = live.deletionTimestamp is not None and FOREGROUND in live.finalizers
        return Owner.WAITING if foreground else Owner.SOLID

    async def _orphan(self, owner: Item) -> None:
        """Take the reference to it off every dependent, then let it go."""
        _remember(self._released, owner.uid)
        for each in tuple(self.graph.dependents(owner.uid)):
            live = await self._live(each.identity)
            if live is not None and any(ref.uid == owner.uid for ref in live.ownerReferences):
                await self._patch_owners(each, live, [r for r in live.ownerReferences if r.uid != owner.uid])
        await self._drop_finalizer(owner, ORPHAN)

    def _client(self, identity: Identity) -> Client:
        return self._clients[identity.apiVersion.rpartition("/")[0], identity.kind]

    async def _live(self, identity: Identity) -> ObjectMeta | None:
        """The object's metadata on the server; None if it is gone, or another has its name."""
        try:
            live = await self._client(identity).get(PartialObjectMetadata, identity.name, identity.namespace)
        except NotFound:
            return None
        return live.metadata if live.metadata.uid == identity.uid else None

    async def _patch(self, item: Item, live: ObjectMeta, change: dict[str, Any]) -> ObjectMeta:
        """Merge into the metadata of the version that was judged. Raises Conflict if there is a newer one."""
        here = item.identity
        patch = {"metadata": {"uid": live.uid, "resourceVersion": live.resourceVersion, **change}}
        client = self._client(here)
        return (await client.patch(PartialObjectMetadata, here.name, patch, namespace=here.namespace)).metadata

    async def _patch_owners(self, item: Item, live: ObjectMeta, owners: Sequence[OwnerReference]) -> ObjectMeta:
        return await self._patch(item, live, {"ownerReferences": [codec.to_builtins(ref) for ref in owners]})

    async def _drop_finalizer(self, item: Item, name: str) -> None:
        live = await self._live(item.identity)
        if live is not None and name in live.finalizers:
            await self._patch(item, live, {"finalizers": [each for each in live.finalizers if each != name]})

    async def _delete(self, item: Item, live: ObjectMeta, policy: str) -> None:
        here = item.identity
        try:
            await self._client(here).delete(
                PartialObjectMetadata,
                here.name,
                here.namespace,
                uid=live.uid,
                resource_version=live.resourceVersion,
                propagation=policy,
            )
        except NotFound:
            return


def _remember(memory: OrderedDict[K, None], key: K) -> None:
    """Add to a memory that forgets the oldest."""
    memory[key] = None
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _unblocked(ref: OwnerReference) -> OwnerReference:
    return OwnerReference(
        apiVersion=ref.apiVersion,
        kind=ref.kind,
        name=ref.name,
        uid=ref.uid,
        controller=ref.controller,
        blockOwnerDeletion=False,
    )
