"""The event types of the events group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.event import EventSource
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import MicroTime, Object, Time
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag


class EventSeries(Struct):
    """The API type EventSeries."""

    count: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    lastObservedTime: Annotated[MicroTime, Tag(2, required=True)] = MicroTime()


class Event(Object):
    """The API type Event."""

    eventTime: Annotated[MicroTime, Tag(2, required=True)] = MicroTime()
    series: Annotated[EventSeries | None, Tag(3)] = None
    reportingController: Annotated[str, Tag(4)] = ""
    reportingInstance: Annotated[str, Tag(5)] = ""
    action: Annotated[str, Tag(6)] = ""
    reason: Annotated[str, Tag(7)] = ""
    regarding: Annotated[ObjectReference, Tag(8)] = field(default_factory=ObjectReference)
    related: Annotated[ObjectReference | None, Tag(9)] = None
    note: Annotated[str, Tag(10)] = ""
    type: Annotated[str, Tag(11)] = ""
    deprecatedSource: Annotated[EventSource, Tag(12)] = field(default_factory=EventSource)
    deprecatedFirstTimestamp: Annotated[Time, Tag(13)] = Time()
    deprecatedLastTimestamp: Annotated[Time, Tag(14)] = Time()
    deprecatedCount: Annotated[Int32, Tag(15)] = 0


RESOURCE = Resource(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    type=Event,
    singular="event",
    short=("ev",),
    stored_as=("", "v1", "Event"),
)
