"""How many pods may be down on purpose; counted by its controller, honoured by eviction."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.apps.workload_rules import at_most_all, count_or_percent
from kijabi.api.columns import AGE, NAME, column, number
from kijabi.api.meta import Condition, LabelSelector, Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag
from kijabi.api.validation import invalid, non_negative, one_of, validate_label_selector


class PodDisruptionBudgetSpec(Struct):
    """The pods, and how many must stay or may go."""

    minAvailable: Annotated[IntOrString | None, Tag(1)] = None
    selector: Annotated[LabelSelector | None, Tag(2, strategy="replace")] = None
    maxUnavailable: Annotated[IntOrString | None, Tag(3)] = None
    unhealthyPodEvictionPolicy: Annotated[str | None, Tag(4)] = None


class PodDisruptionBudgetStatus(Struct):
    """How many are healthy and may go now, and which are on their way."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    disruptedPods: Annotated[dict[str, Time], Tag(2)] = {}
    disruptionsAllowed: Annotated[Int32, Tag(3)] = field(default_factory=int)
    currentHealthy: Annotated[Int32, Tag(4)] = field(default_factory=int)
    desiredHealthy: Annotated[Int32, Tag(5)] = field(default_factory=int)
    expectedPods: Annotated[Int32, Tag(6)] = field(default_factory=int)
    conditions: Annotated[
        tuple[Condition, ...],
        Tag(7, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class PodDisruptionBudget(Object):
    """Bounds how many pods are down by choice at once."""

    spec: Annotated[PodDisruptionBudgetSpec, Tag(2)] = field(default_factory=PodDisruptionBudgetSpec)
    status: Annotated[PodDisruptionBudgetStatus, Tag(3)] = field(default_factory=PodDisruptionBudgetStatus)


COLUMNS = (
    NAME,
    column("Min Available", lambda obj: _or_none(obj.spec.minAvailable), "How many pods must stay available."),
    column("Max Unavailable", lambda obj: _or_none(obj.spec.maxUnavailable), "How many pods may be away."),
    number("Allowed Disruptions", lambda obj: obj.status.disruptionsAllowed, "How many may be evicted now."),
    AGE,
)


def _or_none(value: int | str | None) -> str:
    return "N/A" if value is None else str(value)


def validate(obj: PodDisruptionBudget) -> Sequence[FieldError]:
    """One bound, as a number or a share, and a selector that can be read."""
    spec = obj.spec
    errors: list[FieldError] = []
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        errors.append(invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for path, value in (("spec.minAvailable", spec.minAvailable), ("spec.maxUnavailable", spec.maxUnavailable)):
        errors += count_or_percent(path, value) + at_most_all(path, value)
    errors += validate_label_selector(spec.selector, "spec.selector")
    if spec.unhealthyPodEvictionPolicy is not None:
        known = ("AlwaysAllow", "IfHealthyBudget")
        errors += one_of("spec.unhealthyPodEvictionPolicy", spec.unhealthyPodEvictionPolicy, known)
    return errors


def validate_status(new: PodDisruptionBudget, _: PodDisruptionBudget) -> Sequence[FieldError]:
    """Counts that can be."""
    counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    return [error for name in counts for error in non_negative(f"status.{name}", getattr(new.status, name))]


RESOURCE = Resource(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    type=PodDisruptionBudget,
    singular="poddisruptionbudget",
    short=("pdb",),
    subresources=(
        Subresource(
            name="status",
            kind="PodDisruptionBudget",
            verbs=("get", "patch", "update"),
            type=PodDisruptionBudget,
        ),
    ),
    has_generation=True,
    columns=COLUMNS,
    update_needs_version=True,
    name_rule="path",
    validate=validate,
    validate_status=validate_status,
)
