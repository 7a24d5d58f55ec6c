"""How much of the server a class of requests gets; read by the API server's flow control."""

from collections.abc import Callable
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class QueuingConfiguration(Struct):
    """How many queues there are, how long they are, and how flows are dealt over them."""

    queues: Annotated[Int32, Tag(1)] = field(default_factory=int)
    handSize: Annotated[Int32, Tag(2)] = field(default_factory=int)
    queueLengthLimit: Annotated[Int32, Tag(3)] = field(default_factory=int)

    def set_defaults(self) -> None:
        """64 queues of 50, of which a flow is dealt 8."""
        self.queues, self.handSize = self.queues or 64, self.handSize or 8
        self.queueLengthLimit = self.queueLengthLimit or 50


class LimitResponse(Struct):
    """What to do beyond the limit: queue or reject."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    queuing: Annotated[QueuingConfiguration | None, Tag(2)] = None


class LimitedPriorityLevelConfiguration(Struct):
    """The share of seats, what may be lent and borrowed, and the response."""

    nominalConcurrencyShares: Annotated[Int32 | None, Tag(1)] = None
    limitResponse: Annotated[LimitResponse, Tag(2, required=True)] = field(default_factory=LimitResponse)
    lendablePercent: Annotated[Int32 | None, Tag(3)] = None
    borrowingLimitPercent: Annotated[Int32 | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """30 shares, of which nothing is lent."""
        self.nominalConcurrencyShares = 30 if self.nominalConcurrencyShares is None else self.nominalConcurrencyShares
        self.lendablePercent = self.lendablePercent or 0


class ExemptPriorityLevelConfiguration(Struct):
    """The share that an exempt level takes into account; it is never limited."""

    nominalConcurrencyShares: Annotated[Int32 | None, Tag(1)] = None
    lendablePercent: Annotated[Int32 | None, Tag(2)] = None

    def set_defaults(self) -> None:
        """Nothing is set aside for it."""
        self.nominalConcurrencyShares = self.nominalConcurrencyShares or 0
        self.lendablePercent = self.lendablePercent or 0


class PriorityLevelConfigurationSpec(Struct):
    """Limited or exempt, and the settings."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    limited: Annotated[LimitedPriorityLevelConfiguration | None, Tag(2)] = None
    exempt: Annotated[ExemptPriorityLevelConfiguration | None, Tag(3)] = None


class PriorityLevelConfigurationCondition(Struct):
    """One condition of a priority level."""

    type: Annotated[str, Tag(1, required=True)] = ""
    status: Annotated[str, Tag(2)] = ""
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class PriorityLevelConfigurationStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[PriorityLevelConfigurationCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class PriorityLevelConfiguration(Object):
    """A class of requests and its share of the server."""

    spec: Annotated[
        PriorityLevelConfigurationSpec,
        Tag(2, required=True),
    ] = field(default_factory=PriorityLevelConfigurationSpec)
    status: Annotated[
        PriorityLevelConfigurationStatus,
        Tag(3),
    ] = field(default_factory=PriorityLevelConfigurationStatus)


def _queuing(name: str) -> Callable[[PriorityLevelConfiguration], int | str]:
    def read(obj: PriorityLevelConfiguration) -> int | str:
        limited = obj.spec.limited
        queuing = limited.limitResponse.queuing if limited else None
        return NONE if queuing is None else int(getattr(queuing, name))

    return read


def _shares(obj: PriorityLevelConfiguration) -> int | str | None:
    return NONE if obj.spec.limited is None else obj.spec.limited.nominalConcurrencyShares


COLUMNS = (
    NAME,
    column("Type", lambda obj: obj.spec.type, "Whether requests are limited."),
    column("NominalConcurrencyShares", _shares, "Its share of the server."),
    column("Queues", _queuing("queues"), "How many queues it has."),
    column("HandSize", _queuing("handSize"), "How many of them a flow may use."),
    column("QueueLengthLimit", _queuing("queueLengthLimit"), "How many requests a queue takes."),
    AGE,
)


RESOURCE = Resource(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    type=PriorityLevelConfiguration,
    namespaced=False,
    singular="prioritylevelconfiguration",
    subresources=(
        Subresource(
            name="status",
            kind="PriorityLevelConfiguration",
            verbs=("get", "patch", "update"),
            type=PriorityLevelConfiguration,
        ),
    ),
    has_generation=True,
    columns=COLUMNS,
)
