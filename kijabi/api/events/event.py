"""What happened to an object (events.k8s.io): a view of the core Event."""

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import field, structs

from kijabi.api.core import event as core
from kijabi.api.core.event import EventSource
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import MicroTime, Object, Time
from kijabi.api.resource import Column, FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.api.validation import immutable, invalid, required


class EventSeries(Struct):
    """How often an event happened, and when last."""

    count: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    lastObservedTime: Annotated[MicroTime, Tag(2, required=True)] = field(default_factory=MicroTime)


class Event(Object):
    """A note about an object: action, reason, note, and how often."""

    eventTime: Annotated[MicroTime, Tag(2, required=True)] = field(default_factory=MicroTime)
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
    deprecatedFirstTimestamp: Annotated[Time, Tag(13)] = field(default_factory=Time)
    deprecatedLastTimestamp: Annotated[Time, Tag(14)] = field(default_factory=Time)
    deprecatedCount: Annotated[Int32, Tag(15)] = 0


def up(event: Event) -> core.Event:
    """The stored form, of the core group."""
    found = event.series
    series = core.EventSeries(found.count, found.lastObservedTime) if found is not None else None
    return core.Event(
        metadata=event.metadata,
        involvedObject=event.regarding,
        reason=event.reason,
        message=event.note,
        source=event.deprecatedSource,
        firstTimestamp=event.deprecatedFirstTimestamp,
        lastTimestamp=event.deprecatedLastTimestamp,
        count=event.deprecatedCount,
        type=event.type,
        eventTime=event.eventTime,
        series=series,
        action=event.action,
        related=event.related,
        reportingComponent=event.reportingController,
        reportingInstance=event.reportingInstance,
    )


def down(event: core.Event) -> Event:
    """The stored form as this group shows it."""
    found = event.series
    series = EventSeries(found.count, found.lastObservedTime) if found is not None else None
    return Event(
        metadata=event.metadata,
        eventTime=event.eventTime,
        series=series,
        reportingController=event.reportingComponent,
        reportingInstance=event.reportingInstance,
        action=event.action,
        reason=event.reason,
        regarding=event.involvedObject,
        related=event.related,
        note=event.message,
        type=event.type,
        deprecatedSource=event.source,
        deprecatedFirstTimestamp=event.firstTimestamp,
        deprecatedLastTimestamp=event.lastTimestamp,
        deprecatedCount=event.count,
    )


def _about(name: str) -> Callable[[Event], str]:
    return lambda event: str(getattr(event.regarding, name))


FIELDS: tuple[tuple[str, Callable[[Event], str]], ...] = (
    *((f"regarding.{name}", _about(name)) for name in ("kind", "namespace", "name", "uid", "apiVersion")),
    ("regarding.resourceVersion", _about("resourceVersion")),
    ("regarding.fieldPath", _about("fieldPath")),
    ("reportingController", lambda event: event.reportingController),
    ("reason", lambda event: event.reason),
    ("type", lambda event: event.type),
)


def _seen(column: Column) -> Column:
    return structs.replace(column, cell=lambda event: column.cell(up(event)))


COLUMNS = tuple(_seen(column) for column in core.COLUMNS)


def validate(event: Event) -> Sequence[FieldError]:
    """What this group asks beyond the core group: a time, a type, and none of the deprecated fields."""
    errors = list(core.validate(up(event), "reportingController"))
    if event.metadata.resourceVersion:
        return errors  # `validate_update` says the rest
    errors += _validate_series(event.series)
    if not event.eventTime:
        errors.append(required("eventTime"))
    if event.type not in ("Normal", "Warning"):
        errors.append(invalid("type", "", f"has invalid value: {event.type}"))
    old = up(event)
    for name, absent in (("firstTimestamp", ""), ("lastTimestamp", ""), ("count", 0), ("source", core.EventSource())):
        if getattr(old, name) != absent:
            errors.append(invalid(name, "", "needs to be unset"))
    return errors


def _validate_series(series: EventSeries | None) -> list[FieldError]:
    if series is None:
        return []
    errors = [invalid("series.count", "", "should be at least 2")] if series.count < 2 else []
    return errors if series.lastObservedTime else [*errors, required("series.lastObservedTime")]


def validate_update(new: Event, old: Event) -> Sequence[FieldError]:
    """Only how often it happened can change."""
    after, before = up(new), up(old)
    errors = _validate_series(new.series) if new.series != old.series else []
    for name in _FIXED:
        shown = "reportingController" if name == "reportingComponent" else name
        errors += immutable(shown, getattr(after, name), getattr(before, name))
    return errors


_FIXED = (
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
)


RESOURCE = Resource(
    group="events.k8s.io",
    version="v1",
    kind="Event",
    plural="events",
    type=Event,
    singular="event",
    short=("ev",),
    stored_as=("", "v1", "Event"),
    fields=FIELDS,
    columns=COLUMNS,
    up=up,
    down=down,
    validate=validate,
    validate_update=validate_update,
    create_on_update=True,
)
