"""Replicated pods with rolling updates and history; acted on by the Deployment controller."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.apps.workload_rules import at_most_all, count_or_percent, number_of, validate_counts, validate_workload
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.columns import AGE, NAME, column, containers_of, selector_text
from kijabi.api.core.pod_warnings import named_warning, template_warnings
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag
from kijabi.api.validation import forbidden, immutable, invalid, non_negative, not_supported, required


class RollingUpdateDeployment(Struct):
    """How far the pod count may fall below and rise above the goal while an update runs."""

    maxUnavailable: Annotated[IntOrString | None, Tag(1)] = None
    maxSurge: Annotated[IntOrString | None, Tag(2)] = None


class DeploymentStrategy(Struct):
    """RollingUpdate, or Recreate: all old pods go before new ones come."""

    type: Annotated[str, Tag(1)] = ""
    rollingUpdate: Annotated[RollingUpdateDeployment | None, Tag(2)] = None


class DeploymentSpec(Struct):
    """The pod template, the replica count, and how to move from one template to the next."""

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
    """Available, Progressing or ReplicaFailure."""

    type: Annotated[str, Tag(1)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)
    lastUpdateTime: Annotated[Time, Tag(6)] = Time()
    lastTransitionTime: Annotated[Time, Tag(7)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class DeploymentStatus(Struct):
    """How many pods exist, are up to date, ready and available."""

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
    """Keeps replicated pods running and rolls out changes to them through ReplicaSets."""

    spec: Annotated[DeploymentSpec, Tag(2, required=True)] = field(default_factory=DeploymentSpec)
    status: Annotated[DeploymentStatus, Tag(3)] = field(default_factory=DeploymentStatus)


COLUMNS = (
    NAME,
    column("Ready", lambda obj: f"{obj.status.readyReplicas}/{obj.spec.replicas or 0}", "Ready pods of those wanted."),
    column("Up-to-date", lambda obj: obj.status.updatedReplicas, "Pods made from the template as it is now."),
    column("Available", lambda obj: obj.status.availableReplicas, "Pods ready for at least minReadySeconds."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers),
    column(
        "Selector",
        lambda obj: selector_text(obj.spec.selector, broken="<invalid>", empty=""),
        "Labels that its pods have.",
        wide=True,
    ),
)


def prepare(new: Deployment, old: Deployment | None) -> None:
    """A new annotation counts as a new wish, because controllers copy annotations to replica sets."""
    if old is not None and new.metadata.annotations != old.metadata.annotations:
        new.metadata.generation = old.metadata.generation + 1


def validate(obj: Deployment) -> Sequence[FieldError]:
    """Everything that is wrong with a deployment."""
    spec = obj.spec
    errors = validate_workload(spec, "ReplicaSet", "deployment")
    errors += _validate_strategy(spec.strategy)
    errors += non_negative("spec.minReadySeconds", spec.minReadySeconds)
    errors += non_negative("spec.revisionHistoryLimit", spec.revisionHistoryLimit)
    path, deadline = "spec.progressDeadlineSeconds", spec.progressDeadlineSeconds
    errors += non_negative(path, deadline)
    if deadline is not None and deadline <= spec.minReadySeconds:
        errors.append(invalid(path, deadline, "must be greater than minReadySeconds"))
    return errors


def _validate_strategy(strategy: DeploymentStrategy) -> list[FieldError]:
    path, rolling = "spec.strategy.rollingUpdate", strategy.rollingUpdate
    if strategy.type == "Recreate":
        detail = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden(path, detail)]
    if strategy.type != "RollingUpdate":
        return [not_supported("spec.strategy", strategy, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [required(path, "this should be defaulted and never be nil")]
    errors = count_or_percent(f"{path}.maxUnavailable", rolling.maxUnavailable)
    errors += count_or_percent(f"{path}.maxSurge", rolling.maxSurge)
    if number_of(rolling.maxUnavailable) == 0 and number_of(rolling.maxSurge) == 0:
        detail = "may not be 0 when `maxSurge` is 0"
        errors.append(invalid(f"{path}.maxUnavailable", rolling.maxUnavailable, detail))
    return errors + at_most_all(f"{path}.maxUnavailable", rolling.maxUnavailable)


def validate_update(new: Deployment, old: Deployment) -> Sequence[FieldError]:
    """The selector stays."""
    return immutable("spec.selector", new.spec.selector, old.spec.selector)


def validate_status(new: Deployment, old: Deployment) -> Sequence[FieldError]:
    """Counts that cannot be."""
    names = ("updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas")
    errors = validate_counts(new.status, names, ("updatedReplicas", "readyReplicas", "availableReplicas"))
    now, before = new.status.collisionCount or 0, old.status.collisionCount or 0
    if now < before:
        errors.append(invalid("status.collisionCount", now, "cannot be decremented"))
    return errors


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
    columns=COLUMNS,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=lambda obj: [*named_warning(obj.metadata.name), *template_warnings("spec.template", obj.spec.template)],
)
