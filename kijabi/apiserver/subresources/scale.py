"""GET, PUT and PATCH …/scale: a workload's size in the one shape that autoscalers and kubectl know.

Receives a Scale from `server.py`, changes `spec.replicas` of the workload through `registry.Registry.modify`, and gives
a Scale back (k8s.io/api `autoscaling/v1`; k8s.io/kubernetes `pkg/registry/apps/*/storage` ScaleREST).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from kijabi.api import codec, selector, status, validation
from kijabi.api.autoscaling.scale import Scale, ScaleSpec, ScaleStatus
from kijabi.api.columns import AGE, NAME, column, number
from kijabi.api.gotext import quote
from kijabi.api.meta import ObjectMeta
from kijabi.api.resource import Resource
from kijabi.apiserver import metadata, patching
from kijabi.apiserver.call import EVERY, Call, Handler, encoded
from kijabi.apiserver.crd.scale import CustomSize
from kijabi.apiserver.forms import Whole, pick
from kijabi.apiserver.negotiate import APPLY_PATCH
from kijabi.apiserver.reading import Reading
from kijabi.apiserver.registry import Registry, item_of, key_in
from kijabi.apiserver.routes import Routes, Served
from kijabi.apiserver.scalefields import ScaleFields
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import BadRequest
from kijabi.client.transport import Response

UNSET = -(2**31)  # replicas of a custom object that does not say how many
# The new scale and the workload's managed fields, of the workload and its old scale.
Change = Callable[[Any, Scale], Awaitable[tuple[Scale, msgspec.Raw]]]
_SCALES = Resource(
    group="autoscaling",
    version="v1",
    kind="Scale",
    plural="scales",
    type=Scale,
    columns=(
        column("Name", NAME.cell, NAME.description),
        number("Desired", lambda scale: scale.spec.replicas, "How many pods there should be."),
        number("Available", lambda scale: scale.status.replicas, "How many pods there are."),
        AGE,
    ),
)


class Scales:
    """The handler for every workload that has the subresource."""

    def __init__(self, routes: Routes, registry: Registry, reading: Reading) -> None:
        self.routes = routes
        self.registry = registry
        self.reading = reading
        self.fields = ScaleFields(registry.fields)

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """One for whatever has a scale subresource."""
        return {(EVERY, "scale"): self.handle}

    async def handle(self, call: Call) -> Response:
        """Read or change a scale. Raises NotFound, Conflict, Invalid, BadRequest."""
        resource = call.resource
        served = self.routes.find(resource.group, resource.version, resource.plural)
        if served is None or served.cache is None:
            raise status.generic(404)
        if call.info.verb == "get":
            await self.reading.caches.fresh()
            item = served.cache.get(key_in(call))
            if item is None:
                raise status.not_found(resource, call.info.name)
            item = await self.registry.shown(served, item)
            return respond(call, read(size_of(served), item.obj, item.revision))
        change = self._change(call, served)
        call.lens = Scaled(size_of(served))

        async def make(item: Item | None) -> Any:
            return await self._apply(call, served, item, change)

        stored, _ = await self.registry.modify(call, served, make, tended=True)
        shown = await self.registry.shown(served, item_of(stored))
        return respond(call, scale_of(size_of(served), shown.obj, shown.revision))

    def _change(self, call: Call, served: Served) -> Change:
        """What makes the new scale of the old one, with the workload's managed fields."""
        if call.info.verb == "patch" and patching.patch_type(call) == APPLY_PATCH:
            config = patching.configuration(call, "autoscaling/v1", "Scale")

            async def applied(workload: Any, old: Scale) -> tuple[Scale, msgspec.Raw]:
                made = await self.fields.applied(call, served, workload, old, config.document)
                config.strictly(call)
                return made

            return applied
        change = self._patch(call) if call.info.verb == "patch" else self._replace(call)

        async def written(workload: Any, old: Scale) -> tuple[Scale, msgspec.Raw]:
            new = change(old)
            return new, self.fields.changed(call, served, workload, old, new)

        return written

    @staticmethod
    def _replace(call: Call) -> Callable[[Scale], Scale]:
        scale = call.body(Scale)
        metadata.match_name(scale, call.info.name)
        metadata.match_namespace(scale, call.info.namespace)
        return lambda _: scale

    @staticmethod
    def _patch(call: Call) -> Callable[[Scale], Scale]:
        wanted = patching.read(call)

        def patched(old: Scale) -> Scale:
            found: Scale = patching.patched(call, wanted, codec.to_builtins(old), Scale)
            return found

        return patched

    @staticmethod
    async def _apply(call: Call, served: Served, item: Item | None, change: Change) -> Any:
        """The workload with the size that the client wants."""
        if item is None:
            raise status.not_found(f"{served.resource.qualified}", call.info.name)
        size = size_of(served)
        old = scale_of(size, item.obj, item.revision)
        scale, managed = await change(item.obj, old)
        if call.info.verb == "patch" and scale.metadata.resourceVersion == old.metadata.resourceVersion:
            scale.metadata.resourceVersion = ""  # not stated, so another write in between is no conflict
        if scale.spec.replicas == UNSET:
            raise BadRequest(f"the spec replicas field {quote(size.name)} cannot be empty")
        if scale.spec.replicas < 0 and not served.resource.custom:
            text = "must be greater than or equal to 0"
            error = validation.invalid("spec.replicas", scale.spec.replicas, text)
            raise status.invalid("Scale.autoscaling", call.info.name, [error])
        obj = codec.clone(item.obj)
        size.resize(obj, scale.spec.replicas)
        obj.metadata.uid = scale.metadata.uid
        obj.metadata.resourceVersion = scale.metadata.resourceVersion
        obj.metadata.managedFields = managed
        return obj


def respond(call: Call, scale: Scale) -> Response:
    """A scale in the form that the client accepts, a table too: `kubectl get --subresource=scale` wants one."""
    if not call.media.convert:
        return call.respond(scale)
    own = scale.metadata
    item = Item(own.name, own.namespace, own.name, scale, codec.encode(scale), int(own.resourceVersion))
    form = pick(_SCALES, Whole(_SCALES), call.media, call.request.param("includeObject"))
    return encoded(call.media, form.object(item, item.revision))


class Size(Protocol):
    """Where a workload says its size; built-in kinds all do it alike, a custom resource has paths."""

    name: str
    """Of the member that says how many are wanted."""

    def wanted(self, obj: Any) -> int | None:
        """How many there should be, None if nobody said."""
        ...

    def observed(self, obj: Any) -> int:
        """How many there are."""
        ...

    def chosen(self, obj: Any) -> str:
        """Which pods count: a label selector as text."""
        ...

    def resize(self, obj: Any, replicas: int) -> None:
        """Say how many there should be, in place. Raises BadRequest."""
        ...


class Workload:
    """The Size of built-in kinds."""

    name = ".spec.replicas"

    def wanted(self, obj: Any) -> int | None:
        """See Size."""
        return obj.spec.replicas or 0

    def observed(self, obj: Any) -> int:
        """See Size."""
        return int(obj.status.replicas)

    def chosen(self, obj: Any) -> str:
        """See Size."""
        wanted = obj.spec.selector
        found = selector.from_labels(wanted) if isinstance(wanted, dict) else selector.from_label_selector(wanted)
        return str(found)

    def resize(self, obj: Any, replicas: int) -> None:
        """See Size."""
        obj.spec.replicas = replicas


_WORKLOAD = Workload()


class Scaled:
    """What admission sees of a write of a scale: the scale. See Lens."""

    def __init__(self, size: Size) -> None:
        self._size = size

    def view(self, obj: Any) -> Scale:
        """See Lens."""
        return scale_of(self._size, obj, int(obj.metadata.resourceVersion or 0))

    def put(self, part: Scale, obj: Any) -> None:
        """See Lens."""
        self._size.resize(obj, part.spec.replicas)


def size_of(served: Served) -> Size:
    """Where the objects of a resource say their size."""
    paths = served.subresources["scale"].paths
    return CustomSize(paths) if paths else _WORKLOAD


def read(size: Size, obj: Any, revision: int) -> Scale:
    """The Scale of a workload, for who asks for it. Raises InternalError if it has no size."""
    scale = scale_of(size, obj, revision)
    if scale.spec.replicas == UNSET:
        raise status.internal(f"the spec replicas field {quote(size.name)} does not exist")
    return scale


def scale_of(size: Size, obj: Any, revision: int) -> Scale:
    """The Scale of a workload; UNSET replicas if nobody said how many."""
    own, wanted = obj.metadata, size.wanted(obj)
    about = ObjectMeta(
        name=own.name, namespace=own.namespace, uid=own.uid, resourceVersion=str(revision),
        creationTimestamp=own.creationTimestamp,
    )  # fmt: skip
    scale = Scale(
        metadata=about,
        spec=ScaleSpec(replicas=UNSET if wanted is None else wanted),
        status=ScaleStatus(replicas=size.observed(obj), selector=size.chosen(obj)),
    )
    scale.kind, scale.apiVersion = "Scale", "autoscaling/v1"
    return scale
