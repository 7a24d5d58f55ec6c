"""Which runtime runs a pod; read by the kubelet and at admission."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.resources import ResourceList
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class Overhead(Struct):
    """What each pod costs besides its containers."""

    podFixed: Annotated[ResourceList, Tag(1)] = {}


class Scheduling(Struct):
    """The nodes that support the class, and the tolerations to reach them."""

    nodeSelector: Annotated[dict[str, str], Tag(1, mapType="atomic")] = {}
    tolerations: Annotated[tuple[Toleration, ...], Tag(2, listType="atomic")] = ()


class RuntimeClass(Object):
    """A named runtime handler of the container runtime."""

    handler: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    overhead: Annotated[Overhead | None, Tag(3)] = None
    scheduling: Annotated[Scheduling | None, Tag(4)] = None


COLUMNS = (NAME, column("Handler", lambda obj: obj.handler, "What the runtime calls it."), AGE)


RESOURCE = Resource(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    type=RuntimeClass,
    namespaced=False,
    singular="runtimeclass",
    columns=COLUMNS,
    create_on_update=True,
    update_needs_version=True,
)
