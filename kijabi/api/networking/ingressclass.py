"""Which controller serves which ingresses."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.meta import Object
from kijabi.api.resource import Column, Resource
from kijabi.api.struct import Struct, Tag


class IngressClassParametersReference(Struct):
    """The object with a controller's parameters."""

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
    """The controller and its parameters."""

    controller: Annotated[str, Tag(1)] = ""
    parameters: Annotated[IngressClassParametersReference | None, Tag(2)] = None


class IngressClass(Object):
    """A class of ingresses and their controller."""

    spec: Annotated[IngressClassSpec, Tag(2)] = field(default_factory=IngressClassSpec)


def _name(obj: IngressClass) -> str:
    default = obj.metadata.annotations.get("ingressclass.kubernetes.io/is-default-class") == "true"
    return f"{obj.metadata.name} (default)" if default else obj.metadata.name


def _parameters(obj: IngressClass) -> str:
    found = obj.spec.parameters
    if found is None:
        return NONE
    group = "" if found.apiGroup is None else f".{found.apiGroup}"
    return f"{found.kind}{group}/{found.name}"


COLUMNS = (
    Column(name="Name", cell=_name, format="name", description=NAME.description),
    column("Controller", lambda obj: obj.spec.controller, "Who handles its ingresses."),
    column("Parameters", _parameters, "What configures it."),
    AGE,
)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    type=IngressClass,
    namespaced=False,
    singular="ingressclass",
    has_generation=True,
    columns=COLUMNS,
)
