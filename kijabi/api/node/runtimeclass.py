"""The runtimeclass types of the node group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.affinity import Toleration
from kijabi.api.core.resources import ResourceList
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class Overhead(Struct):
    """The API type Overhead."""

    podFixed: Annotated[ResourceList, Tag(1)] = {}


class Scheduling(Struct):
    """The API type Scheduling."""

    nodeSelector: Annotated[dict[str, str], Tag(1, mapType="atomic")] = {}
    tolerations: Annotated[tuple[Toleration, ...], Tag(2, listType="atomic")] = ()


class RuntimeClass(Object):
    """The API type RuntimeClass."""

    handler: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    overhead: Annotated[Overhead | None, Tag(3)] = None
    scheduling: Annotated[Scheduling | None, Tag(4)] = None


RESOURCE = Resource(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    type=RuntimeClass,
    namespaced=False,
    singular="runtimeclass",
)
