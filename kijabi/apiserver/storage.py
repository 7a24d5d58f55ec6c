"""Writes to the store: one guarded transaction for an object and whatever must change together with it.

`registry.py` and `deletion.py` hand an object over here when nothing more can be wrong with it but time: the guard
says whether the object was written meanwhile. What else must be true or written at the same moment (an address that is
allocated to a Service, say) comes along as Effects, in the same transaction, so there is nothing to repair later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from kijabi.api import codec, status
from kijabi.api.custom import Custom
from kijabi.apiserver.audit import context
from kijabi.apiserver.watchcache import Cache, Caches, Item
from kijabi.base import clock
from kijabi.store.interface import Guard, Op, Store

MAX_ATTEMPTS = 16  # of a rewrite while others write the same object


class Effects(NamedTuple):
    """More guards and writes for the transaction."""

    guards: tuple[Guard, ...] = ()
    ops: tuple[Op, ...] = ()


NO_EFFECTS = Effects()


class Hook(Protocol):
    """What a resource does beyond its own object, such as holding addresses."""

    def prepare(self, new: Any, old: Any | None) -> None:
        """Fill in what the server allocates, before validation; `new` is privately owned. Raises ApiError."""
        ...

    def effects(self, new: Any | None, old: Any | None) -> Effects:
        """What must be written along with this creation, change or (new is None) deletion; pure."""
        ...


class Reservation(Protocol):
    """What must be written along with an object because admission said so: the charge to a namespace's quotas.

    While it is `held`, others of this server that would change the same wait. `replacements` is asked at each attempt.
    """

    def held(self) -> AbstractAsyncContextManager[None]:
        """Hold it for the time of a write."""
        ...

    def replacements(self) -> Iterable[Any]:
        """Changed copies of stored objects, each with the resourceVersion that it replaces.

        Raises ApiError if the object must not be written any more.
        """
        ...


class Stored(NamedTuple):
    """An object as it was written. value has no resourceVersion; revision is it.

    shown: it is what the request made, so clients can be shown it as it is.
    """

    obj: Any
    value: bytes
    revision: int
    shown: bool = False


class Changed(Exception):
    """The transaction did not happen. own: the object itself was written meanwhile, not (only) what goes along."""

    def __init__(self, own: bool) -> None:
        super().__init__("the object was changed" if own else "what goes along was changed")
        self.own = own


def refuse_new(cache: Cache, obj: Any) -> None:
    """Raises Forbidden where no more objects may be made."""
    if cache.ending:
        reason = "create not allowed while custom resource definition is terminating"
        raise status.forbidden(cache.resource, obj.metadata.name, reason)


class Storage:
    """The write side of the store, on top of the caches that see each write come back."""

    def __init__(self, store: Store, caches: Caches) -> None:
        self.store = store
        self.caches = caches
        self.hooks: dict[str, Hook] = {}

    def effects(self, cache: Cache, new: Any, old: Any | None) -> Effects:
        """What goes along with writing (or, new being None, deleting) an object."""
        hook = self.hooks.get(cache.resource.qualified)
        return hook.effects(new, old) if hook is not None else NO_EFFECTS

    def encode(self, cache: Cache, obj: Any) -> bytes:
        """The bytes to store: with kind and apiVersion, without resourceVersion. Sets these on `obj`.

        A custom object says itself which version it is in: the stored one may change at any time.
        """
        if not isinstance(obj, Custom):
            obj.kind, obj.apiVersion = cache.resource.kind, cache.resource.api_version
        obj.metadata.resourceVersion = ""
        return codec.encode(obj)

    async def outdated(self, cache: Cache, item: Item) -> bool:
        """Whether an object is stored otherwise than it would be now: in another version, or under an old key.

        Such an object is written even where a request changes nothing (k8s.io/apiserver `pkg/storage/etcd3`,
        GuaranteedUpdate), which is how a migration rewrites it.
        """
        obj = item.obj
        if not isinstance(obj, Custom) and obj.apiVersion not in ("", cache.resource.api_version):
            return True
        return await self.store.outdated(cache.prefix + item.key)

    async def put(self, cache: Cache, key: str, obj: Any, revision: int, effects: Effects = NO_EFFECTS) -> Stored:
        """Write an object whose stored revision is `revision` (0: there is none). It must not be changed after this.

        Raises Changed.
        """
        if not revision:
            refuse_new(cache, obj)
        value = self.encode(cache, obj)
        full = cache.prefix + key
        self.caches.expect(full, value, obj)
        done, started = False, clock.monotonic()
        try:
            txn = await self.store.txn((Guard(full, revision), *effects.guards), (Op(full, value), *effects.ops))
            done = txn.ok
        finally:
            context.spent("etcd", clock.monotonic() - started)
            if not done:
                self.caches.forget(full, value)
        if not txn.ok:
            found = txn.current[0]
            raise Changed((found.revision if found is not None else 0) != revision)
        return Stored(obj, value, txn.revision)

    async def put_with(
        self,
        reservation: Reservation | None,
        cache: Cache,
        key: str,
        obj: Any,
        revision: int,
        effects: Effects = NO_EFFECTS,
    ) -> Stored:
        """As `put`, with what is reserved for it. Raises Changed, Conflict, or what the reservation raises."""
        if reservation is None:
            return await self.put(cache, key, obj, revision, effects)
        async with reservation.held():
            tried, failed = None, Changed(own=False)
            for _ in range(MAX_ATTEMPTS):
                await self.caches.fresh()
                along = self._along(reservation.replacements())
                if along.guards == tried:
                    raise failed  # it was something else that changed
                try:
                    guards, ops = (*effects.guards, *along.guards), (*effects.ops, *along.ops)
                    return await self.put(cache, key, obj, revision, Effects(guards, ops))
                except Changed as changed:
                    if changed.own:
                        raise
                    tried, failed = along.guards, changed
        raise status.conflict(cache.resource, key.rpartition("/")[2])

    def _along(self, replacements: Iterable[Any]) -> Effects:
        """Guards and writes for stored objects that are replaced."""
        guards, ops = [], []
        for each in replacements:
            own = each.metadata
            cache = self.caches.by_type[type(each)]
            key = f"{cache.prefix}{own.namespace}/{own.name}" if own.namespace else f"{cache.prefix}{own.name}"
            guards.append(Guard(key, int(own.resourceVersion)))
            ops.append(Op(key, self.encode(cache, each)))
        return Effects(tuple(guards), tuple(ops))

    async def rewrite(self, cache: Cache, key: str, change: Callable[[Any], None], dry_run: bool = False) -> Stored:
        """Change a stored object without the steps of an update: `change` gets a private copy, perhaps repeatedly.

        For what the server does by itself, such as binding a pod. Raises NotFound, or what `change` raises.
        """
        for _ in range(MAX_ATTEMPTS):
            await self.caches.fresh()
            item = cache.get(key)
            if item is None:
                raise status.not_found(cache.resource, key.rpartition("/")[2])
            obj = codec.clone(item.obj)
            change(obj)
            if obj == item.obj or dry_run:
                return Stored(item.obj, item.value, item.revision)
            try:
                return await self.put(cache, key, obj, item.revision)
            except Changed:
                continue
        raise status.conflict(cache.resource, key.rpartition("/")[2])

    async def remove(self, cache: Cache, key: str, revision: int, effects: Effects = NO_EFFECTS) -> int:
        """Delete an object whose stored revision is `revision`; the revision of the deletion. Raises Changed."""
        full = cache.prefix + key
        txn = await self.store.txn((Guard(full, revision), *effects.guards), (Op(full, None), *effects.ops))
        if not txn.ok:
            found = txn.current[0]
            raise Changed((found.revision if found is not None else 0) != revision)
        return txn.revision
