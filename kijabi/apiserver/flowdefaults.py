"""The flow schemas and priority levels that every cluster has, made and kept as they must be.

`bootstrap.py` places them at start, and `Upkeep` looks after them from then on: the mandatory ones (exempt,
catch-all) are as they must be, the suggested ones follow new versions unless their annotation or their author's
changes say otherwise, and those that a version no longer brings go. Source: KEP-1040, k8s.io/kubernetes
`pkg/registry/flowcontrol/ensurer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from kijabi.api import codec
from kijabi.api.flowcontrol import standard
from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration
from kijabi.apiserver.storage import Changed, Storage

AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
LOOK_SECONDS = 60.0  # between two looks at whether all is as it should be
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


@cache
def all_defaults() -> tuple[PriorityLevelConfiguration | FlowSchema, ...]:
    """All objects, levels before the schemas that name them; shared: clone before you write."""
    found: list[PriorityLevelConfiguration | FlowSchema] = []
    for name, spec in standard.levels().items():
        found.append(codec.from_builtins(PriorityLevelConfiguration, _named(name, spec)))
    for name, spec in standard.schemas().items():
        found.append(codec.from_builtins(FlowSchema, _named(name, spec)))
    return tuple(found)


def _named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}}, "spec": spec}


def mend(there: Any, wanted: Any) -> bool:
    """Put a spec right that may not differ, or whose author left it to us, and say in the annotation which it is."""
    own = there.metadata
    asked = _asked(own.annotations.get(AUTO_UPDATE, ""))
    follows = own.name in standard.MANDATORY or (own.generation == 1 if asked is None else asked)
    respecified = follows and not _same(there, wanted)
    if respecified:
        there.spec = wanted.spec
    if asked is not follows:
        own.annotations = {**own.annotations, AUTO_UPDATE: "true" if follows else "false"}
    return respecified or asked is not follows


def _asked(text: str) -> bool | None:
    """What the annotation says, as Go reads a bool; None if that is neither."""
    return True if text in _TRUE else False if text in _FALSE else None


def _same(there: Any, wanted: Any) -> bool:
    if there.metadata.name == "exempt" and isinstance(there, PriorityLevelConfiguration):
        own = there.spec  # its shares are the administrator's
        return own.type == wanted.spec.type and own.limited is None and own.exempt is not None
    return bool(there.spec == wanted.spec)


Place = Callable[[Any, Callable[[Any, Any], bool]], Awaitable[None]]


class Upkeep:
    """Keeps the standard objects. place: makes one, or mends the one that is there (`Bootstrap.place`)."""

    def __init__(self, storage: Storage, place: Place) -> None:
        self.storage = storage
        self.place = place

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Make what is missing, mend what differs, remove what no version brings any more."""
        for wanted in all_defaults():
            await self.place(codec.clone(wanted), mend)
        caches = self.storage.caches
        for cls, names in ((FlowSchema, standard.schemas()), (PriorityLevelConfiguration, standard.levels())):
            cache = caches.by_type[cls]
            for item in tuple(cache.range()):
                if item.name not in names and _asked(item.obj.metadata.annotations.get(AUTO_UPDATE, "")):
                    try:
                        await self.storage.remove(cache, item.key, item.revision)
                    except Changed:
                        continue  # whoever wrote it meanwhile may have thought better of it; the next look will tell
