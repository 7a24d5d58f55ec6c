"""Pods with an identity: ordered names, a volume each; acted on by the StatefulSet controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.apps.statefulset_rules import validate, validate_status, validate_update, warnings
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.columns import AGE, NAME, column, containers_of
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag


class RollingUpdateStatefulSetStrategy(Struct):
    """From which ordinal on pods are updated, and how many may be down."""

    partition: Annotated[Int32 | None, Tag(1)] = None
    maxUnavailable: Annotated[IntOrString | None, Tag(2, gate="MaxUnavailableStatefulSet")] = None


class StatefulSetUpdateStrategy(Struct):
    """RollingUpdate, or OnDelete: replace a pod only after someone deleted it."""

    type: Annotated[str, Tag(1)] = ""
    rollingUpdate: Annotated[RollingUpdateStatefulSetStrategy | None, Tag(2)] = None


class StatefulSetPersistentVolumeClaimRetentionPolicy(Struct):
    """Whether claims are kept when the set is deleted or scaled down."""

    whenDeleted: Annotated[str, Tag(1)] = ""
    whenScaled: Annotated[str, Tag(2)] = ""


class StatefulSetOrdinals(Struct):
    """The number of the first pod."""

    start: Annotated[Int32, Tag(1)] = field(default_factory=int)


class StatefulSetSpec(Struct):
    """The pod template, the claim templates, the replica count, and how pods come, go and change."""

    replicas: Annotated[Int32 | None, Tag(1)] = None
    selector: Annotated[LabelSelector | None, Tag(2, required=True)] = None
    template: Annotated[PodTemplateSpec, Tag(3, required=True)] = field(default_factory=PodTemplateSpec)
    volumeClaimTemplates: Annotated[tuple[PersistentVolumeClaim, ...], Tag(4, listType="atomic")] = ()
    serviceName: Annotated[str, Tag(5)] = field(default_factory=str)
    podManagementPolicy: Annotated[str, Tag(6)] = ""
    updateStrategy: Annotated[
        StatefulSetUpdateStrategy,
        Tag(7),
    ] = field(default_factory=StatefulSetUpdateStrategy)
    revisionHistoryLimit: Annotated[Int32 | None, Tag(8)] = None
    minReadySeconds: Annotated[Int32, Tag(9)] = 0
    persistentVolumeClaimRetentionPolicy: Annotated[
        StatefulSetPersistentVolumeClaimRetentionPolicy | None,
        Tag(10),
    ] = None
    ordinals: Annotated[StatefulSetOrdinals | None, Tag(11)] = None

    def set_defaults(self) -> None:
        """One replica, started and rolled one after the other; claims stay."""
        self.podManagementPolicy = self.podManagementPolicy or "OrderedReady"
        if not self.updateStrategy.type:
            self.updateStrategy.type = "RollingUpdate"
            if self.updateStrategy.rollingUpdate is None:
                self.updateStrategy.rollingUpdate = RollingUpdateStatefulSetStrategy()
        rolling = self.updateStrategy.rollingUpdate
        if self.updateStrategy.type == "RollingUpdate" and rolling is not None:
            if rolling.partition is None:
                rolling.partition = 0
            if rolling.maxUnavailable is None:
                rolling.maxUnavailable = 1
        for claim in self.volumeClaimTemplates:
            claim.apiVersion, claim.kind = "v1", "PersistentVolumeClaim"
        keep = self.persistentVolumeClaimRetentionPolicy or StatefulSetPersistentVolumeClaimRetentionPolicy()
        keep.whenDeleted = keep.whenDeleted or "Retain"
        keep.whenScaled = keep.whenScaled or "Retain"
        self.persistentVolumeClaimRetentionPolicy = keep
        if self.replicas is None:
            self.replicas = 1
        if self.revisionHistoryLimit is None:
            self.revisionHistoryLimit = 10


class StatefulSetCondition(Struct):
    """One condition of a StatefulSet."""

    type: Annotated[str, Tag(1)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class StatefulSetStatus(Struct):
    """How many pods exist and are ready, and the current and the next revision."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    replicas: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    readyReplicas: Annotated[Int32, Tag(3)] = 0
    currentReplicas: Annotated[Int32, Tag(4)] = 0
    updatedReplicas: Annotated[Int32, Tag(5)] = 0
    currentRevision: Annotated[str, Tag(6)] = ""
    updateRevision: Annotated[str, Tag(7)] = ""
    collisionCount: Annotated[Int32 | None, Tag(9)] = None
    conditions: Annotated[
        tuple[StatefulSetCondition, ...],
        Tag(10, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    availableReplicas: Annotated[Int32, Tag(11)] = field(default_factory=int)


class StatefulSet(Object):
    """Keeps pods with stable names and storage running, one after the other."""

    spec: Annotated[StatefulSetSpec, Tag(2, required=True)] = field(default_factory=StatefulSetSpec)
    status: Annotated[StatefulSetStatus, Tag(3)] = field(default_factory=StatefulSetStatus)


COLUMNS = (
    NAME,
    column("Ready", lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}", "Ready pods of those wanted."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers),
)


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    type=StatefulSet,
    singular="statefulset",
    short=("sts",),
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
        Subresource(name="status", kind="StatefulSet", verbs=("get", "patch", "update"), type=StatefulSet),
    ),
    name_rule="label",
    has_generation=True,
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
)
