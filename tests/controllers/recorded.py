"""Recorded worlds: what a controller of Kubernetes made of some objects in one pass, and ours put before the same.

A line of `tests/golden/controllers/*.jsonl` has a world (the date, objects by kind, the key that is looked at, which
writes are refused, what the caches do not show yet) and the outcome in upstream's hands: what it changed, made and
deleted, the events, whether the pass failed, and when it wanted to look again. `replay` gives the outcome in ours, in
the same words. `tests/golden/README.md` tells how the lines were made.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from kijabi.api import catalog, codec
from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import Object, Time
from kijabi.api.patch import merge_patch
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import parse_labels
from kijabi.api.strategic import strategic_merge
from kijabi.base import clock
from kijabi.base.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, KijabiError, NotFound, from_reason
from kijabi.client.cache import Cache, Index, key_of
from kijabi.client.client import Items
from kijabi.controllers.revisions import data_of
from kijabi.controllers.runtime import Context, Controller

T = TypeVar("T", bound=Object)

GOLDEN = Path(__file__).parents[1] / "golden" / "controllers"
KINDS: Mapping[str, type[Object]] = {
    cls.__name__: cls
    for cls in (
        ControllerRevision,
        CronJob,
        DaemonSet,
        Deployment,
        Job,
        Node,
        PersistentVolumeClaim,
        Pod,
        EndpointSlice,
        PodDisruptionBudget,
        ReplicaSet,
        ReplicationController,
        Service,
        StatefulSet,
    )
}
Objects = dict[str, dict[str, Any]]
"""Contents by "Kind/name"."""
Codes = Callable[[Mapping[str, Any]], Iterable[str]]
"""The hashes that ours gives to the template in a world: as it is, and after one more collision."""
LATEST = 10**9
"""The version that the caches have come to: they show whatever the controller may have written before."""
PASSES = 30
"""A controller that still writes after so many passes will never rest."""
_DRAWN = re.compile(r"-(\$new\d+|[bcdfghjklmnpqrstvwxz2456789]{5})$")


def no_codes(objects: Mapping[str, Any]) -> Iterable[str]:
    """For controllers that hash nothing."""
    return ()


@cache
def lines(name: str) -> list[dict[str, Any]]:
    """The recorded worlds of a controller."""
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


class Still(asyncio.SelectorEventLoop):
    """A loop whose date stands still."""

    def __init__(self, date: str) -> None:
        super().__init__()
        self._date = datetime.fromisoformat(date).timestamp()

    def wall_time(self) -> float:
        """See `kijabi/base/clock.py`."""
        return self._date


class Known(Cache[T]):
    """What a controller sees of one kind: an informer that nobody feeds any more."""

    version = str(LATEST)

    def __init__(self, cls: type[T], contents: Iterable[T]) -> None:
        super().__init__({})
        self.cls = cls
        for obj in contents:
            self.put(key_of(obj), obj)

    def get(self, key: str) -> T | None:
        """See Informer."""
        return self.objects.get(key)

    def items(self) -> Collection[T]:
        """See Informer."""
        return self.objects.values()


class Server:
    """The client of a controller whose server does as it is told, and refuses what the world says.

    settings: `hidden` are objects ("Kind/name") that the caches do not show; `refused` are writes, each with verb,
    resource, reason and message, which fail `times` times after `after` times.
    """

    def __init__(self, objects: Mapping[str, Iterable[Any]], refused: Iterable[Any] = (), hidden: Iterable[str] = ()):
        self.stored: dict[type[Object], dict[str, Object]] = {cls: {} for cls in KINDS.values()}
        self.hidden = frozenset(hidden)
        self.refused = [dict(one) for one in refused]
        self.events: list[str] = []
        self.writes = 0
        for kind, contents in objects.items():
            for content in contents:
                self._keep(codec.from_builtins(KINDS[kind], content))

    def _keep(self, obj: T) -> T:
        obj = codec.clone(obj)
        obj.metadata.resourceVersion = obj.metadata.resourceVersion or "1"
        self.stored[type(obj)][key_of(obj)] = obj
        return codec.clone(obj)

    def _find(self, cls: type[T], name: str, namespace: str) -> T:
        found = self.stored[cls].get(f"{namespace}/{name}" if namespace else name)
        if found is None:
            raise NotFound(f'{catalog.by_type(cls).plural} "{name}" not found')
        return cast(T, found)

    def _asked(self, verb: str, cls: type[Object], sub: str = "") -> None:
        resource = catalog.by_type(cls)
        place = resource.plural + (f"/{sub}" if sub else "")
        self.writes += verb not in ("get", "list")
        for one in self.refused:
            if (one["verb"], one["resource"]) != (verb, place):
                continue
            if one["after"] > 0:
                one["after"] -= 1
            elif one["times"]:
                one["times"] -= 1
                raise _refusal(one, f"{resource.plural}.{resource.group}" if resource.group else resource.plural)

    async def get(self, cls: type[T], name: str, namespace: str = "") -> T:
        """See Client."""
        self._asked("get", cls)
        return codec.clone(self._find(cls, name, namespace))

    async def list(self, cls: type[T], namespace: str = "", *, labels: str = "") -> Items[T]:
        """See Client."""
        fits = parse_labels(labels).matches
        every = (cast(T, obj) for obj in self.stored[cls].values())
        found = (obj for obj in every if obj.metadata.namespace == namespace and fits(obj.metadata.labels))
        return Items(tuple(map(codec.clone, found)), "1")

    async def create(self, obj: T) -> T:
        """See Client."""
        self._asked("create", type(obj))
        if key_of(obj) in self.stored[type(obj)]:
            raise AlreadyExists(f'{catalog.by_type(type(obj)).plural} "{obj.metadata.name}" already exists')
        made = codec.clone(obj)
        made.metadata.uid = f"made-{obj.metadata.name}"
        made.metadata.creationTimestamp = Time.of(clock.now())
        return self._keep(made)

    async def update(self, obj: T) -> T:
        """See Client."""
        self._asked("update", type(obj))
        return self._keep(obj)

    async def update_status(self, obj: Any) -> Any:
        """See Client."""
        self._asked("update", type(obj), "status")
        changed: Any = codec.clone(self._find(type(obj), obj.metadata.name, obj.metadata.namespace))
        changed.status = obj.status
        return self._keep(changed)

    async def patch(
        self, cls: type[T], name: str, patch: Any, *, namespace: str = "", type: str = "merge", subresource: str = ""
    ) -> T:
        """See Client."""
        self._asked("patch", cls, subresource)
        before = self._find(cls, name, namespace)
        if patch["metadata"].get("uid", before.metadata.uid) != before.metadata.uid:
            raise Conflict(f"{name} is another by now")
        document = json.loads(codec.encode(before))
        after = strategic_merge(document, patch, cls) if type == "strategic" else merge_patch(document, patch)
        return self._settled(codec.from_builtins(cls, after))

    async def delete(
        self, cls: type[T], name: str, namespace: str = "", *, uid: str = "", propagation: str = ""
    ) -> int:
        """See Client; what has finalizers stays until they are gone."""
        self._asked("delete", cls)
        going = codec.clone(self._find(cls, name, namespace))
        going.metadata.deletionTimestamp = going.metadata.deletionTimestamp or Time.of(clock.now())
        self._settled(going)
        return 0

    def contents(self) -> Objects:
        """What there is now."""
        return contents({cls: stored.values() for cls, stored in self.stored.items()})

    def _settled(self, obj: T) -> T:
        kept = self._keep(obj)
        if kept.metadata.deletionTimestamp is not None and not kept.metadata.finalizers:
            del self.stored[type(kept)][key_of(kept)]
        return kept


def _refusal(one: Mapping[str, Any], place: str) -> ApiError:
    match one["reason"]:
        case "Invalid":
            return Invalid('Thing "x" is invalid')
        case "NamespaceTerminating" as reason:
            causes = [{"reason": reason, "message": "namespace is being terminated"}]
            return Forbidden(f'{place} "x" is forbidden: {one["message"]}', details={"causes": causes})
        case "Forbidden":
            return Forbidden(f'{place} "x" is forbidden: {one["message"]}')
        case "Internal":
            return from_reason("InternalError", f"Internal error occurred: {one['message']}", code=500)
        case reason:
            return from_reason(reason, f'{place} "x": {one["message"]}', code=409)


class Recorder:
    """Writes events down."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def event(self, about: Object, type: str, reason: str, message: str) -> None:
        """See `kijabi/client/events.py`."""
        self._events.append(f"{type} {reason} {message}")


class Informers:
    """Caches that show what the server had when they were asked for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made: dict[type[Object], Known[Any]] = {}

    def of(self, cls: type[T], indexes: Mapping[str, Index[T]] | None = None, **_: Any) -> Known[T]:
        """See `kijabi/client/informer.py`."""
        if cls not in self._made:
            hidden = self._server.hidden
            seen = self._server.stored[cls].values()
            self._made[cls] = Known(cls, [obj for obj in seen if f"{cls.__name__}/{obj.metadata.name}" not in hidden])
        for name, function in (indexes or {}).items():
            self._made[cls].add_index(name, function)
        return self._made[cls]


class Surroundings:
    """What a controller is built from."""

    def __init__(self, server: Server) -> None:
        self.client = server
        self.informers = Informers(server)
        self._events = server.events

    def recorder(self, component: str) -> Recorder:
        """See Context."""
        return Recorder(self._events)


def replay(world: Mapping[str, Any], make: Callable[[Context], Controller], codes: Codes = no_codes) -> dict[str, Any]:
    """The outcome of a world in the hands of a controller of ours, which has just been started.

    A world that `settles` is passed over until nothing is written any more.
    """
    objects, names = prepared(world, codes)
    server = Server(objects, world.get("refused", ()), world.get("hidden", ()))
    before = server.contents()

    async def once() -> float | None:
        return await make(cast(Context, Surroundings(server))).reconcile(world["key"])

    with asyncio.Runner(loop_factory=lambda: Still(world["now"])) as runner:
        for _ in range(PASSES):
            written, failed, again = server.writes, False, None
            try:
                again = runner.run(once())
            except KijabiError:
                failed = True
            if not world.get("settles") or server.writes == written:
                return outcome(before, server.contents(), server.events, failed, again, names)
    raise AssertionError(f"still writes after {PASSES} passes")


def prepared(world: Mapping[str, Any], codes: Codes) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """A world's objects with hashes and revisions as ours are, and what stands for which hash ($HASH0: of the present
    template; $HASH1: after one more collision).
    """
    names = {f"$HASH{number}": code for number, code in enumerate(codes(world["objects"]))}
    text = json.dumps(world["objects"])
    for name, code in names.items():
        text = text.replace(name, code)
    objects = json.loads(text)
    for one in objects.get("ControllerRevision", ()):
        template = codec.from_builtins(PodTemplateSpec, world["templates"][one["metadata"]["annotations"]["template"]])
        one["data"] = json.loads(bytes(data_of(template)))
    return objects, names


def outcome(
    before: Objects, after: Objects, events: Iterable[str], failed: bool, again: float | None, names: Mapping[str, str]
) -> dict[str, Any]:
    """What happened between two states, in the words of a recording; what did not is left out."""
    changed = {key: difference(before[key], after.get(key)) for key in before if before[key] != after.get(key)}
    fresh = [obj for key, obj in after.items() if key not in before]
    told = json.dumps([changed, fresh, sorted(events)])
    for name in sorted((obj["metadata"]["name"] for obj in fresh), key=len, reverse=True):
        if (drawn := _DRAWN.search(name)) is not None:
            told = told.replace(name, name[: drawn.start()] + "-*")
    for name, code in names.items():
        told = told.replace(code, name)
    changed, fresh, told_events = json.loads(told)
    for obj in fresh:
        obj["metadata"].pop("creationTimestamp", None)
    found = {
        "changed": changed,
        "made": sorted(fresh, key=json.dumps),
        "events": sorted(told_events),
        "failed": failed,
        "again": 0 if failed else round(again or 0, 3),
    }
    return {key: value for key, value in found.items() if value}


def contents(stored: Mapping[type[Object], Iterable[Object]]) -> Objects:
    """Objects by "Kind/name", without what only a server knows and what is empty."""
    return {f"{cls.__name__}/{obj.metadata.name}": _plain(obj) for cls, objs in stored.items() for obj in objs}


def _plain(obj: Object) -> dict[str, Any]:
    content = _filled(json.loads(codec.encode(obj)))
    for gone in ("kind", "apiVersion", "data"):
        content.pop(gone, None)
    for unordered in ("endpoints", "ports"):  # Of an EndpointSlice; upstream orders ports by a hash.
        if unordered in content:
            content[unordered].sort(key=json.dumps)
    for gone in ("resourceVersion", "uid", "managedFields", "generation"):
        content["metadata"].pop(gone, None)
    return cast(dict[str, Any], content)


def _filled(value: Any) -> Any:
    """A value without what is empty or zero: there upstream and ours differ only in form."""
    if isinstance(value, dict):
        kept = {key: _filled(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in (None, {}, [], "", 0, False)}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def difference(before: Any, after: Any) -> Any:
    """The merge patch (RFC 7386) that makes one of the other; null where there is nothing any more."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    keys = sorted({*before, *after})
    return {key: difference(before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}
