"""The prioritylevelconfiguration types of the flowcontrol group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class QueuingConfiguration(Struct):
    """The API type QueuingConfiguration."""

    queues: Annotated[Int32, Tag(1)] = field(default_factory=int)
    handSize: Annotated[Int32, Tag(2)] = field(default_factory=int)
    queueLengthLimit: Annotated[Int32, Tag(3)] = field(default_factory=int)


class LimitResponse(Struct):
    """The API type LimitResponse."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    queuing: Annotated[QueuingConfiguration | None, Tag(2)] = None


class LimitedPriorityLevelConfiguration(Struct):
    """The API type LimitedPriorityLevelConfiguration."""

    nominalConcurrencyShares: Annotated[Int32 | None, Tag(1)] = None
    limitResponse: Annotated[LimitResponse, Tag(2, required=True)] = field(default_factory=LimitResponse)
    lendablePercent: Annotated[Int32 | None, Tag(3)] = None
    borrowingLimitPercent: Annotated[Int32 | None, Tag(4)] = None


class ExemptPriorityLevelConfiguration(Struct):
    """The API type ExemptPriorityLevelConfiguration."""

    nominalConcurrencyShares: Annotated[Int32 | None, Tag(1)] = None
    lendablePercent: Annotated[Int32 | None, Tag(2)] = None


class PriorityLevelConfigurationSpec(Struct):
    """What is asked of a Priority Level Configuration."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    limited: Annotated[LimitedPriorityLevelConfiguration | None, Tag(2)] = None
    exempt: Annotated[ExemptPriorityLevelConfiguration | None, Tag(3)] = None


class PriorityLevelConfigurationCondition(Struct):
    """One condition of a Priority Level Configuration."""

    type: Annotated[str, Tag(1, required=True)] = ""
    status: Annotated[str, Tag(2)] = ""
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class PriorityLevelConfigurationStatus(Struct):
    """What was last seen of a Priority Level Configuration."""

    conditions: Annotated[
        tuple[PriorityLevelConfigurationCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class PriorityLevelConfiguration(Object):
    """The API type PriorityLevelConfiguration."""

    spec: Annotated[
        PriorityLevelConfigurationSpec,
        Tag(2, required=True),
    ] = field(default_factory=PriorityLevelConfigurationSpec)
    status: Annotated[
        PriorityLevelConfigurationStatus,
        Tag(3),
    ] = field(default_factory=PriorityLevelConfigurationStatus)


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
)
