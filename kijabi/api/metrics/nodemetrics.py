"""NodeMetrics: the cpu and memory that a node uses (`kubectl top nodes`)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import field

from kijabi.api.columns import NAME, column
from kijabi.api.meta import Object, Time
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class NodeMetrics(Object):
    """What a node used on average over the window that ends at the timestamp; memory: its working set then."""

    timestamp: Annotated[Time, Tag(2, required=True)] = field(default_factory=Time)
    window: Annotated[str, Tag(3, required=True, message="duration")] = field(default_factory=str)
    usage: Annotated[dict[str, Quantity], Tag(4, required=True)] = field(default_factory=dict)


def _used(name: str) -> Any:
    return lambda obj: str(obj.usage.get(name, Quantity()))


COLUMNS = (
    NAME,
    column("cpu", _used("cpu"), "Cores used, on average over the window."),
    column("memory", _used("memory"), "Bytes in the working set."),
    column("Window", lambda obj: obj.window, "How long the usage was observed."),
)

RESOURCE = Resource(
    group="metrics.k8s.io",
    version="v1",
    kind="NodeMetrics",
    plural="nodes",
    type=NodeMetrics,
    namespaced=False,
    verbs=("get", "list"),
    storage=False,
    columns=COLUMNS,
)
