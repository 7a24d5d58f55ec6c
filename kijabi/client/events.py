"""Telling people what happened: Events about objects, without ever holding up who tells.

Controllers, scheduler and kubelet call `Recorder.event`; `run` sends in the background. What repeats is
counted instead of sent anew, what is similar is combined, what floods is dropped, by the rules and numbers of
client-go `tools/record` (events_cache.go): `Correlator` decides purely, `Recorder` acts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from typing import Any, Generic, NamedTuple, TypeVar

from kijabi.api import catalog
from kijabi.api.core.event import Event, EventSource
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta, Time, time_now
from kijabi.base import clock, rand
from kijabi.base.backoff import delay
from kijabi.base.errors import AlreadyExists, ApiError, ConnectionLost, NotFound, TooManyRequests
from kijabi.client.client import Client

log = logging.getLogger(__name__)

# Events that wait to be sent; one more and the oldest is dropped.
MAX_QUEUE = 1000
# Things remembered, of each sort, to recognise repetition.
MAX_REMEMBERED = 4096
# More than so many events that differ only in their message, within so many seconds, are combined into one.
SIMILAR, SIMILAR_SECONDS = 10, 600.0
COMBINED = "(combined from similar events): "
# An object may have so many events of a type at once, and one more in every so many seconds.
BURST, REFILL_SECONDS = 25, 300.0
# Tries to send one event; waits between them grow from the first to the most, in seconds.
TRIES, FIRST_WAIT, MOST_WAIT = 8, 0.5, 10.0
# The longest message that the API accepts, in characters (k8s.io/kubernetes
# `pkg/apis/core/validation/events.go`).
MAX_MESSAGE = 1024

K = TypeVar("K")
V = TypeVar("V")


class Happening(NamedTuple):
    """What somebody recorded: about what, what, and when."""

    about: ObjectReference
    type: str
    reason: str
    message: str
    time: Time = Time()

    @property
    def object(self) -> tuple[str, ...]:
        """Identifies the object that it is about."""
        ref = self.about
        return (ref.kind, ref.namespace, ref.name, ref.uid, ref.apiVersion)


class Seen:
    """What happened so often already, and since when. name: of its Event, once there is one."""

    __slots__ = ("count", "first", "name")

    def __init__(self, first: Time) -> None:
        self.name = ""
        self.first = first
        self.count = 0


class Noted(NamedTuple):
    """What is to be sent: what is counted, how often it has happened as of now, and with which message."""

    seen: Seen
    times: int
    message: str


class _Remembered(OrderedDict[K, V], Generic[K, V]):
    """A dictionary that forgets what was used least recently."""

    def recall(self, key: K) -> V | None:
        """The value, counted as used."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value

    def remember(self, key: K, value: V) -> V:
        """Keep a value, at the cost of the oldest."""
        self[key] = value
        if len(self) > MAX_REMEMBERED:
            self.popitem(last=False)
        return value


class _Similar:
    __slots__ = ("last", "messages")

    def __init__(self) -> None:
        self.messages: dict[str, None] = {}  # in the order in which they came
        self.last = 0.0


class Correlator:
    """Decides what becomes of a happening: dropped, combined with similar ones, or itself; purely.

    What is dropped counts all the same, so that the Event tells of it when the next one gets through.
    """

    def __init__(self) -> None:
        self._budgets: _Remembered[tuple[str, ...], tuple[float, float]] = _Remembered()
        self._similar: _Remembered[tuple[str, ...], _Similar] = _Remembered()
        self._seen: _Remembered[tuple[str, ...], Seen] = _Remembered()

    def admit(self, event: Happening, now: float) -> Noted | None:
        """What to send, None for nothing. now: monotonic seconds."""
        key, message = self._combined(event, now)
        seen = self._seen.recall(key) or self._seen.remember(key, Seen(event.time))
        seen.count += 1
        return Noted(seen, seen.count, message) if self._afford(event, now) else None

    def _combined(self, event: Happening, now: float) -> tuple[tuple[str, ...], str]:
        """What it counts as, and its message; too many that differ only in their messages count as one."""
        group = (*event.object, event.type, event.reason)
        similar = self._similar.recall(group) or self._similar.remember(group, _Similar())
        if now - similar.last > SIMILAR_SECONDS:
            similar.messages.clear()
        similar.last = now
        similar.messages[event.message] = None
        if len(similar.messages) < SIMILAR:
            return (*group, event.about.fieldPath, event.message), event.message
        del similar.messages[next(iter(similar.messages))]
        return group, COMBINED + event.message

    def _afford(self, event: Happening, now: float) -> bool:
        key = (*event.object, event.type)
        tokens, since = self._budgets.recall(key) or (float(BURST), now)
        tokens = min(float(BURST), tokens + (now - since) / REFILL_SECONDS)
        self._budgets.remember(key, (max(0.0, tokens - 1.0) if tokens >= 1.0 else tokens, now))
        return tokens >= 1.0


class Recorder:
    """Records events as a component on a host. Give `run()` to a task; `event` may be called before that."""

    def __init__(self, client: Client, component: str, host: str = "") -> None:
        self.component = component
        self.host = host
        self._stamp = 0
        self.dropped = 0  # how many never reached the server
        self._client = client
        self._correlator = Correlator()
        self._queue: deque[Happening] = deque()
        self._more = asyncio.Event()

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Say that something happened to an object; returns at once. type: Normal or Warning.

        obj: an API object or an ObjectReference. field_path: the part of it, such as `spec.containers{web}`.
        """
        about = obj if isinstance(obj, ObjectReference) else reference(obj, field_path)
        self._queue.append(Happening(about, type, reason, message[:MAX_MESSAGE], time_now()))
        if len(self._queue) > MAX_QUEUE:
            self._queue.popleft()
            self.dropped += 1
        self._more.set()

    async def run(self) -> None:
        """Send what is recorded, until cancelled."""
        while True:
            while self._queue:
                event = self._queue.popleft()
                noted = self._correlator.admit(event, clock.monotonic())
                if noted is not None:
                    await self._send(event, noted)
            self._more.clear()
            await self._more.wait()

    async def _send(self, event: Happening, noted: Noted) -> None:
        for tried in range(1, TRIES + 1):
            try:
                await self._record(event, noted)
                return
            except (ConnectionLost, TooManyRequests) as error:
                failed: Exception = error
            except ApiError as error:
                failed = error
                if error.code < 500:
                    break  # The server will not have it: the object's namespace may be going away.
            await asyncio.sleep(delay(tried, first=FIRST_WAIT, most=MOST_WAIT))
        self.dropped += 1
        log.info("event dropped", extra={"reason": event.reason, "about": event.about.name, "error": str(failed)})

    async def _record(self, event: Happening, noted: Noted) -> None:
        """Count up the Event that says this already, or create it; also if it has gone meanwhile."""
        seen, message = noted.seen, noted.message[:MAX_MESSAGE]
        namespace = event.about.namespace or "default"
        if seen.name:
            change = {"count": noted.times, "lastTimestamp": event.time, "message": message}
            try:
                await self._client.patch(Event, seen.name, change, namespace=namespace)
                return
            except NotFound:
                pass  # It was deleted, or its time to live is over.
        else:
            seen.name = self._name(event)
        try:
            await self._client.create(self._built(event, noted, namespace, message))
        except AlreadyExists:
            pass  # An answer was lost before.

    def _name(self, event: Happening) -> str:
        # A time, as upstream's, so that events of one second sort as they happened; its last 16 bits (65 µs) are
        # chance, for several parts may record at one time.
        self._stamp = max(self._stamp + 1, int(clock.wall() * 1e9) >> 16)
        digits = self._stamp << 16 | rand.rng().getrandbits(16)
        return f"{event.about.name}.{digits:016x}"

    def _built(self, event: Happening, noted: Noted, namespace: str, message: str) -> Event:
        return Event(
            metadata=ObjectMeta(name=noted.seen.name, namespace=namespace),
            involvedObject=event.about,
            reason=event.reason,
            message=message,
            source=EventSource(component=self.component, host=self.host),
            firstTimestamp=noted.seen.first,
            lastTimestamp=event.time,
            count=noted.times,
            type=event.type,
            reportingComponent=self.component,
            reportingInstance=self.host,
        )


def reference(obj: Any, field_path: str = "") -> ObjectReference:
    """What an Event says that it is about."""
    resource = catalog.by_type(type(obj))
    meta = obj.metadata
    return ObjectReference(
        kind=resource.kind,
        apiVersion=resource.api_version,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resourceVersion=meta.resourceVersion,
        fieldPath=field_path,
    )
