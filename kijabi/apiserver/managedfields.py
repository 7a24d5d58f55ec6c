"""Who manages which fields, kept with every write: the thin shell around `api/apply/`.

`registry.py` calls `created` and `updated` between defaulting and mutating admission, so that nobody comes to own what
admission adds; `patching.py` calls `applied` for server-side apply, `subresources/scale.py` the same through
`ScaleFields`. Here the objects become JSON values, only those parts of them that changed, and versions are converted.
Rules: KEP-555; k8s.io/apimachinery `pkg/util/managedfields`, and GetResetFields of k8s.io/kubernetes `pkg/registry`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from operator import eq
from typing import Any

import msgspec

from kijabi.api import codec, meta, status
from kijabi.api.apply import fieldset, lastapplied, managers, schema, typed, updater
from kijabi.api.apply.compare import NOTHING, Changes, compare
from kijabi.api.apply.fieldset import Path, Tree
from kijabi.api.apply.managers import APPLY, BEFORE_APPLY, Conflicts, Managed
from kijabi.api.apply.schema import Schema
from kijabi.api.apply.updater import Document, Scope
from kijabi.api.custom import Custom
from kijabi.api.meta import ObjectMeta
from kijabi.api.patch import same
from kijabi.api.resource import Resource
from kijabi.api.struct import NO_JSON, Struct
from kijabi.apiserver.call import Call
from kijabi.apiserver.routes import Routes, Served
from kijabi.apiserver.strategy import KEEPS_METADATA
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import ApiError

log = logging.getLogger(__name__)

SCHEMAS = 128  # compiled schemas of custom resources that are kept
_INVALID = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
    "admission controller; please fix your requests: "
)
# The metadata that somebody can manage; the rest identifies the object, or is the server's own.
_META = (
    "generateName", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences",
    "finalizers",
)  # fmt: skip
_CSR = "certificatesigningrequests.certificates.k8s.io"
_RESIZED = tuple(
    ("f:spec", f"f:{kind}", "*", f"f:{name}")
    for kind in ("containers", "initContainers")
    for name in ("resources", "resizePolicy")
)
_METADATA_UNOWNED = frozenset((
    "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "apiservices.apiregistration.k8s.io", "storageversions.internal.apiserver.k8s.io",
))  # fmt: skip
# What a write of the status resets besides the spec, where that is less than all metadata.
_STATUS_RESETS: dict[str, tuple[Path, ...]] = {
    "deployments.apps": (("f:metadata", "f:labels"),),
    "pods": (("f:metadata", "f:deletionTimestamp"), ("f:metadata", "f:ownerReferences")),
    _CSR: (("f:status", "f:conditions"),),
}


@cache
def _resets(qualified: str, custom: bool, own_status: bool, sub: str) -> tuple[Tree, tuple[Path, ...]]:
    """(what a write cannot change, and so is not owned by it; or all that it can)."""
    spec: Path = ("f:spec",)
    state: Path = ("f:status",)
    match sub:
        case "":
            paths = [state] if own_status else []
            if qualified == _CSR:
                paths.append(spec)
            return fieldset.of(*paths), ()
        case "status":
            whole = custom or qualified in KEEPS_METADATA or qualified in _METADATA_UNOWNED
            more = (("f:metadata",),) if whole else _STATUS_RESETS.get(qualified, ())
            return fieldset.of(spec, *more), ()
        case "finalize":
            return fieldset.of(state), ()
        case "approval":
            return fieldset.of(spec, ("f:status", "f:certificate")), ()
        case "ephemeralcontainers":
            return {}, (("f:spec", "f:ephemeralContainers"),)
        case "resize":
            return {}, _RESIZED
        case _:
            return {}, ()


def scope_of(served: Served, sub: str) -> Scope:
    """Where a write happens, and what it can change there."""
    resource = served.resource
    reset, only = _resets(resource.qualified, resource.custom, "status" in served.subresources, sub)
    return Scope(resource.api_version, sub, reset, only)


class FieldManager:
    """Keeps `metadata.managedFields` of all objects."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self._schemas: dict[tuple[str, str], tuple[Any, Schema]] = {}

    # Create and update

    async def created(self, call: Call, served: Served, obj: Any) -> None:
        """Note that the caller made all of a new object."""
        own = obj.metadata
        managed: Managed = {}
        if own.managedFields is not NO_JSON:
            managed = _sent_or(own.managedFields, NO_JSON)
            own.managedFields = NO_JSON
        scope = scope_of(served, "")
        try:
            nothing = {"metadata": {}} if served.resource.type is Custom else _nothing(served.resource.type)
            changes = compare(self.schema(served.resource), nothing, _whole(obj, scope))
            elsewhere: dict[str, Changes] = {}
            if managed:
                elsewhere = await self._elsewhere(served, scope, _empty(served.resource), obj, managed)
        except (typed.Mismatch, ApiError) as problem:
            log.warning("fields of a new %s are not managed: %s", served.resource.kind, problem)
            return
        own.managedFields = managers.write(_update(call, scope, managed, changes, elsewhere))

    async def updated(self, call: Call, served: Served, new: Any, old: Any) -> None:
        """Note what the caller changed in an object that exists."""
        own, before = new.metadata, old.metadata.managedFields
        sent, own.managedFields = own.managedFields, before
        managed: Managed | None = None
        if not call.info.subresource and sent is not NO_JSON and sent != before:
            managed = _sent_or(sent, before)
            own.managedFields = managers.write(managed)
        if own.managedFields is NO_JSON:
            return  # of an object that nobody tracks, an update does not begin to
        scope = scope_of(served, call.info.subresource)
        try:
            changes = self._changes(served.resource, scope, old, new)
            if not changes and managed is None:
                return
            managed = managers.stored(before) if managed is None else managed
            elsewhere = await self._elsewhere(served, scope, old, new, managed)
            own.managedFields = managers.write(_update(call, scope, managed, changes, elsewhere))
        except (typed.Mismatch, ApiError, ValueError) as problem:
            log.warning("managed fields of %s %s stay as they are: %s", served.resource.kind, own.name, problem)
            own.managedFields = before

    def _changes(self, resource: Resource, scope: Scope, old: Any, new: Any) -> Changes:
        """What differs, found in the parts that do."""
        parts = _differing(old, new, scope)
        if parts is None:
            return NOTHING
        equal = same if resource.type is Custom else eq
        changes = compare(self.schema(resource), *parts, equal)
        return changes.filtered(scope.reset, scope.only)

    async def _elsewhere(
        self, served: Served, scope: Scope, old: Any, new: Any, managed: Managed
    ) -> dict[str, Changes]:
        """What differs, in the other versions in which managers are recorded."""
        found: dict[str, Changes] = {}
        for version in {entry.version for entry in managed.values()} - {served.resource.api_version}:
            other = self.version(served, version)
            if other is not None:
                before, after = await convert(served, other, old), await convert(served, other, new)
                changes = compare(self.schema(other.resource), as_document(before), as_document(after), same)
                found[version] = changes.filtered(scope.reset, scope.only)
        return found

    # Versions

    def schema(self, resource: Resource) -> Schema:
        """How objects of a resource merge."""
        if resource.type is not Custom:
            return schema.of_type(resource.type)
        key = (resource.qualified, resource.version)
        known = self._schemas.get(key)
        if known is None or known[0] is not resource.schema:
            if len(self._schemas) >= SCHEMAS:
                self._schemas.clear()
            known = self._schemas[key] = (resource.schema, schema.of_custom(resource.schema or None))
        return known[1]

    def version(self, served: Served, version: str) -> Served | None:
        """The same resource in another apiVersion."""
        if version == served.resource.api_version:
            return served
        group, _, name = version.rpartition("/")
        other = self.routes.find(group, name, served.resource.plural)
        return other if other is not None and other.cache is served.cache else None

    # Apply

    async def applied(self, call: Call, served: Served, live: Any | None, config: Document) -> Any:
        """The object after an apply of `config` to the stored one (None: there is none yet).

        Raises Conflict, BadRequest, or an ApiError for a configuration that is not of the type.
        """
        resource = served.resource
        scope = scope_of(served, call.info.subresource)
        empty = as_document(_empty(resource))
        before = as_document(live) if live is not None else empty
        before["kind"], before["apiVersion"] = resource.kind, resource.api_version
        managed = managers.stored(live.metadata.managedFields) if live is not None else {}
        new, managed = await apply(call, _Versions(self, served), scope, before, empty, config, managed)
        identity = identify(config)
        try:
            obj: Any = codec.from_builtins(resource.type, new)
        except ApiError as problem:
            text = f"failed to convert new object ({identity}) to proper version ({resource.api_version}): "
            reason = f"unable to convert unstructured object to {kind_of(config)}: {problem.message}"
            raise ApiError(text + reason, code=500) from None
        if resource.prune is not None:
            resource.prune(obj)
        obj.metadata.managedFields = managers.write(managed)
        return obj


class _Versions:
    """One resource in all its versions, for an apply."""

    def __init__(self, fields: FieldManager, served: Served) -> None:
        self.fields = fields
        self.served = served

    def schema(self, version: str) -> Schema | None:
        """See updater.Versions."""
        other = self.fields.version(self.served, version)
        return self.fields.schema(other.resource) if other is not None else None

    async def convert(self, document: Document, version: str) -> Document:
        """See updater.Versions."""
        stated = document.get("apiVersion")
        if stated == version:
            return document
        source, target = self.fields.version(self.served, str(stated)), self.fields.version(self.served, version)
        assert source is not None
        assert target is not None
        obj = codec.from_builtins(source.resource.type, document)
        return as_document(await convert(source, target, obj))


async def convert(source: Served, target: Served, obj: Any) -> Any:
    """An object in another version of its resource; the given one stays as it is."""
    obj = codec.clone(obj)
    if source.view is not None:
        obj = await source.view.stored(obj)
    elif source.viewed and source.resource.up is not None:
        obj = source.resource.up(obj)
    if target.view is not None:
        item = Item("", obj.metadata.namespace, obj.metadata.name, obj, b"", 0)  # one that no cache has
        return (await target.view.items((item,)))[0].obj
    down = target.resource.down
    return down(obj) if target.viewed and down is not None else obj


async def apply(
    call: Call,
    versions: updater.Versions,
    scope: Scope,
    live: Document,
    empty: Document,
    config: Document,
    managed: Managed,
) -> tuple[Document, Managed]:
    """An apply as documents: the object afterwards, and its managers. empty: an object with nothing in it.

    Raises as FieldManager.applied.
    """
    who = managers.manager(call.options.field_manager, APPLY, scope.version, scope.subresource)
    kind = versions.schema(scope.version)
    assert kind is not None
    try:
        typed.check(kind, config)
    except typed.Mismatch as problem:
        raise ApiError(f"failed to create typed patch object ({identify(config)}): {problem}", code=500) from None
    if not managed:
        changes = compare(kind, empty, live, same).filtered(scope.reset, scope.only)
        managed = updater.update({}, scope, BEFORE_APPLY, changes, {}, meta.time_now())
    force = bool(call.options.force)
    try:
        try:
            new, after = await updater.apply(versions, scope, live, config, managed, who, force)
        except Conflicts as conflicts:
            left = lastapplied.still_ours(conflicts, kind, live, scope.version) if _kubectl(call) else conflicts
            if left is not None:
                raise left from None
            new, after = await updater.apply(versions, scope, live, config, managed, who, True)
    except Conflicts as conflicts:
        raise status.apply_conflict(conflicts.causes(), conflicts.message) from None
    except typed.Mismatch as problem:
        raise ApiError(f"failed to merge config: {problem}", code=500) from None
    if new is not None and who in after:
        after[who].time = meta.time_now()
    result = new if new is not None else live
    return (lastapplied.follow(result, config) if _kubectl(call) else result), after


def _kubectl(call: Call) -> bool:
    return call.options.field_manager == lastapplied.KUBECTL


def identify(config: Document) -> str:
    """A configuration as errors name it: `default/web; apps/v1, Kind=Deployment`."""
    own = config.get("metadata")
    own = own if isinstance(own, dict) else {}
    return f"{own.get('namespace') or ''}/{own.get('name') or ''}; {kind_of(config)}"


def kind_of(config: Document) -> str:
    """Group, version and kind as Go prints them: `/v1, Kind=Pod`."""
    version, kind = config.get("apiVersion"), config.get("kind")
    version = version if isinstance(version, str) and version.count("/") < 2 else ""
    return f"{version if '/' in version else f'/{version}'}, Kind={kind if isinstance(kind, str) else ''}"


def _update(call: Call, scope: Scope, managed: Managed, changes: Changes, elsewhere: Mapping[str, Changes]) -> Managed:
    name = managers.name_of(call.options.field_manager, call.request.headers.get("user-agent", ""))
    return updater.update(managed, scope, name, changes, elsewhere, meta.time_now())


def _sent_or(sent: msgspec.Raw, before: msgspec.Raw) -> Managed:
    """The table that a client sends, none if it wants it forgotten, the stored one if what it sends is of no use."""
    if managers.is_reset(sent):
        return {}
    try:
        return managers.sent(sent) or managers.stored(before)
    except ValueError:
        return managers.stored(before)


def guard(call: Call, own: ObjectMeta, before: msgspec.Raw) -> None:
    """After mutating admission: managed fields that somebody made invalid are put back, with a warning."""
    if own.managedFields is before or own.managedFields == before:
        return
    try:
        managers.sent(own.managedFields)
    except ValueError as problem:
        own.managedFields = before
        call.warn(f"{_INVALID}{problem}")


def settle_times(new: Any, old: Any) -> None:
    """Where nothing differs but when managers wrote, put the times back: then nothing was written."""
    own, before = new.metadata, old.metadata.managedFields
    managed = own.managedFields
    if managed is NO_JSON or before is NO_JSON or managed == before:
        return
    own.managedFields = before
    if new != old or not managers.same_but_times(managed, before):
        own.managedFields = managed


# Objects as documents


def _empty(resource: Resource) -> Any:
    """An object with nothing in it."""
    obj = resource.type()
    if isinstance(obj, Custom):
        obj.apiVersion, obj.kind = resource.api_version, resource.kind
    return obj


@cache
def _nothing(cls: Any) -> Document:
    """What an object with nothing in it shows all the same."""
    return codec.to_builtins(cls())


def as_document(obj: Struct) -> Document:
    """An object as JSON values, without its managed fields."""
    own = obj.metadata  # type: ignore[attr-defined]
    if own.managedFields is not NO_JSON:
        own = msgspec.structs.replace(own, managedFields=NO_JSON)
        obj = msgspec.structs.replace(obj, metadata=own)
    return codec.to_builtins(obj)


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(name for name in cls.__struct_fields__ if name not in ("apiVersion", "kind", "metadata"))


def _reset(name: str, scope: Scope) -> bool:
    """Whether a top-level member is reset as a whole."""
    return scope.reset.get(f"f:{name}") == fieldset.LEAF


def _whole(obj: Any, scope: Scope) -> Document:
    """An object as far as somebody can own it."""
    own = obj.metadata
    kept = ObjectMeta(**{name: getattr(own, name) for name in _META})
    if isinstance(obj, Custom):
        content = {name: value for name, value in obj.content.items() if not _reset(name, scope)}
        return {"metadata": codec.to_builtins(kept), **content}
    parts = {name: getattr(obj, name) for name in _names(obj.__class__) if not _reset(name, scope)}
    return codec.to_builtins(type(obj)(metadata=kept, **parts))


def _differing(old: Any, new: Any, scope: Scope) -> tuple[Document, Document] | None:
    """Two objects reduced to what differs; None if nothing does that somebody can own."""
    before, after = old.metadata, new.metadata
    about = [name for name in _META if getattr(before, name) != getattr(after, name)]
    if isinstance(new, Custom):
        names = [name for name in dict.fromkeys((*old.content, *new.content)) if not _reset(name, scope)]
        names = [name for name in names if not _same_member(old.content, new.content, name)]
    else:
        names = [name for name in _names(new.__class__) if not _reset(name, scope)]
        names = [name for name in names if getattr(old, name) != getattr(new, name)]
    if not names and not about:
        return None
    return _reduced(old, names, about), _reduced(new, names, about)


def _same_member(old: Document, new: Document, name: str) -> bool:
    return name in old and name in new and same(old[name], new[name])


def _reduced(obj: Any, names: Iterable[str], about: Iterable[str]) -> Document:
    own = ObjectMeta(**{name: getattr(obj.metadata, name) for name in about})
    if isinstance(obj, Custom):
        return {
            "metadata": codec.to_builtins(own),
            **{name: obj.content[name] for name in names if name in obj.content},
        }
    return codec.to_builtins(type(obj)(metadata=own, **{name: getattr(obj, name) for name in names}))
