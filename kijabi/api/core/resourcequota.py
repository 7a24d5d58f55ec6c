"""Bounds for all of a namespace together; checked at admission, counted by the quota controller."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.resourcequota_rules import validate, validate_status, validate_update
from kijabi.api.core.resources import ResourceList
from kijabi.api.defaults import round_up
from kijabi.api.meta import Object
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class ScopedResourceSelectorRequirement(Struct):
    """A scope, an operator and values."""

    scopeName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class ScopeSelector(Struct):
    """Requirements on scopes, all of which must hold."""

    ATOMIC: ClassVar[bool] = True

    matchExpressions: Annotated[tuple[ScopedResourceSelectorRequirement, ...], Tag(1, listType="atomic")] = ()


class ResourceQuotaSpec(Struct):
    """The hard limits, and the scopes of objects they count."""

    hard: Annotated[ResourceList, Tag(1)] = {}
    scopes: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    scopeSelector: Annotated[ScopeSelector | None, Tag(3)] = None

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.hard)


class ResourceQuotaStatus(Struct):
    """The limits in force and what is used of them."""

    hard: Annotated[ResourceList, Tag(1)] = {}
    used: Annotated[ResourceList, Tag(2)] = {}


class ResourceQuota(Object):
    """What a namespace may use in all."""

    spec: Annotated[ResourceQuotaSpec, Tag(2)] = field(default_factory=ResourceQuotaSpec)
    status: Annotated[ResourceQuotaStatus, Tag(3)] = field(default_factory=ResourceQuotaStatus)


def _amounts(obj: ResourceQuota, limits: bool) -> str:
    hard, used = obj.status.hard, obj.status.used
    shown = [name for name in sorted(hard) if name.startswith("limits.") == limits]
    return ", ".join(f"{name}: {used.get(name, Quantity())}/{hard[name]}" for name in shown)


COLUMNS = (
    NAME,
    column("Request", lambda obj: _amounts(obj, False), "What is used of what may be asked for."),
    column("Limit", lambda obj: _amounts(obj, True), "What is used of what limits may add up to."),
    AGE,
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    type=ResourceQuota,
    singular="resourcequota",
    short=("quota",),
    subresources=(
        Subresource(
            name="status",
            kind="ResourceQuota",
            verbs=("get", "patch", "update"),
            type=ResourceQuota,
        ),
    ),
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
