"""How much of the server a class of requests gets; read by the API server's flow control."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Annotated

from msgspec import convert, field
from msgspec.structs import replace

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.flowcontrol import standard
from kijabi.api.flowcontrol.flowschema import conditions
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.api.validation import forbidden, invalid, not_supported, required

MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60  # of the hash that hands of queues are dealt by
# Belongs to an older version of the API, where it says that no shares means none.
_ROUND_TRIP = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"


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


@cache
def _fixed(name: str) -> PriorityLevelConfigurationSpec:
    return convert(standard.levels()[name], PriorityLevelConfigurationSpec)


def validate(obj: PriorityLevelConfiguration) -> Sequence[FieldError]:
    """k8s.io/kubernetes `pkg/apis/flowcontrol/validation` ValidatePriorityLevelConfiguration, then what the type
    declares (`apis/flowcontrol/v1` Validate_PriorityLevelConfiguration)."""
    name, spec = obj.metadata.name, obj.spec
    errors: list[FieldError] = []
    if _ROUND_TRIP in obj.metadata.annotations:
        errors.append(forbidden("metadata.annotations", f"annotation '{_ROUND_TRIP}' is forbidden"))
    errors += _spec(name, spec)
    errors += _mandatory(name, spec)
    errors += _declared(spec)
    return errors


def validate_status(new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> Sequence[FieldError]:
    """ValidatePriorityLevelConfigurationStatus, same place."""
    return list(conditions(tuple(each.type for each in new.status.conditions)))


def _mandatory(name: str, spec: PriorityLevelConfigurationSpec) -> Iterator[FieldError]:
    if name not in standard.MANDATORY:
        return
    fixed = _fixed(name)
    if name == "exempt":  # how much is set aside for it is the administrator's
        if replace(spec, exempt=fixed.exempt) != fixed:
            text = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
            yield invalid("spec", spec, text)
    elif spec != fixed:
        yield invalid("spec", spec, f"spec of '{name}' must equal the fixed value")


def _spec(name: str, spec: PriorityLevelConfigurationSpec) -> Iterator[FieldError]:
    if (name == "exempt") != (spec.type == "Exempt"):
        yield invalid("spec.type", spec.type, "must be 'Exempt' if and only if `name` is 'exempt'")
    if spec.type == "Exempt":
        if spec.exempt is not None:
            yield from _check_shares("spec.exempt", spec.exempt.nominalConcurrencyShares)
            yield from _lent("spec.exempt", spec.exempt.lendablePercent)
    elif spec.type == "Limited":
        if spec.limited is not None:
            yield from _limited("spec.limited", spec.limited)
    elif spec.type:
        yield not_supported("spec.type", spec.type, ("Exempt", "Limited"))


def _check_shares(path: str, shares: int | None) -> Iterator[FieldError]:
    if shares is not None and shares < 0:
        yield invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")


def _lent(path: str, percent: int | None) -> Iterator[FieldError]:
    if percent is not None and not 0 <= percent <= 100:
        yield invalid(f"{path}.lendablePercent", percent, "must be between 0 and 100, inclusive")


def _limited(path: str, limited: LimitedPriorityLevelConfiguration) -> Iterator[FieldError]:
    yield from _check_shares(path, limited.nominalConcurrencyShares)
    response = limited.limitResponse
    if response.type == "Queue":
        if response.queuing is not None:
            yield from _check_queuing(f"{path}.limitResponse.queuing", response.queuing)
    elif response.type and response.type != "Reject":
        yield not_supported(f"{path}.limitResponse.type", response.type, ("Queue", "Reject"))
    yield from _lent(path, limited.lendablePercent)
    borrowed = limited.borrowingLimitPercent
    if borrowed is not None and borrowed < 0:
        yield invalid(f"{path}.borrowingLimitPercent", borrowed, "if specified, must be a non-negative integer")


def _check_queuing(path: str, queuing: QueuingConfiguration) -> Iterator[FieldError]:
    queues, hand = queuing.queues, queuing.handSize
    if queuing.queueLengthLimit <= 0:
        yield invalid(f"{path}.queueLengthLimit", queuing.queueLengthLimit, "must be positive")
    if queues <= 0:
        yield invalid(f"{path}.queues", queues, "must be positive")
    elif queues > MAX_QUEUES:
        yield invalid(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}")
    path = f"{path}.handSize"
    if hand <= 0:
        yield invalid(path, hand, "must be positive")
    elif hand > queues:
        yield invalid(path, hand, f"should not be greater than queues ({queues})")
    elif entropy_bits(queues, hand) > MAX_HASH_BITS:
        text = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than"
        yield invalid(path, hand, f"{text} {MAX_HASH_BITS}")


def entropy_bits(deck: int, hand: int) -> int:
    """How many bits of a hash it takes to deal a hand of a deck (k8s.io/apiserver `pkg/util/shufflesharding`)."""
    return math.ceil(math.log2(deck) * hand)


def _declared(spec: PriorityLevelConfigurationSpec) -> Iterator[FieldError]:
    """Which members go with which type: rules that the type declares."""
    if spec.type != "Exempt" and spec.exempt is not None:
        yield forbidden("spec.exempt", "")
    if spec.type == "Limited" and spec.limited is None:
        yield required("spec.limited")
    elif spec.type != "Limited" and spec.limited is not None:
        yield forbidden("spec.limited", "")
    if not spec.type:
        yield required("spec.type")
    if spec.limited is None:
        return
    path, response = "spec.limited.limitResponse", spec.limited.limitResponse
    if response.type == "Queue" and response.queuing is None:
        yield required(f"{path}.queuing")
    elif response.type != "Queue" and response.queuing is not None:
        yield forbidden(f"{path}.queuing", "")
    if not response.type:
        yield required(f"{path}.type")


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
    validate=validate,
    validate_status=validate_status,
    columns=COLUMNS,
)
