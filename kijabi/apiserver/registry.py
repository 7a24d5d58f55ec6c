"""The write path: what happens to an object between the request that carries it and the store.

`server.py` calls a verb here after authorisation; `storage.py` takes the result. `create` reads as the list of steps
that every write goes through; `change` is the same for what exists already, and serves updates, patches and
subresources alike. Deletion is in `deletion.py`, reading in `reading.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec

from kijabi.api import codec, status, validation
from kijabi.api.meta import ObjectMeta
from kijabi.api.resource import FieldError, LongValidation, Resource
from kijabi.apiserver import metadata
from kijabi.apiserver.attributes import Authorizer, RequestInfo
from kijabi.apiserver.call import Call, encoded
from kijabi.apiserver.deletion import Deletion
from kijabi.apiserver.denial import forbidden
from kijabi.apiserver.forms import pick
from kijabi.apiserver.managedfields import FieldManager, guard, settle_times
from kijabi.apiserver.negotiate import PROTOBUF
from kijabi.apiserver.routes import Served
from kijabi.apiserver.storage import Changed, Reservation, Storage, Stored, refuse_new
from kijabi.apiserver.strategy import check_for, prepare_for, prepare_new
from kijabi.apiserver.watchcache import ROOT, Cache, Item
from kijabi.base.errors import ApiError, Conflict
from kijabi.base.tasks import aside
from kijabi.client.transport import Response

ALLOCATION_ATTEMPTS = 32  # of a creation while others take the same addresses or names
MAX_ATTEMPTS = 16  # of a write that states no resourceVersion, while others write the same object
Make = Callable[[Item | None], Awaitable[Any]]


class Registry:
    """Creates, updates and patches objects of any resource. fields: keeps account of who writes which field."""

    def __init__(self, storage: Storage, authorizer: Authorizer, fields: FieldManager) -> None:
        self.storage = storage
        self.caches = storage.caches
        self.authorizer = authorizer
        self.fields = fields
        self.deletion = Deletion(storage)

    async def create(self, call: Call, served: Served) -> Response:
        """POST: an object goes the way of every write, step by step (`insert`). Answers 201."""
        obj = call.body(served.resource.type)  # decode
        metadata.match_namespace(obj, namespace_of(call))
        stored = await self.insert(call, served, obj)
        return await self.respond(call, served, stored, 201)

    async def insert(self, call: Call, served: Served, obj: Any, *, tended: bool = False) -> Stored:
        """The steps of `create` after decoding. Raises AlreadyExists, Invalid, or what admission raises.

        tended: whether the object's managed fields are right already.
        """
        resource, admission = served.resource, call.admission
        await self.caches.fresh()  # admission must see what was acknowledged before, such as a new namespace
        refuse_version(obj)
        assert served.cache is not None
        refuse_new(served.cache, obj)
        warn_owners(call, obj)
        resource.defaults(obj)  # default
        if not tended:
            await self.fields.created(call, served, obj)  # managed fields
        managed = obj.metadata.managedFields
        attrs = call.attributes("CREATE", obj)
        attrs.name = attrs.name or obj.metadata.name
        if resource.qualified == "namespaces":
            attrs.namespace = attrs.name  # to admission a namespace lies in itself
        await admission.mutate(attrs)  # mutating admission
        guard(call, obj.metadata, managed)
        metadata.begin_create(obj)
        warn_owners(call, obj)
        prepare_new(resource, obj, attrs.user)
        metadata.count_generation(resource, obj, None)
        for new in self._candidates(served, obj):
            attrs.object, attrs.name = new, new.metadata.name
            await self.check(call, served, new, None)  # validate
            await admission.validate(attrs)  # validating admission
            try:
                return await self._put_new(call, served, new, attrs.reservation)  # store
            except Changed as changed:
                if changed.own and attrs.name == obj.metadata.name:
                    raise self._exists(served, new) from None
                await self.caches.fresh()
        raise status.generate_name_conflict(resource, attrs.name)

    def _candidates(self, served: Served, obj: Any) -> Iterator[Any]:
        """The object with a name and addresses that may be free: once, or more often where the server chooses."""
        assert served.cache is not None
        hook = self.storage.hooks.get(served.cache.resource.qualified)
        named = bool(obj.metadata.name)
        for _ in range(metadata.NAME_ATTEMPTS if hook is None else ALLOCATION_ATTEMPTS):
            new = codec.clone(obj) if hook is not None or not named else obj
            if not named:
                new.metadata.name = metadata.generated(new.metadata.generateName) if new.metadata.generateName else ""
            if hook is not None:
                hook.prepare(new, None)
            yield new

    async def _put_new(self, call: Call, served: Served, obj: Any, reservation: Reservation | None) -> Stored:
        """Write a new object, or only pretend to (dryRun). Raises Changed."""
        cache, target = await stored_form(served, obj)
        key = key_of(target)
        if not call.options.dry_run:
            effects = self.storage.effects(cache, target, None)
            stored = await self.storage.put_with(reservation, cache, key, target, 0, effects)
            return stored._replace(shown=target is obj)
        await self.caches.fresh()
        if cache.get(key) is not None:
            raise Changed(own=True)
        return Stored(target, self.storage.encode(cache, target), 0)

    def _exists(self, served: Served, obj: Any) -> ApiError:
        error = status.already_exists(served.resource, obj.metadata.name)
        assert served.cache is not None
        item = served.cache.get(key_of(obj))
        if item is not None and item.obj.metadata.deletionTimestamp is not None:
            error.message = f"object is being deleted: {error.message}"
        return error

    async def update(self, call: Call, served: Served) -> Response:
        """PUT of an object or its status: 200, or 201 where the kind may be created by it."""
        first = [call.body(served.resource.type)]  # errors of the body come before those of the object

        async def make(_: Item | None) -> Any:
            obj = first.pop() if first else call.body(served.resource.type)
            metadata.match_namespace(obj, namespace_of(call))
            metadata.match_name(obj, call.info.name)
            return obj

        return await self.change(call, served, make)

    async def change(self, call: Call, served: Served, make: Make, *, tended: bool = False) -> Response:
        """Replace an object by what `make` makes of it, and answer with the result; as `modify` does."""
        stored, created = await self.modify(call, served, make, tended=tended)
        return await self.respond(call, served, stored, 201 if created else 200)

    async def modify(self, call: Call, served: Served, make: Make, *, tended: bool = False) -> tuple[Stored, bool]:
        """Replace an object by what `make` makes of it, again and again until nobody comes between.

        tended: whether `make` keeps the managed fields itself, as server-side apply does. Whether the object was
        created by this comes along. Raises NotFound, Conflict, Invalid, or what admission raises.
        """
        cache = served.cache
        assert cache is not None
        key = key_in(call)
        for _ in range(MAX_ATTEMPTS):
            await self.caches.fresh()
            item = cache.get(key)
            if item is None:
                return await self._create_by_update(call, served, make, tended), True
            shown = await self.shown(served, item)
            old = shown.obj
            new = await make(shown)
            versioned = settle_version(served.resource, new, old, item, needed=call.request.method == "PUT")
            reservation = await self._revise(call, served, new, old, tended)
            try:
                return await self._store_change(call, served, item, new, reservation), False
            except Changed as changed:
                if versioned and changed.own:
                    raise status.conflict(served.resource, call.info.name) from None
        raise status.conflict(served.resource, call.info.name)

    async def _revise(self, call: Call, served: Served, new: Any, old: Any, tended: bool) -> Reservation | None:
        """The steps between decoding and storing, for an object that exists; what must be written along with it."""
        resource, admission = served.resource, call.admission
        version = new.metadata.resourceVersion
        hook = self.storage.hooks.get(resource.qualified)
        warn_owners(call, new)
        resource.defaults(new)
        if not tended:
            await self.fields.updated(call, served, new, old)
        managed = new.metadata.managedFields
        lens = call.lens
        seen = (new, old) if lens is None else (lens.view(new), lens.view(old))
        attrs = call.attributes("UPDATE", *seen)
        await admission.mutate(attrs)
        if lens is not None:
            lens.put(attrs.object, new)
        guard(call, new.metadata, managed)
        warn_owners(call, new)
        metadata.begin_update(resource, new, old)
        sub = call.info.subresource
        prepare_for(resource, sub, new, old)
        if hook is not None and not sub:
            hook.prepare(new, old)
        metadata.count_generation(resource, new, old)
        new.metadata.resourceVersion = version
        await self.check(call, served, new, old)
        await admission.validate(attrs)
        reservation: Reservation | None = attrs.reservation
        return reservation

    async def _store_change(
        self, call: Call, served: Served, item: Item, new: Any, reservation: Reservation | None
    ) -> Stored:
        cache = served.cache
        assert cache is not None
        _, target = await stored_form(served, new)
        if self.deletion.finished(cache.resource, target, item.obj):
            if not call.options.dry_run:
                await self.deletion.remove(cache, item)
            return Stored(target, self.storage.encode(cache, target), item.revision)
        effects = self.storage.effects(cache, target, item.obj)
        target.metadata.resourceVersion = item.obj.metadata.resourceVersion
        if served.view is None:
            target.kind, target.apiVersion = item.obj.kind, item.obj.apiVersion
        settle_times(target, item.obj)
        if target == item.obj and not await self.storage.outdated(cache, item):
            return Stored(item.obj, item.value, item.revision)
        if call.options.dry_run:
            return Stored(target, self.storage.encode(cache, target), item.revision)
        stored = await self.storage.put_with(reservation, cache, item.key, target, item.revision, effects)
        return stored._replace(shown=target is new)

    async def _create_by_update(self, call: Call, served: Served, make: Make, tended: bool) -> Stored:
        """PUT of what does not exist: for a few kinds it creates, if the user may create as well. An apply always."""
        resource, name = served.resource, call.info.name
        applied = call.request.method == "PATCH"
        if applied and (not tended or call.info.subresource):
            raise status.not_found(resource, name)
        new = await make(None)
        if new.metadata.uid:
            raise uid_unexpected(resource, new.metadata) if applied else uid_conflict(resource, new.metadata, "")
        if not applied and (not resource.create_on_update or call.info.subresource):
            raise status.not_found(resource, name)
        info = call.info
        wanted = RequestInfo(
            verb="create", path=info.path, is_resource=True, group=info.group, version=info.version,
            resource=info.resource, namespace=info.namespace, name=name,
        )  # fmt: skip
        decision = await self.authorizer.authorize(call.user, wanted)
        if not decision.allowed:
            raise forbidden(call.user, wanted, decision.reason)
        if not applied:
            new.metadata.resourceVersion = ""
        return await self.insert(call, served, new, tended=tended)

    async def check(self, call: Call, served: Served, new: Any, old: Any | None) -> None:
        """Validate an object; raises Invalid with everything that is wrong, else sends its warnings."""
        resource, own = served.resource, new.metadata
        errors: list[FieldError] = []
        known = resource.known_finalizers
        if old is None:
            errors.extend(
                validation.validate_metadata(
                    own, namespaced=resource.namespaced, name_rule=resource.name_rule, known_finalizers=known
                )
            )
        else:
            errors.extend(validation.validate_metadata_update(own, old.metadata, known_finalizers=known))
        try:
            errors.extend(
                resource.validate(new) if old is None else check_for(resource, call.info.subresource, new, old)
            )
        except LongValidation as long:
            errors.extend(await aside(long.work))
        if errors:
            raise status.invalid(resource, own.name, errors)
        update = resource.warnings_update
        for text in update(new, old) if old is not None and update is not None else resource.warnings(new):
            call.warn(text)

    async def shown(self, served: Served, item: Item) -> Item:
        """A stored item in the version that is served."""
        down = served.resource.down
        if served.view is not None:
            return (await served.view.items((item,)))[0]
        return msgspec.structs.replace(item, obj=down(item.obj)) if served.viewed and down is not None else item

    async def respond(self, call: Call, served: Served, stored: Stored, code: int) -> Response:
        """Answer with an object as written, in the form that the client accepts."""
        media = call.media
        if served.view is not None and not stored.shown:
            shown = await self.shown(served, item_of(stored))
            stored = Stored(shown.obj, shown.value, shown.revision)
        if not media.convert and not served.viewed and media.type != PROTOBUF:
            data = served.whole.wire(stored.value, stored.revision)
        else:
            item = item_of(stored)
            include = call.request.param("includeObject")
            data = pick(served.resource, served.whole, media, include).object(item, stored.revision)
        return encoded(media, data, code)


def refuse_version(obj: Any) -> None:
    """A new object has no resourceVersion yet (k8s.io/apiserver `pkg/storage`, ErrResourceVersionSetOnCreate)."""
    if obj.metadata.resourceVersion not in ("", "0"):
        raise ApiError("resourceVersion should not be set on objects to be created", code=500)


def settle_version(resource: Resource, new: Any, old: Any, item: Item, needed: bool) -> bool:
    """Give `new` the stored resourceVersion; whether it stated one itself, which must then be this one.

    needed: where the kind demands one, this is a request that must state it. Raises Conflict, Invalid.
    """
    own, name = new.metadata, old.metadata.name
    if own.uid and own.uid != old.metadata.uid:
        raise uid_conflict(resource, own, old.metadata.uid)
    stated = own.resourceVersion not in ("", "0")
    if stated and own.resourceVersion != str(item.revision):
        raise status.conflict(resource, name)
    if not stated and needed and resource.update_needs_version:
        error = validation.invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise status.invalid(resource.qualified, name, [error])
    own.resourceVersion = str(item.revision)
    return stated


def uid_conflict(resource: Resource, own: ObjectMeta, found: str) -> Conflict:
    """The uid in the body is not that of the object (k8s.io/apiserver `pkg/storage` Preconditions)."""
    key = "/".join(filter(None, (resource.group or "core", resource.plural, own.namespace, own.name)))
    return status.conflict(
        resource,
        own.name,
        f"StorageError: invalid object, Code: 4, Key: {ROOT}{key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {own.uid}, UID in object meta: {found}",
    )


def uid_unexpected(resource: Resource, own: ObjectMeta) -> Conflict:
    """An apply names the uid of an object that does not exist."""
    text = f"uid mismatch: the provided object specified uid {own.uid}, and no existing object was found"
    return status.conflict(resource, own.name, text)


def warn_owners(call: Call, obj: Any) -> None:
    """Drop repeated owner references, with a warning."""
    text = metadata.duplicate_owners(obj)
    if text:
        call.warn(text)


def namespace_of(call: Call) -> str:
    """The namespace that objects of this request live in: none for what has none (namespaces themselves too)."""
    return call.info.namespace if call.resource.namespaced else ""


def key_in(call: Call) -> str:
    """The cache key of the object that the request's path names."""
    namespace = namespace_of(call)
    return f"{namespace}/{call.info.name}" if namespace else call.info.name


def key_of(obj: Any) -> str:
    """The cache key of an object."""
    own = obj.metadata
    return f"{own.namespace}/{own.name}" if own.namespace else str(own.name)


def item_of(stored: Stored) -> Item:
    """An object as written, like one of a cache."""
    return Item(key_of(stored.obj), "", "", stored.obj, stored.value, stored.revision)


async def stored_form(served: Served, obj: Any) -> tuple[Cache, Any]:
    """The cache that an object belongs in, and the object in the form that is stored there."""
    cache, up = served.cache, served.resource.up
    assert cache is not None
    if served.view is not None:
        return cache, await served.view.stored(obj)
    return cache, up(obj) if served.viewed and up is not None else obj
