"""A number of equal pods, the ancestor of ReplicaSet; acted on by its controller."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.apps.workload_rules import validate_counts
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.columns import AGE, NAME, column, containers_of, label_text, number
from kijabi.api.core.pod_warnings import named_warning, template_warnings
from kijabi.api.core.podspec_rules import validate_template
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag
from kijabi.api.validation import forbidden, invalid, non_negative, not_supported, required


class ReplicationControllerSpec(Struct):
    """The pod template, its selector, and how many pods there should be."""

    replicas: Annotated[Int32 | None, Tag(1, default=1)] = None
    minReadySeconds: Annotated[Int32, Tag(4, default=0)] = 0
    selector: Annotated[dict[str, str], Tag(2, mapType="atomic")] = {}
    template: Annotated[PodTemplateSpec | None, Tag(3)] = None


class ReplicationControllerCondition(Struct):
    """ReplicaFailure, when pods could not be made or deleted."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class ReplicationControllerStatus(Struct):
    """How many pods exist, match the template, are ready and available."""

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
    """Keeps a number of pods of one template running."""

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


COLUMNS = (
    NAME,
    number("Desired", lambda obj: obj.spec.replicas or 0, "How many pods there should be."),
    number("Current", lambda obj: obj.status.replicas, "How many pods there are."),
    number("Ready", lambda obj: obj.status.readyReplicas, "How many pods are ready."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers if obj.spec.template else ()),
    column("Selector", lambda obj: label_text(obj.spec.selector), "Labels that its pods have.", wide=True),
)


def validate(obj: ReplicationController) -> Sequence[FieldError]:
    """Everything that is wrong with a replication controller."""
    spec, path = obj.spec, "spec.template"
    errors = non_negative("spec.minReadySeconds", spec.minReadySeconds)
    if not spec.selector:
        errors.append(required("spec.selector"))
    if spec.replicas is None:
        errors.append(required("spec.replicas"))
    errors += non_negative("spec.replicas", spec.replicas)
    template = spec.template
    if template is None:
        return [*errors, required(path)]
    labels = template.metadata.labels
    if any(labels.get(key) != value for key, value in spec.selector.items()):
        detail = "`selector` does not match template `labels`"
        errors.append(invalid(f"{path}.metadata.labels", labels or None, detail))
    errors += validate_template(path, template)
    if template.spec.restartPolicy != "Always":
        errors.append(not_supported(f"{path}.spec.restartPolicy", template.spec.restartPolicy, ("Always",)))
    if template.spec.activeDeadlineSeconds is not None:
        detail = "activeDeadlineSeconds in ReplicationController is not Supported"
        errors.append(forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return errors


def validate_status(new: ReplicationController, _: ReplicationController) -> Sequence[FieldError]:
    """Counts that cannot be."""
    names = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    return validate_counts(new.status, names, names)


def warnings(obj: ReplicationController) -> Sequence[str]:
    """What a client should be told of a controller that is accepted."""
    named = [] if obj.metadata.resourceVersion else named_warning(obj.metadata.name)
    return named + (template_warnings("spec.template", obj.spec.template) if obj.spec.template is not None else [])


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
    columns=COLUMNS,
    fields=(("status.replicas", lambda controller: str(controller.status.replicas)),),
    validate=validate,
    validate_status=validate_status,
    warnings=warnings,
)
