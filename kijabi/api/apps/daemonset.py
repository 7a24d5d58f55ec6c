"""A pod on every node that fits; acted on by the DaemonSet controller."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api import defaults
from kijabi.api.apps.workload_rules import at_most_all, count_or_percent, not_fewer, number_of, validate_workload
from kijabi.api.columns import AGE, NAME, column, containers_of, label_text, number, selector_text
from kijabi.api.core.pod_warnings import template_warnings
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag
from kijabi.api.validation import immutable, invalid, non_negative, not_supported, required


class RollingUpdateDaemonSet(Struct):
    """How many pods may be down, or doubled, while an update runs."""

    maxUnavailable: Annotated[IntOrString | None, Tag(1)] = None
    maxSurge: Annotated[IntOrString | None, Tag(2)] = None


class DaemonSetUpdateStrategy(Struct):
    """RollingUpdate, or OnDelete: replace a pod only after someone deleted it."""

    type: Annotated[str, Tag(1)] = ""
    rollingUpdate: Annotated[RollingUpdateDaemonSet | None, Tag(2)] = None


class DaemonSetSpec(Struct):
    """The pod template, its selector, and how updates proceed."""

    selector: Annotated[LabelSelector | None, Tag(1, required=True)] = None
    template: Annotated[PodTemplateSpec, Tag(2, required=True)] = field(default_factory=PodTemplateSpec)
    updateStrategy: Annotated[
        DaemonSetUpdateStrategy,
        Tag(3),
    ] = field(default_factory=DaemonSetUpdateStrategy)
    minReadySeconds: Annotated[Int32, Tag(4)] = 0
    revisionHistoryLimit: Annotated[Int32 | None, Tag(6)] = None

    def set_defaults(self) -> None:
        """Rolled node by node."""
        self.updateStrategy.type = self.updateStrategy.type or "RollingUpdate"
        if self.updateStrategy.type == "RollingUpdate":
            rolling = self.updateStrategy.rollingUpdate = self.updateStrategy.rollingUpdate or RollingUpdateDaemonSet()
            if rolling.maxUnavailable is None:
                rolling.maxUnavailable = 1
            if rolling.maxSurge is None:
                rolling.maxSurge = 0
        if self.revisionHistoryLimit is None:
            self.revisionHistoryLimit = 10


class DaemonSetCondition(Struct):
    """One condition of a DaemonSet."""

    type: Annotated[str, Tag(1)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class DaemonSetStatus(Struct):
    """How many nodes should run, run, run up to date and run ready pods."""

    currentNumberScheduled: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    numberMisscheduled: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    desiredNumberScheduled: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    numberReady: Annotated[Int32, Tag(4, required=True)] = field(default_factory=int)
    observedGeneration: Annotated[Int64, Tag(5)] = 0
    updatedNumberScheduled: Annotated[Int32, Tag(6)] = 0
    numberAvailable: Annotated[Int32, Tag(7)] = 0
    numberUnavailable: Annotated[Int32, Tag(8)] = 0
    collisionCount: Annotated[Int32 | None, Tag(9)] = None
    conditions: Annotated[
        tuple[DaemonSetCondition, ...],
        Tag(10, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class DaemonSet(Object):
    """Runs one copy of a pod on each eligible node."""

    spec: Annotated[DaemonSetSpec, Tag(2, required=True)] = field(default_factory=DaemonSetSpec)
    status: Annotated[DaemonSetStatus, Tag(3)] = field(default_factory=DaemonSetStatus)


COLUMNS = (
    NAME,
    number("Desired", lambda obj: obj.status.desiredNumberScheduled, "Nodes that should run a pod."),
    number("Current", lambda obj: obj.status.currentNumberScheduled, "Nodes that run one."),
    number("Ready", lambda obj: obj.status.numberReady, "Nodes whose pod is ready."),
    number("Up-to-date", lambda obj: obj.status.updatedNumberScheduled, "Nodes whose pod is of the present template."),
    number("Available", lambda obj: obj.status.numberAvailable, "Nodes whose pod is available."),
    column("Node Selector", lambda obj: label_text(obj.spec.template.spec.nodeSelector), "Labels of its nodes."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers),
    column("Selector", lambda obj: selector_text(obj.spec.selector), "Labels that its pods have.", wide=True),
)


# How often the template changed, as a decimal: what a field of older versions of the API said.
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def default(obj: DaemonSet) -> None:
    """The usual defaults, and a count that stands for the field of old: so its writers are seen to own it."""
    defaults.apply(obj)
    if TEMPLATE_GENERATION not in obj.metadata.annotations:
        obj.metadata.annotations = {**obj.metadata.annotations, TEMPLATE_GENERATION: "0"}


def prepare(new: DaemonSet, old: DaemonSet | None) -> None:
    """Count the changes of the template."""
    if old is None:
        count = max(_template_generation(new), 1)
    else:
        count = _template_generation(old) + (new.spec.template != old.spec.template)
    new.metadata.annotations = new.metadata.annotations | {TEMPLATE_GENERATION: str(count)}


def _template_generation(obj: DaemonSet) -> int:
    text = obj.metadata.annotations.get(TEMPLATE_GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def validate(obj: DaemonSet) -> Sequence[FieldError]:
    """Everything that is wrong with a daemon set."""
    spec = obj.spec
    errors = validate_workload(spec, "DaemonSet", "daemonset")
    errors += non_negative("spec.minReadySeconds", spec.minReadySeconds)
    errors += _validate_strategy(spec.updateStrategy)
    return errors + non_negative("spec.revisionHistoryLimit", spec.revisionHistoryLimit)


def _validate_strategy(strategy: DaemonSetUpdateStrategy) -> list[FieldError]:
    path, rolling = "spec.updateStrategy.rollingUpdate", strategy.rollingUpdate
    if strategy.type == "OnDelete":
        return []
    if strategy.type != "RollingUpdate":
        return [not_supported("spec.updateStrategy", strategy, ("RollingUpdate", "OnDelete"))]
    if rolling is None:
        return [required(path)]
    errors: list[FieldError] = []
    for name, value in (("maxUnavailable", rolling.maxUnavailable), ("maxSurge", rolling.maxSurge)):
        errors += count_or_percent(f"{path}.{name}", value) + at_most_all(f"{path}.{name}", value)
    away, surge = number_of(rolling.maxUnavailable), number_of(rolling.maxSurge)
    if away and surge:
        detail = "may not be set when maxUnavailable is non-zero"
        errors.append(invalid(f"{path}.maxSurge", rolling.maxSurge, detail))
    elif not away and not surge:
        errors.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def validate_update(new: DaemonSet, old: DaemonSet) -> Sequence[FieldError]:
    """The selector stays."""
    return immutable("spec.selector", new.spec.selector, old.spec.selector)


_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


def validate_status(new: DaemonSet, old: DaemonSet) -> Sequence[FieldError]:
    """Counts that cannot be."""
    errors = [error for name in _COUNTS for error in non_negative(f"status.{name}", getattr(new.status, name))]
    return errors + not_fewer("status.collisionCount", new.status.collisionCount, old.status.collisionCount)


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    type=DaemonSet,
    singular="daemonset",
    short=("ds",),
    categories=("all",),
    subresources=(Subresource(name="status", kind="DaemonSet", verbs=("get", "patch", "update"), type=DaemonSet),),
    has_generation=True,
    columns=COLUMNS,
    defaults=default,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=lambda obj: template_warnings("spec.template", obj.spec.template),
)
