"""How objects go away: at once, gracefully (pods), or when their finalizers have been emptied.

`server.py` calls `delete` and `delete_collection`; `registry.py` asks `finished` on every update, because the update
that takes the last finalizer is the one that deletes. The rules are those of k8s.io/apiserver
`pkg/registry/rest/delete.go` and `generic/registry/store.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from kijabi.api import codec, meta, status, validation
from kijabi.api.resource import Resource
from kijabi.apiserver import body, options
from kijabi.apiserver.attributes import Attributes
from kijabi.apiserver.audit.context import CURRENT
from kijabi.apiserver.call import Call
from kijabi.apiserver.routes import Served
from kijabi.apiserver.storage import Changed, Storage, Stored
from kijabi.apiserver.watchcache import Cache, Item
from kijabi.base import clock
from kijabi.base.errors import NotFound
from kijabi.client.transport import Request

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
POLICIES = ("Foreground", "Background", "Orphan")
BATCH = 32  # deletions of a collection that are under way at once
MAX_ATTEMPTS = 16  # of a deletion while others write the object
# Kinds whose dependents stay when nothing is said, and kinds that the garbage collector leaves alone.
_ORPHAN_BY_DEFAULT = frozenset(("replicationcontrollers", "jobs.batch"))
_NOT_COLLECTED = frozenset(("events", "events.events.k8s.io"))
# Kinds that answer a deletion with the object instead of a Status.
RETURNED = frozenset((
    "pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "podtemplates",
    "resourcequotas", "namespaces", "storageclasses.storage.k8s.io", "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io", "volumeattributesclasses.storage.k8s.io",
    "resourceclaims.resource.k8s.io", "resourceclaimtemplates.resource.k8s.io", "deviceclasses.resource.k8s.io",
    "resourceslices.resource.k8s.io",
))  # fmt: skip


class Deleted(NamedTuple):
    """How a deletion ended. stored: the object as it was or as it waits; gone: whether it is no more."""

    stored: Stored
    gone: bool


class Deletion:
    """Deletes objects of any resource."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.caches = storage.caches

    def finished(self, resource: Resource, new: Any, old: Any) -> bool:
        """Whether this update empties what a deletion waits for, and so completes it."""
        before = old.metadata
        if before.deletionTimestamp is None or waits(resource, new):
            return False
        return not before.deletionGracePeriodSeconds

    async def remove(self, cache: Cache, item: Item) -> int:
        """Delete an item now, whoever waits; the revision of the deletion. Raises Changed."""
        effects = self.storage.effects(cache, None, item.obj)
        return await self.storage.remove(cache, item.key, item.revision, effects)

    async def delete(self, call: Call, served: Served, key: str, wanted: meta.DeleteOptions) -> Deleted:
        """Delete one object as `wanted` says. Raises NotFound, Conflict, or what admission raises."""
        cache, resource = served.cache, served.resource
        assert cache is not None
        admitted = 0
        for _ in range(MAX_ATTEMPTS):
            await self.caches.fresh()
            item = cache.get(key)
            name = key.rpartition("/")[2]
            if item is None:
                raise status.not_found(resource, name)
            check_preconditions(resource, wanted, item.obj)
            if admitted != item.revision:
                shown = item if served.view is None else (await served.view.items((item,)))[0]
                await self._admit(call, shown.obj, wanted)
                admitted = item.revision
            try:
                return await self._step(cache, resource, item, wanted)
            except Changed:
                continue
        raise status.server_timeout(resource, "delete", 1)

    async def delete_all(self, call: Call, served: Served, found: Sequence[Item], wanted: meta.DeleteOptions) -> None:
        """Delete many objects, some at a time so that the store can commit them together.

        Raises the first error after the others of its batch have ended; objects that are gone are no error.
        """
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            deletions = (self.delete(call, served, item.key, wanted) for item in batch)
            for outcome in await asyncio.gather(*deletions, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, NotFound):
                    raise outcome

    async def delete_unasked(self, cache: Cache, item: Item) -> None:
        """Delete an object without asking admission, as a consequence of another deletion; gone is fine."""
        for _ in range(MAX_ATTEMPTS):
            try:
                await self._step(cache, cache.resource, item, meta.DeleteOptions())
                return
            except Changed:
                await self.caches.fresh()
            found = cache.get(item.key)
            if found is None:
                return
            item = found
        raise status.server_timeout(cache.resource, "delete", 1)

    async def _admit(self, call: Call, old: Any, wanted: meta.DeleteOptions) -> None:
        """Ask admission, unless a subresource deletes (eviction), for which it was asked already."""
        if call.info.subresource:
            return
        own = old.metadata
        namespace = own.name if call.resource.qualified == "namespaces" else own.namespace
        attrs = Attributes(
            user=call.user, resource=call.resource, operation="DELETE", namespace=namespace, name=own.name,
            old=old, options=wanted, dry_run=bool(wanted.dryRun), warnings=call.warnings,
            audit_annotations=call.audit_annotations, deadline=call.deadline,
        )  # fmt: skip
        await call.admission.mutate(attrs)
        await call.admission.validate(attrs)

    async def _step(self, cache: Cache, resource: Resource, item: Item, wanted: meta.DeleteOptions) -> Deleted:
        """Either remove the item, or write that it is being deleted. Raises Changed."""
        obj = codec.clone(item.obj)
        own = obj.metadata
        grace = self._grace(resource, obj, wanted)
        if grace is None:
            return Deleted(Stored(item.obj, item.value, item.revision), gone=False)
        own.finalizers = garbage_finalizers(resource, own, wanted)
        if resource.begin_delete is not None and own.deletionTimestamp is None:
            resource.begin_delete(obj)
        if not waits(resource, obj) and grace == 0:
            revision = item.revision if wanted.dryRun else await self.remove(cache, item)
            return Deleted(Stored(item.obj, item.value, revision), gone=True)
        if own.deletionTimestamp is None and own.generation > 0:
            own.generation += 1
        _mark(own, grace)
        if resource.qualified == "namespaces":
            obj.status.phase, own.deletionGracePeriodSeconds = "Terminating", None
        if obj == item.obj:
            return Deleted(Stored(item.obj, item.value, item.revision), gone=False)
        if wanted.dryRun:
            return Deleted(Stored(obj, self.storage.encode(cache, obj), item.revision), gone=False)
        return Deleted(await self.storage.put(cache, item.key, obj, item.revision), gone=False)

    def _grace(self, resource: Resource, obj: Any, wanted: meta.DeleteOptions) -> int | None:
        """Seconds that the object may take; None if a deletion with less is pending already."""
        if not resource.graceful:
            return 0
        own = obj.metadata
        asked = wanted.gracePeriodSeconds
        if own.deletionTimestamp is not None:
            pending = own.deletionGracePeriodSeconds or 0
            if pending == 0:
                return 0
            return None if asked is None or _at_least_one(asked) >= pending else _at_least_one(asked)
        if not obj.spec.nodeName or obj.status.phase in ("Failed", "Succeeded"):
            return 0
        if asked is None:
            asked = obj.spec.terminationGracePeriodSeconds or 0
        return _at_least_one(asked)


def _at_least_one(seconds: int) -> int:
    """Negative periods count as one second."""
    return 1 if seconds < 0 else seconds


def _mark(own: meta.ObjectMeta, grace: int) -> None:
    """Set or bring forward the time of deletion; it never lies before now."""
    now = clock.now()
    until = now + timedelta(seconds=grace)
    if own.deletionTimestamp is not None and grace:
        started = own.deletionTimestamp.datetime() - timedelta(seconds=own.deletionGracePeriodSeconds or 0)
        until = started + timedelta(seconds=grace)
        if until < now:
            until, grace = now, 1
    if own.deletionTimestamp is None or own.deletionTimestamp.datetime() > until:
        own.deletionTimestamp = meta.Time.of(until)
    own.deletionGracePeriodSeconds = grace


def waits(resource: Resource, obj: Any) -> bool:
    """Whether somebody must still act before the object may go; a namespace has `spec.finalizers` too."""
    return bool(obj.metadata.finalizers or (resource.qualified == "namespaces" and obj.spec.finalizers))


def garbage_finalizers(resource: Resource, own: meta.ObjectMeta, wanted: meta.DeleteOptions) -> tuple[str, ...]:
    """The finalizers after a deletion with these options: the garbage collector's own come and go with them."""
    others = tuple(name for name in own.finalizers if name not in (ORPHAN, FOREGROUND))
    if resource.qualified in _NOT_COLLECTED:
        return own.finalizers
    policy = wanted.propagationPolicy
    if wanted.orphanDependents is not None:
        policy = "Orphan" if wanted.orphanDependents else "Background"
    elif policy is None:
        first = next((name for name in own.finalizers if name in (ORPHAN, FOREGROUND)), "")
        by_default = "Orphan" if resource.qualified in _ORPHAN_BY_DEFAULT else "Background"
        policy = {ORPHAN: "Orphan", FOREGROUND: "Foreground"}.get(first, by_default)
    extra = {"Orphan": (ORPHAN,), "Foreground": (FOREGROUND,)}.get(policy, ())
    found = (*others, *extra)
    return own.finalizers if set(found) == set(own.finalizers) else found


def check_preconditions(resource: Resource, wanted: meta.DeleteOptions, obj: Any) -> None:
    """Raises Conflict if the object is not the one that the client means."""
    asked = wanted.preconditions
    if asked is None:
        return
    own = obj.metadata
    target = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    if asked.uid is not None and asked.uid != own.uid:
        text = (
            f"the UID in the precondition ({asked.uid}) does not match the UID in record ({own.uid}). "
            "The object might have been deleted and then recreated"
        )
        raise status.conflict(target, own.name, text)
    if asked.resourceVersion is not None and asked.resourceVersion != own.resourceVersion:
        text = (
            f"the ResourceVersion in the precondition ({asked.resourceVersion}) does not match the "
            f"ResourceVersion in record ({own.resourceVersion}). The object might have been modified"
        )
        raise status.conflict(target, own.name, text)


def read_options(request: Request) -> meta.DeleteOptions:
    """The DeleteOptions of a request: from its body if it has one, else from its query. Raises BadRequest, Invalid."""
    wanted = body.delete_options(request) if request.body else _from_query(request)
    record = CURRENT.get()
    if record is not None and request.body:
        record.options(wanted)
    errors = list(options.check_dry_run(wanted.dryRun))
    policy = wanted.propagationPolicy
    if wanted.orphanDependents is not None and policy is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(validation.invalid("propagationPolicy", policy, text))
    if policy is not None and policy not in POLICIES:
        errors.append(validation.not_supported("propagationPolicy", policy, (*POLICIES, "nil")))
    if errors:
        raise status.invalid("DeleteOptions.meta.k8s.io", "", errors)
    return wanted


def _from_query(request: Request) -> meta.DeleteOptions:
    wanted = meta.DeleteOptions()
    for name, value in reversed(request.query):
        match name:
            case "gracePeriodSeconds":
                wanted.gracePeriodSeconds = options.parse_int(value)
            case "propagationPolicy":
                wanted.propagationPolicy = value
            case "orphanDependents":
                wanted.orphanDependents = options.flag(value)
            case _:
                pass
    wanted.dryRun = request.params("dryRun")
    return wanted


def success(resource: Resource, deleted: Deleted) -> dict[str, Any]:
    """The Status that tells of a completed deletion, in wire form."""
    own = deleted.stored.obj.metadata
    details = {"name": own.name, "group": resource.group, "kind": resource.plural, "uid": own.uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
