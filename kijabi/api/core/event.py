"""What happened to an object, for people to read; written by every component."""

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import NAME, column, since
from kijabi.api.core.reference import ObjectReference
from kijabi.api.formats import qualified_name, size
from kijabi.api.meta import MicroTime, Object, Time
from kijabi.api.resource import Column, FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.api.validation import each, invalid, required


class EventSource(Struct):
    """The component that reports, and its host."""

    component: Annotated[str, Tag(1)] = ""
    host: Annotated[str, Tag(2)] = ""


class EventSeries(Struct):
    """How often an event happened, and when last."""

    count: Annotated[Int32, Tag(1)] = 0
    lastObservedTime: Annotated[MicroTime, Tag(2)] = field(default_factory=MicroTime)


class Event(Object):
    """A note about an object: reason, message, and how often."""

    involvedObject: Annotated[ObjectReference, Tag(2, required=True)] = field(default_factory=ObjectReference)
    reason: Annotated[str, Tag(3)] = ""
    message: Annotated[str, Tag(4)] = ""
    source: Annotated[EventSource, Tag(5)] = field(default_factory=EventSource)
    firstTimestamp: Annotated[Time, Tag(6)] = field(default_factory=Time)
    lastTimestamp: Annotated[Time, Tag(7)] = field(default_factory=Time)
    count: Annotated[Int32, Tag(8)] = 0
    type: Annotated[str, Tag(9)] = ""
    eventTime: Annotated[MicroTime, Tag(10)] = field(default_factory=MicroTime)
    series: Annotated[EventSeries | None, Tag(11)] = None
    action: Annotated[str, Tag(12)] = ""
    related: Annotated[ObjectReference | None, Tag(13)] = None
    reportingComponent: Annotated[str, Tag(14)] = field(default_factory=str)
    reportingInstance: Annotated[str, Tag(15)] = field(default_factory=str)


def _first(obj: Event) -> str:
    return since(obj.firstTimestamp or obj.eventTime)


def _last(obj: Event) -> str:
    if obj.series is not None:
        return since(obj.series.lastObservedTime)
    return since(obj.lastTimestamp) if obj.lastTimestamp else _first(obj)


def _count(obj: Event) -> int:
    return obj.series.count if obj.series is not None else obj.count or 1


def _object(obj: Event) -> str:
    about = obj.involvedObject
    return f"{about.kind.lower()}/{about.name}" if about.name else about.kind.lower()


def _source(obj: Event) -> str:
    component = obj.source.component or obj.reportingComponent
    instance = obj.source.host or obj.reportingInstance
    return f"{component}, {instance}" if instance else component


COLUMNS = (
    column("Last Seen", _last, "How long ago it happened last."),
    column("Type", lambda obj: obj.type, "Normal or Warning."),
    column("Reason", lambda obj: obj.reason, "What happened, in a word."),
    column("Object", _object, "What it happened to."),
    column("Subobject", lambda obj: obj.involvedObject.fieldPath, "Which part of that.", wide=True),
    column("Source", _source, "Who says so.", wide=True),
    column("Message", lambda obj: obj.message.strip(), "What happened, in a sentence."),
    column("First Seen", _first, "How long ago it happened first.", wide=True),
    column("Count", _count, "How often it happened.", wide=True),
    Column(name="Name", cell=NAME.cell, format="name", description=NAME.description, priority=1),
)


_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


def _about(name: str) -> Callable[[Event], str]:
    return lambda event: str(getattr(event.involvedObject, name))


FIELDS: tuple[tuple[str, Callable[[Event], str]], ...] = (
    *((f"involvedObject.{name}", _about(name)) for name in _ABOUT),
    ("reason", lambda event: event.reason),
    ("reportingComponent", lambda event: event.reportingComponent),
    ("source", lambda event: event.source.component or event.reportingComponent),
    ("type", lambda event: event.type),
)


# Characters of what newer events say of themselves (those with eventTime).
LONGEST_INSTANCE, LONGEST_ACTION, LONGEST_REASON, LONGEST_NOTE = 128, 128, 128, 1024


def validate(obj: Event, reporter: str = "reportingComponent") -> Sequence[FieldError]:
    """An event lies in its object's namespace, and a newer one tells who says what; reporter: that field's name."""
    about, own = obj.involvedObject.namespace, obj.metadata.namespace
    path = "involvedObject.namespace"
    wrong = invalid(path, about, "does not match event.namespace")
    if not obj.eventTime:
        fits = own in ("", "default") if not about else own == about
        return [] if fits else [wrong]
    errors = [wrong] if not about and own not in ("default", "kube-system") else []
    if not obj.reportingComponent:
        errors.append(required(reporter))
    errors += each(reporter, obj.reportingComponent, qualified_name(obj.reportingComponent))
    for name, limit, needed in (
        ("reportingInstance", LONGEST_INSTANCE, True),
        ("action", LONGEST_ACTION, True),
        ("reason", LONGEST_REASON, True),
        ("message", LONGEST_NOTE, False),
    ):
        text = getattr(obj, name)
        if needed and not text:
            errors.append(required(name))
        if size(text) > limit:
            errors.append(invalid(name, "", f"can have at most {limit} characters"))
    return errors


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    type=Event,
    singular="event",
    short=("ev",),
    columns=COLUMNS,
    name_rule="path",
    fields=FIELDS,
    validate=validate,
    create_on_update=True,
)
