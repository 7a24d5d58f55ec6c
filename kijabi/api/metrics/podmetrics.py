"""PodMetrics: the cpu and memory that each container of a pod uses (`kubectl top pods`)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec import field

from kijabi.api.columns import NAME, column
from kijabi.api.meta import Object, Time
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag, empty_list


class ContainerMetrics(Struct):
    """What one container uses."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    usage: Annotated[dict[str, Quantity], Tag(2, required=True)] = field(default_factory=dict)


class PodMetrics(Object):
    """What a pod used on average over the window that ends at the timestamp; memory: its working set then."""

    timestamp: Annotated[Time, Tag(2, required=True)] = field(default_factory=Time)
    window: Annotated[str, Tag(3, required=True, message="duration")] = field(default_factory=str)
    containers: Annotated[
        tuple[ContainerMetrics, ...],
        Tag(4, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


def _used(name: str) -> Any:
    def cell(obj: PodMetrics) -> str:
        amounts = [each.usage[name] for each in obj.containers if name in each.usage]
        total = sum((each.exact() for each in amounts), Decimal())
        return str(Quantity(f"{total:f}")) if name == "cpu" else str(Quantity.of(int(total), binary=True))

    return cell


COLUMNS = (
    NAME,
    column("cpu", _used("cpu"), "Cores used by all containers, on average over the window."),
    column("memory", _used("memory"), "Bytes in the working sets of all containers."),
    column("Window", lambda obj: obj.window, "How long the usage was observed."),
)

RESOURCE = Resource(
    group="metrics.k8s.io",
    version="v1",
    kind="PodMetrics",
    plural="pods",
    type=PodMetrics,
    verbs=("get", "list"),
    storage=False,
    columns=COLUMNS,
)
