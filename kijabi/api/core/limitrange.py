"""Defaults and bounds for resources in a namespace; applied by the limit ranger at admission."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.limitrange_rules import prepare, validate
from kijabi.api.core.resources import ResourceList
from kijabi.api.defaults import round_up
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag, empty_list


class LimitRangeItem(Struct):
    """Least, most, defaults and the request-to-limit ratio for a container, a pod or a claim."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    max: Annotated[ResourceList, Tag(2)] = {}
    min: Annotated[ResourceList, Tag(3)] = {}
    default: Annotated[ResourceList, Tag(4)] = {}
    defaultRequest: Annotated[ResourceList, Tag(5)] = {}
    maxLimitRequestRatio: Annotated[ResourceList, Tag(6)] = {}

    def set_defaults(self) -> None:
        """A container's default limit is the most it may have, its default request the least or that limit."""
        for amounts in (self.max, self.min, self.default, self.defaultRequest, self.maxLimitRequestRatio):
            round_up(amounts)
        if self.type == "Container":
            self.default = {**self.max, **self.default}
            self.defaultRequest = {**self.min, **self.default, **self.defaultRequest}


class LimitRangeSpec(Struct):
    """The limits."""

    limits: Annotated[
        tuple[LimitRangeItem, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class LimitRange(Object):
    """What one container, pod or claim in a namespace may ask for."""

    spec: Annotated[LimitRangeSpec, Tag(2)] = field(default_factory=LimitRangeSpec)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    type=LimitRange,
    singular="limitrange",
    short=("limits",),
    create_on_update=True,
    prepare=prepare,
    validate=validate,
)
