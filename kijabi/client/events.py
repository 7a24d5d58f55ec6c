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
# An object may have so many events at once, and one more in every so many seconds.
BURST, REFILL_SECONDS = 25, 300.0
# Tries to send one event; waits between them grow from the first to the most, in seconds.
TRIES, FIRST_WAIT, MOST_WAIT = 8, 0.5, 10.0
# The longest message that the API accepts, in characters (k8s.io/kubernetes
# `pkg/apis/core/validation/events.go`).
MAX_MESSAGE = 1024

K = TypeVar("K")
V = TypeVar("V")


class Happening(NamedTuple):
    """What somebody recorded: about what, and what."""

    about: ObjectReference
    type: str
    reason: str
    message: str

    @property
    def object(self) -> tuple[str, ...]:
        """Identifies the object that it is about."""
        ref = self.about
        return (ref.kind, ref.namespace, ref.name, ref.fieldPath, ref.uid, ref.apiVersion)


class Sent:
    """An Event that the server has, to be counted up: its name, how often it happened and since when."""

    __slots__ = ("count", "first", "name", "namespace")

    def __init__(self, name: str, namespace: str, first: Time) -> None:
        self.name = name
        self.namespace = namespace
        self.first = first
        self.count = 0


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
        self.messages: set[str] = set()
        self.last = 0.0


class Correlator:
    """Decides what becomes of a happening: dropped, combined with similar ones, or itself; purely."""

    def __init__(self) -> None:
        self._budgets: _Remembered[tuple[str, ...], tuple[float, float]] = _Remembered()
        self._similar: _Remembered[tuple[str, ...], _Similar] = _Remembered()

    def admit(self, event: Happening, now: float) -> tuple[tuple[str, ...], str] | None:
        """(key of its Event, message to send) or None to drop it. now: monotonic seconds."""
        if not self._afford(event, now):
            return None
        group = (*event.object, event.type, event.reason)
        similar = self._similar.recall(group) or self._similar.remember(group, _Similar())
        if now - similar.last > SIMILAR_SECONDS:
            similar.messages.clear()
        similar.last = now
        if len(similar.messages) < SIMILAR:
            similar.messages.add(event.message)
        if len(similar.messages) < SIMILAR:
            return (*group, event.message), event.message
        return group, COMBINED + event.message

    def _afford(self, event: Happening, now: float) -> bool:
        tokens, since = self._budgets.recall(event.object) or (float(BURST), now)
        tokens = min(float(BURST), tokens + (now - since) / REFILL_SECONDS)
        self._budgets.remember(event.object, (max(0.0, tokens - 1.0) if tokens >= 1.0 else tokens, now))
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
        self._sent: _Remembered[tuple[str, ...], Sent] = _Remembered()
        self._queue: deque[Happening] = deque()
        self._more = asyncio.Event()

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Say that something happened to an object; returns at once. type: Normal or Warning.

        obj: an API object or an ObjectReference. field_path: the part of it, such as `spec.containers{web}`.
        """
        about = obj if isinstance(obj, ObjectReference) else reference(obj, field_path)
        self._queue.append(Happening(about, type, reason, message[:MAX_MESSAGE]))
        if len(self._queue) > MAX_QUEUE:
            self._queue.popleft()
            self.dropped += 1
        self._more.set()

    async def run(self) -> None:
        """Send what is recorded, until cancelled."""
        while True:
            while self._queue:
                event = self._queue.popleft()
                admitted = self._correlator.admit(event, clock.monotonic())
                if admitted is not None:
                    await self._send(event, *admitted)
            self._more.clear()
            await self._more.wait()

    async def _send(self, event: Happening, key: tuple[str, ...], message: str) -> None:
        for tried in range(1, TRIES + 1):
            try:
                await self._record(event, key, message[:MAX_MESSAGE])
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

    async def _record(self, event: Happening, key: tuple[str, ...], message: str) -> None:
        """Count up the Event that says this already, or create it."""
        now = time_now()
        sent = self._sent.recall(key)
        if sent is not None:
            count = {"count": sent.count + 1, "lastTimestamp": now, "message": message}
            try:
                await self._client.patch(Event, sent.name, count, namespace=sent.namespace)
            except NotFound:
                sent = None  # It was deleted, or its time to live is over.
            else:
                sent.count += 1
        if sent is None:
            sent = self._sent.remember(key, self._named(event, now))
            try:
                await self._client.create(self._built(event, sent, message, now))
            except AlreadyExists:
                pass  # An answer was lost before.
            sent.count = 1

    def _named(self, event: Happening, now: Time) -> Sent:
        # A time, as upstream's, so that events of one second sort as they happened; its last 16 bits (65 µs) are
        # chance, for several parts may record at one time.
        self._stamp = max(self._stamp + 1, int(clock.wall() * 1e9) >> 16)
        digits = self._stamp << 16 | rand.rng().getrandbits(16)
        return Sent(f"{event.about.name}.{digits:016x}", event.about.namespace or "default", now)

    def _built(self, event: Happening, sent: Sent, message: str, now: Time) -> Event:
        return Event(
            metadata=ObjectMeta(name=sent.name, namespace=sent.namespace),
            involvedObject=event.about,
            reason=event.reason,
            message=message,
            source=EventSource(component=self.component, host=self.host),
            firstTimestamp=now,
            lastTimestamp=now,
            count=1,
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
