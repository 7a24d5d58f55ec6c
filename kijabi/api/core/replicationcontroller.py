"""The replicationcontroller types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag


class ReplicationControllerSpec(Struct):
    """What is asked of a Replication Controller."""

    replicas: Annotated[Int32 | None, Tag(1, default=1)] = None
    minReadySeconds: Annotated[Int32, Tag(4, default=0)] = 0
    selector: Annotated[dict[str, str], Tag(2, mapType="atomic")] = {}
    template: Annotated[PodTemplateSpec | None, Tag(3)] = None


class ReplicationControllerCondition(Struct):
    """One condition of a Replication Controller."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class ReplicationControllerStatus(Struct):
    """What was last seen of a Replication Controller."""

    replicas: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    fullyLabeledReplicas: Annotated[Int32, Tag(2)] = 0
    readyReplicas: Annotated[Int32, Tag(4)] = 0
    availableReplicas: Annotated[Int32, Tag(5)] = 0
    observedGeneration: Annotated[Int64, Tag(3)] = 0
    conditions: Annotated[
        tuple[ReplicationControllerCondition, ...],
        Tag(6, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class ReplicationController(Object):
    """The API type ReplicationController."""

    spec: Annotated[ReplicationControllerSpec, Tag(2)] = field(default_factory=ReplicationControllerSpec)
    status: Annotated[
        ReplicationControllerStatus,
        Tag(3),
    ] = field(default_factory=ReplicationControllerStatus)

    def set_defaults(self) -> None:
        """It selects by the labels of its template, and carries them."""
        labels = self.spec.template.metadata.labels if self.spec.template else {}
        self.spec.selector = self.spec.selector or dict(labels)
        self.metadata.labels = self.metadata.labels or dict(labels)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    type=ReplicationController,
    singular="replicationcontroller",
    short=("rc",),
    categories=("all",),
    subresources=(
        Subresource(
            name="scale",
            kind="Scale",
            verbs=("get", "patch", "update"),
            group="autoscaling",
            version="v1",
            type=Scale,
        ),
        Subresource(
            name="status",
            kind="ReplicationController",
            verbs=("get", "patch", "update"),
            type=ReplicationController,
        ),
    ),
    has_generation=True,
)
