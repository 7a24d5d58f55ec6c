"""Which controller serves which ingresses."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.formats import dns_label, dns_subdomain, path_segment_name, size
from kijabi.api.meta import Object
from kijabi.api.resource import Column, FieldError, Resource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import domain_prefixed, each, forbidden, immutable, not_supported, required, too_long


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


_LONGEST_CONTROLLER = 250


def validate(obj: IngressClass) -> Sequence[FieldError]:
    """A controller by a name with a domain, and parameters that are said where to find."""
    name, parameters = obj.spec.controller, obj.spec.parameters
    errors = [too_long("spec.controller", _LONGEST_CONTROLLER)] if size(name) > _LONGEST_CONTROLLER else []
    errors += domain_prefixed("spec.controller", name)
    return errors if parameters is None else errors + _validate_parameters("spec.parameters", parameters)


def _validate_parameters(path: str, found: IngressClassParametersReference) -> list[FieldError]:
    errors: list[FieldError] = []
    if found.apiGroup is not None:
        errors += each(f"{path}.apiGroup", found.apiGroup, dns_subdomain(found.apiGroup))
    for name, text in (("kind", found.kind), ("name", found.name)):
        errors += each(f"{path}.{name}", text, path_segment_name(text)) if text else []
    here, namespace = f"{path}.namespace", found.namespace
    if found.scope is None:
        errors.append(required(f"{path}.scope"))
    elif found.scope not in ("Cluster", "Namespace"):
        errors.append(not_supported(f"{path}.scope", found.scope, ("Cluster", "Namespace")))
    elif found.scope == "Cluster":
        detail = "`parameters.scope` is set to 'Cluster'"
        errors += [] if namespace is None else [forbidden(here, detail)]
    elif namespace is None:
        errors.append(required(here, "`parameters.scope` is set to 'Namespace'"))
    else:
        errors += each(here, namespace, dns_label(namespace))
    return errors + [required(f"{path}.{name}") for name in ("kind", "name") if not getattr(found, name)]


def validate_update(new: IngressClass, old: IngressClass) -> Sequence[FieldError]:
    """The controller stays."""
    return immutable("spec.controller", new.spec.controller, old.spec.controller)


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
    validate=validate,
    validate_update=validate_update,
)
