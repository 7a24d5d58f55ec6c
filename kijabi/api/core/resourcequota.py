"""The resourcequota types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.resources import ResourceList
from kijabi.api.defaults import round_up
from kijabi.api.meta import Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class ScopedResourceSelectorRequirement(Struct):
    """The API type ScopedResourceSelectorRequirement."""

    scopeName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class ScopeSelector(Struct):
    """The API type ScopeSelector."""

    ATOMIC: ClassVar[bool] = True

    matchExpressions: Annotated[tuple[ScopedResourceSelectorRequirement, ...], Tag(1, listType="atomic")] = ()


class ResourceQuotaSpec(Struct):
    """What is asked of a Resource Quota."""

    hard: Annotated[ResourceList, Tag(1)] = {}
    scopes: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    scopeSelector: Annotated[ScopeSelector | None, Tag(3)] = None

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.hard)


class ResourceQuotaStatus(Struct):
    """What was last seen of a Resource Quota."""

    hard: Annotated[ResourceList, Tag(1)] = {}
    used: Annotated[ResourceList, Tag(2)] = {}


class ResourceQuota(Object):
    """The API type ResourceQuota."""

    spec: Annotated[ResourceQuotaSpec, Tag(2)] = field(default_factory=ResourceQuotaSpec)
    status: Annotated[ResourceQuotaStatus, Tag(3)] = field(default_factory=ResourceQuotaStatus)


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
)
