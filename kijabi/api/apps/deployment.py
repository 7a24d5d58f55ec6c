"""The deployment types of the apps group."""

from typing import Annotated

from msgspec import field

from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag


class RollingUpdateDeployment(Struct):
    """The API type RollingUpdateDeployment."""

    maxUnavailable: Annotated[IntOrString | None, Tag(1)] = None
    maxSurge: Annotated[IntOrString | None, Tag(2)] = None


class DeploymentStrategy(Struct):
    """The API type DeploymentStrategy."""

    type: Annotated[str, Tag(1)] = ""
    rollingUpdate: Annotated[RollingUpdateDeployment | None, Tag(2)] = None


class DeploymentSpec(Struct):
    """What is asked of a Deployment."""

    replicas: Annotated[Int32 | None, Tag(1)] = None
    selector: Annotated[LabelSelector | None, Tag(2, required=True)] = None
    template: Annotated[PodTemplateSpec, Tag(3, required=True)] = field(default_factory=PodTemplateSpec)
    strategy: Annotated[
        DeploymentStrategy,
        Tag(4, strategy="retainKeys"),
    ] = field(default_factory=DeploymentStrategy)
    minReadySeconds: Annotated[Int32, Tag(5)] = 0
    revisionHistoryLimit: Annotated[Int32 | None, Tag(6)] = None
    paused: Annotated[bool, Tag(7)] = False
    progressDeadlineSeconds: Annotated[Int32 | None, Tag(9)] = None

    def set_defaults(self) -> None:
        """One replica, rolled a quarter at a time, given up after ten minutes without progress."""
        if self.replicas is None:
            self.replicas = 1
        self.strategy.type = self.strategy.type or "RollingUpdate"
        if self.strategy.type == "RollingUpdate":
            rolling = self.strategy.rollingUpdate = self.strategy.rollingUpdate or RollingUpdateDeployment()
            if rolling.maxUnavailable is None:
                rolling.maxUnavailable = "25%"
            if rolling.maxSurge is None:
                rolling.maxSurge = "25%"
        if self.revisionHistoryLimit is None:
            self.revisionHistoryLimit = 10
        if self.progressDeadlineSeconds is None:
            self.progressDeadlineSeconds = 600


class DeploymentCondition(Struct):
    """One condition of a Deployment."""

    type: Annotated[str, Tag(1)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)
    lastUpdateTime: Annotated[Time, Tag(6)] = Time()
    lastTransitionTime: Annotated[Time, Tag(7)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class DeploymentStatus(Struct):
    """What was last seen of a Deployment."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    replicas: Annotated[Int32, Tag(2)] = 0
    updatedReplicas: Annotated[Int32, Tag(3)] = 0
    readyReplicas: Annotated[Int32, Tag(7)] = 0
    availableReplicas: Annotated[Int32, Tag(4)] = 0
    unavailableReplicas: Annotated[Int32, Tag(5)] = 0
    terminatingReplicas: Annotated[Int32 | None, Tag(9)] = None
    conditions: Annotated[
        tuple[DeploymentCondition, ...],
        Tag(6, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    collisionCount: Annotated[Int32 | None, Tag(8)] = None


class Deployment(Object):
    """The API type Deployment."""

    spec: Annotated[DeploymentSpec, Tag(2, required=True)] = field(default_factory=DeploymentSpec)
    status: Annotated[DeploymentStatus, Tag(3)] = field(default_factory=DeploymentStatus)


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    type=Deployment,
    singular="deployment",
    short=("deploy",),
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
        Subresource(name="status", kind="Deployment", verbs=("get", "patch", "update"), type=Deployment),
    ),
    has_generation=True,
)
