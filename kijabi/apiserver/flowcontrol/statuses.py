"""Tells in each FlowSchema's condition Dangling whether the priority level that it names is there.

`app.py` runs it beside the server. The server writes these conditions itself, so that they are right however the
objects came to be (k8s.io/apiserver `pkg/util/flowcontrol/apf_controller.go`, presyncFlowSchemaStatus).
"""

from __future__ import annotations

import asyncio

from kijabi.api import codec
from kijabi.api.flowcontrol.flowschema import FlowSchema, FlowSchemaCondition, FlowSchemaStatus
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration
from kijabi.api.gotext import quote
from kijabi.api.meta import time_now
from kijabi.apiserver.storage import Changed, Storage
from kijabi.base import clock

DANGLING = "Dangling"
WRITES_PER_MINUTE = 6  # of one schema: somebody else may insist on another status
MINUTE = 60.0


class Statuses:
    """Writes the conditions. changed: set whenever a schema or a level was written."""

    def __init__(self, storage: Storage, changed: asyncio.Event) -> None:
        self.storage = storage
        self.changed = changed
        self._written: dict[str, list[float]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            if await self.write():
                await asyncio.sleep(MINUTE)
                self.changed.set()

    async def write(self) -> bool:
        """Write what is not as it should be; whether something was left for later."""
        caches = self.storage.caches
        await caches.fresh()
        late = False
        cache = caches.by_type[FlowSchema]
        for item in tuple(cache.range()):
            level = item.obj.spec.priorityLevelConfiguration.name
            wanted = condition(level, caches.get(PriorityLevelConfiguration, level) is not None)
            if any(same(own, wanted) for own in item.obj.status.conditions):
                continue
            if not self._may(item.name):
                late = True
                continue
            obj = codec.clone(item.obj)
            others = tuple(own for own in obj.status.conditions if own.type != DANGLING)
            obj.status = FlowSchemaStatus(conditions=(*others, wanted))
            try:
                await self.storage.put(cache, item.key, obj, item.revision)
            except Changed:
                continue  # whoever wrote it has set `changed`
        return late

    def _may(self, name: str) -> bool:
        now = clock.monotonic()
        times = [moment for moment in self._written.get(name, ()) if now - moment < MINUTE]
        may = len(times) < WRITES_PER_MINUTE
        self._written[name] = [*times, now] if may else times
        return may


def condition(level: str, found: bool) -> FlowSchemaCondition:
    """The condition of a schema that names this level."""
    text = f"This FlowSchema references the PriorityLevelConfiguration object named {quote(level)} "
    return FlowSchemaCondition(
        type=DANGLING,
        status="False" if found else "True",
        lastTransitionTime=time_now(),
        reason="Found" if found else "NotFound",
        message=text + ("and it exists" if found else "but there is no such object"),
    )


def same(own: FlowSchemaCondition, wanted: FlowSchemaCondition) -> bool:
    """Whether both say the same, whenever it was said first."""
    return (own.type, own.status, own.reason, own.message) == (
        wanted.type, wanted.status, wanted.reason, wanted.message,
    )  # fmt: skip
