"""The ingressclass types of the networking group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class IngressClassParametersReference(Struct):
    """The API type IngressClassParametersReference."""

    apiGroup: Annotated[str | None, Tag(1)] = None
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    scope: Annotated[str | None, Tag(4)] = None
    namespace: Annotated[str | None, Tag(5)] = None

    def set_defaults(self) -> None:
        """Parameters of the cluster."""
        if self.scope is None:
            self.scope = "Cluster"


class IngressClassSpec(Struct):
    """What is asked of a Ingress Class."""

    controller: Annotated[str, Tag(1)] = ""
    parameters: Annotated[IngressClassParametersReference | None, Tag(2)] = None


class IngressClass(Object):
    """The API type IngressClass."""

    spec: Annotated[IngressClassSpec, Tag(2)] = field(default_factory=IngressClassSpec)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    type=IngressClass,
    namespaced=False,
    singular="ingressclass",
    has_generation=True,
)
