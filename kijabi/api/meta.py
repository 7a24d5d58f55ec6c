"""What every object carries: types, metadata, selectors, conditions, times, and the Status of a failure.

Types of k8s.io/apimachinery `pkg/apis/meta/v1`. Every module of `api/` builds on this one; `codec.py` and
`protobuf.py` read its times and its raw `managedFields` specially.
"""

from datetime import UTC, datetime
from re import compile as regex
from typing import Annotated, Any, ClassVar, Self

from msgspec import Raw, field

from kijabi.api.struct import NO_JSON, Int32, Int64, Struct, Tag
from kijabi.base import clock

_RFC3339 = regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SEEN_LIMIT = 8192


class _Moment(str):
    """What Time and MicroTime share: a `str` of the wire text in UTC, so that text order is order in time.

    The empty text is Go's zero time: false, left out on the wire, the first instant of the year 1. There is one
    zero of each class, because the encoder knows a default by its identity.
    """

    __slots__ = ()
    _digits: ClassVar[str] = "seconds"
    _layout: ClassVar[str] = "2006-01-02T15:04:05Z07:00"
    _seen: ClassVar[dict[Any, Any]] = {}
    _zero: ClassVar[Any] = None

    def __new__(cls, text: str = "") -> Self:
        if text:
            return str.__new__(cls, text)
        if cls._zero is None:
            cls._zero = str.__new__(cls)
        return cls._zero  # type: ignore[no-any-return]

    @classmethod
    def parse(cls, value: Any) -> Self:
        """The moment for a JSON value: an RFC 3339 text, or null for the zero time; else ValueError."""
        known = cls._seen.get(value) if value.__class__ is str else None
        return known if known is not None else cls._parse(value)

    @classmethod
    def _parse(cls, value: Any) -> Self:
        if value is None:
            return cls()
        if not isinstance(value, str):
            raise ValueError(f"json: cannot unmarshal {_json_name(value)} into Go value of type string")
        try:
            if not _RFC3339.fullmatch(value):
                raise ValueError(value)
            moment = cls.of(datetime.fromisoformat(value))
        except (ValueError, OverflowError):
            text = f'parsing time "{value}" as "{cls._layout}": cannot parse "{value}" as "2006"'
            raise ValueError(text) from None
        if len(cls._seen) >= _SEEN_LIMIT:
            cls._seen.clear()
        cls._seen[value] = moment
        return moment

    @classmethod
    def of(cls, moment: datetime) -> Self:
        """The wire form of a date with time zone."""
        return cls(moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=cls._digits) + "Z")

    def datetime(self) -> datetime:
        """The moment in UTC."""
        return datetime.fromisoformat(self) if self else datetime.min.replace(tzinfo=UTC)

    def timestamp(self) -> float:
        """Seconds since 1970."""
        return self.datetime().timestamp()


class Time(_Moment):
    """A moment to the second: `2006-01-02T15:04:05Z`."""

    __slots__ = ()
    _seen: ClassVar[dict[Any, Any]] = {}
    _zero: ClassVar[Any] = None


class MicroTime(_Moment):
    """A moment to the microsecond: `2006-01-02T15:04:05.000000Z`."""

    __slots__ = ()
    _digits: ClassVar[str] = "microseconds"
    _layout: ClassVar[str] = "2006-01-02T15:04:05.000000Z07:00"
    _seen: ClassVar[dict[Any, Any]] = {}
    _zero: ClassVar[Any] = None


def time_now() -> Time:
    """The present, cut to the second."""
    return Time.of(clock.now())


def micro_now() -> MicroTime:
    """The present, to the microsecond."""
    return MicroTime.of(clock.now())


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "array" if isinstance(value, list) else "object"


class TypeMeta(Struct):
    """The version and kind that say what a JSON document is; in protobuf the envelope carries them."""

    apiVersion: str = ""
    kind: str = ""


class OwnerReference(Struct):
    """The object that this one belongs to; the garbage collector follows it."""

    ATOMIC: ClassVar[bool] = True

    apiVersion: Annotated[str, Tag(5, required=True)] = field(default_factory=str)
    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    uid: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    controller: Annotated[bool | None, Tag(6)] = None
    blockOwnerDeletion: Annotated[bool | None, Tag(7)] = None


class ManagedFieldsEntry(Struct):
    """The fields that one manager owns, for server-side apply."""

    manager: Annotated[str, Tag(1)] = ""
    operation: Annotated[str, Tag(2)] = ""
    apiVersion: Annotated[str, Tag(3)] = ""
    time: Annotated[Time | None, Tag(4)] = None
    fieldsType: Annotated[str, Tag(6)] = ""
    fieldsV1: Annotated[Raw, Tag(7)] = NO_JSON
    subresource: Annotated[str, Tag(8)] = ""


class ObjectMeta(Struct):
    """Name, identity, version, labels and owners of an object.

    managedFields: a JSON list, kept raw.
    """

    name: Annotated[str, Tag(1)] = ""
    generateName: Annotated[str, Tag(2)] = ""
    namespace: Annotated[str, Tag(3)] = ""
    selfLink: Annotated[str, Tag(4)] = ""
    uid: Annotated[str, Tag(5)] = ""
    resourceVersion: Annotated[str, Tag(6)] = ""
    generation: Annotated[Int64, Tag(7)] = 0
    creationTimestamp: Annotated[Time, Tag(8)] = Time()
    deletionTimestamp: Annotated[Time | None, Tag(9)] = None
    deletionGracePeriodSeconds: Annotated[Int64 | None, Tag(10)] = None
    labels: Annotated[dict[str, str], Tag(11)] = {}
    annotations: Annotated[dict[str, str], Tag(12)] = {}
    ownerReferences: Annotated[
        tuple[OwnerReference, ...],
        Tag(13, listType="map", keys=("uid",), strategy="merge", mergeKey="uid"),
    ] = ()
    finalizers: Annotated[tuple[str, ...], Tag(14, listType="set", strategy="merge")] = ()
    managedFields: Annotated[Raw, Tag(17, listType="atomic")] = NO_JSON


class Object(TypeMeta):
    """Anything that has a name and is stored: the base of every kind."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)


class LabelSelectorRequirement(Struct):
    """A label key, an operator (In, NotIn, Exists, DoesNotExist) and values."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class LabelSelector(Struct):
    """Labels and requirements, all of which must hold; an empty selector picks everything."""

    ATOMIC: ClassVar[bool] = True

    matchLabels: Annotated[dict[str, str], Tag(1)] = {}
    matchExpressions: Annotated[tuple[LabelSelectorRequirement, ...], Tag(2, listType="atomic")] = ()


class ShardInfo(Struct):
    """Which part of a sharded list this is."""

    selector: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ListMeta(Struct):
    """The version of a list, and how to read on."""

    selfLink: Annotated[str, Tag(1)] = ""
    resourceVersion: Annotated[str, Tag(2)] = ""
    continue_: Annotated[str, Tag(3)] = field(default="", name="continue")
    remainingItemCount: Annotated[Int64 | None, Tag(4)] = None
    shardInfo: Annotated[ShardInfo | None, Tag(5, gate="ShardedListAndWatch")] = None


class StatusCause(Struct):
    """One of the reasons of a failure: reason, message and field."""

    reason: Annotated[str, Tag(1)] = ""
    message: Annotated[str, Tag(2)] = ""
    field: Annotated[str, Tag(3)] = ""


class StatusDetails(Struct):
    """The object of a failure, its causes, and when to try again."""

    name: Annotated[str, Tag(1)] = ""
    group: Annotated[str, Tag(2)] = ""
    kind: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(6)] = ""
    causes: Annotated[tuple[StatusCause, ...], Tag(4, listType="atomic")] = ()
    retryAfterSeconds: Annotated[Int32, Tag(5)] = 0


class Status(TypeMeta):
    """The outcome of a call that returns no object; every failure has this form."""

    metadata: Annotated[ListMeta, Tag(1)] = field(default_factory=ListMeta)
    status: Annotated[str, Tag(2)] = ""
    message: Annotated[str, Tag(3)] = ""
    reason: Annotated[str, Tag(4)] = ""
    details: Annotated[StatusDetails | None, Tag(5)] = None
    code: Annotated[Int32, Tag(6)] = 0


class Condition(Struct):
    """One fact about an object that is True, False or Unknown, and since when."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    observedGeneration: Annotated[Int64, Tag(3)] = 0
    lastTransitionTime: Annotated[Time, Tag(4, required=True)] = Time()
    reason: Annotated[str, Tag(5, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(6, required=True)] = field(default_factory=str)


class Preconditions(Struct):
    """The uid and version that an object must have to be deleted."""

    uid: Annotated[str | None, Tag(1)] = None
    resourceVersion: Annotated[str | None, Tag(2)] = None


class DeleteOptions(TypeMeta):
    """How to delete: after which grace period, what becomes of dependents, only if unchanged."""

    gracePeriodSeconds: Annotated[Int64 | None, Tag(1)] = None
    preconditions: Annotated[Preconditions | None, Tag(2)] = None
    orphanDependents: Annotated[bool | None, Tag(3)] = None
    propagationPolicy: Annotated[str | None, Tag(4)] = None
    dryRun: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    ignoreStoreReadErrorWithClusterBreakingPotential: Annotated[bool | None, Tag(6)] = None


class PartialObjectMetadata(Object):
    """Any object, reduced to its metadata."""


class GroupResource(Struct):
    """A resource by group and name."""

    group: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resource: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class GroupVersionKind(Struct):
    """A kind by group, version and name."""

    group: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    version: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    kind: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class GroupVersionResource(Struct):
    """A resource by group, version and name."""

    group: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    version: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    resource: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class FieldSelectorRequirement(Struct):
    """A field, an operator and values."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class WatchEvent(Struct):
    """A change: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    object: Annotated[Raw, Tag(2, required=True)] = NO_JSON
