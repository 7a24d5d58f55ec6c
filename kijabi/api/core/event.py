"""The event types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import MicroTime, Object, Time
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag


class EventSource(Struct):
    """The API type EventSource."""

    component: Annotated[str, Tag(1)] = ""
    host: Annotated[str, Tag(2)] = ""


class EventSeries(Struct):
    """The API type EventSeries."""

    count: Annotated[Int32, Tag(1)] = 0
    lastObservedTime: Annotated[MicroTime, Tag(2)] = MicroTime()


class Event(Object):
    """The API type Event."""

    involvedObject: Annotated[ObjectReference, Tag(2, required=True)] = field(default_factory=ObjectReference)
    reason: Annotated[str, Tag(3)] = ""
    message: Annotated[str, Tag(4)] = ""
    source: Annotated[EventSource, Tag(5)] = field(default_factory=EventSource)
    firstTimestamp: Annotated[Time, Tag(6)] = Time()
    lastTimestamp: Annotated[Time, Tag(7)] = Time()
    count: Annotated[Int32, Tag(8)] = 0
    type: Annotated[str, Tag(9)] = ""
    eventTime: Annotated[MicroTime, Tag(10)] = MicroTime()
    series: Annotated[EventSeries | None, Tag(11)] = None
    action: Annotated[str, Tag(12)] = ""
    related: Annotated[ObjectReference | None, Tag(13)] = None
    reportingComponent: Annotated[str, Tag(14)] = field(default_factory=str)
    reportingInstance: Annotated[str, Tag(15)] = field(default_factory=str)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    type=Event,
    singular="event",
    short=("ev",),
)
