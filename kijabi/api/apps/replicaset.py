"""A number of equal pods; acted on by the ReplicaSet controller, mostly on behalf of a Deployment."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.apps.workload_rules import validate_counts, validate_workload
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.columns import AGE, NAME, column, containers_of, number, selector_text
from kijabi.api.core.pod_warnings import named_warning, template_warnings
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag
from kijabi.api.validation import immutable, non_negative


class ReplicaSetSpec(Struct):
    """The pod template, its selector, and how many pods there should be."""

    replicas: Annotated[Int32 | None, Tag(1)] = None
    minReadySeconds: Annotated[Int32, Tag(4)] = 0
    selector: Annotated[LabelSelector | None, Tag(2, required=True)] = None
    template: Annotated[PodTemplateSpec, Tag(3)] = field(default_factory=PodTemplateSpec)

    def set_defaults(self) -> None:
        """One replica."""
        if self.replicas is None:
            self.replicas = 1


class ReplicaSetCondition(Struct):
    """ReplicaFailure, when pods could not be made or deleted."""

    type: Annotated[str, Tag(1)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class ReplicaSetStatus(Struct):
    """How many pods exist, match the template, are ready, available and terminating."""

    replicas: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    fullyLabeledReplicas: Annotated[Int32, Tag(2)] = 0
    readyReplicas: Annotated[Int32, Tag(4)] = 0
    availableReplicas: Annotated[Int32, Tag(5)] = 0
    terminatingReplicas: Annotated[Int32 | None, Tag(7)] = None
    observedGeneration: Annotated[Int64, Tag(3)] = 0
    conditions: Annotated[
        tuple[ReplicaSetCondition, ...],
        Tag(6, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class ReplicaSet(Object):
    """Keeps a number of pods of one template running."""

    spec: Annotated[ReplicaSetSpec, Tag(2, required=True)] = field(default_factory=ReplicaSetSpec)
    status: Annotated[ReplicaSetStatus, Tag(3)] = field(default_factory=ReplicaSetStatus)


COLUMNS = (
    NAME,
    number("Desired", lambda obj: obj.spec.replicas or 0, "How many pods there should be."),
    number("Current", lambda obj: obj.status.replicas, "How many pods there are."),
    number("Ready", lambda obj: obj.status.readyReplicas, "How many pods are ready."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers),
    column("Selector", lambda obj: selector_text(obj.spec.selector), "Labels that its pods have.", wide=True),
)


def validate(obj: ReplicaSet) -> Sequence[FieldError]:
    """Everything that is wrong with a replica set."""
    errors = non_negative("spec.minReadySeconds", obj.spec.minReadySeconds)
    return validate_workload(obj.spec, "ReplicaSet", "deployment") + errors


def validate_update(new: ReplicaSet, old: ReplicaSet) -> Sequence[FieldError]:
    """The selector stays."""
    return immutable("spec.selector", new.spec.selector, old.spec.selector)


def validate_status(new: ReplicaSet, _: ReplicaSet) -> Sequence[FieldError]:
    """Counts that cannot be."""
    names = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
    return validate_counts(new.status, names, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"))


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    type=ReplicaSet,
    singular="replicaset",
    short=("rs",),
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
        Subresource(name="status", kind="ReplicaSet", verbs=("get", "patch", "update"), type=ReplicaSet),
    ),
    has_generation=True,
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=lambda obj: [*named_warning(obj.metadata.name), *template_warnings("spec.template", obj.spec.template)],
)
