"""Kinds of storage; claims ask for them, provisioners serve them."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.nodeselector import TopologySelectorTerm
from kijabi.api.formats import qualified_name
from kijabi.api.meta import Object
from kijabi.api.resource import Column, FieldError, Resource
from kijabi.api.storage.rules import validate_parameters
from kijabi.api.struct import Tag
from kijabi.api.validation import duplicate, each, one_of, required, unchanged


class StorageClass(Object):
    """A provisioner with its parameters, and when and how volumes are made."""

    provisioner: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    parameters: Annotated[dict[str, str], Tag(3)] = {}
    reclaimPolicy: Annotated[str | None, Tag(4)] = None
    mountOptions: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    allowVolumeExpansion: Annotated[bool | None, Tag(6)] = None
    volumeBindingMode: Annotated[str | None, Tag(7)] = None
    allowedTopologies: Annotated[tuple[TopologySelectorTerm, ...], Tag(8, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """Volumes are made at once, and go with their claims."""
        if self.reclaimPolicy is None:
            self.reclaimPolicy = "Delete"
        if self.volumeBindingMode is None:
            self.volumeBindingMode = "Immediate"


_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def _name(obj: StorageClass) -> str:
    return f"{obj.metadata.name} (default)" if obj.metadata.annotations.get(_DEFAULT) == "true" else obj.metadata.name


COLUMNS = (
    Column(name="Name", cell=_name, format="name", description=NAME.description),
    column("Provisioner", lambda obj: obj.provisioner, "Who makes its volumes."),
    column("ReclaimPolicy", lambda obj: obj.reclaimPolicy or "Delete", "What happens after the claim."),
    column("VolumeBindingMode", lambda obj: obj.volumeBindingMode or "Immediate", "When volumes are made."),
    column("AllowVolumeExpansion", lambda obj: bool(obj.allowVolumeExpansion), "Whether volumes can grow."),
    AGE,
)


def validate(obj: StorageClass) -> Sequence[FieldError]:
    """Who makes volumes, with what, when, and what becomes of them."""
    name = obj.provisioner.lower()
    errors = each("provisioner", name, qualified_name(name)) if name else []
    errors += validate_parameters("parameters", obj.parameters)
    if obj.reclaimPolicy:
        errors += one_of("reclaimPolicy", obj.reclaimPolicy, ("Delete", "Retain"))
    if obj.volumeBindingMode is None:
        errors.append(required("volumeBindingMode"))
    else:
        errors += one_of("volumeBindingMode", obj.volumeBindingMode, ("Immediate", "WaitForFirstConsumer"))
    seen: list[dict[str, set[str]]] = [{}]
    for index, term in enumerate(obj.allowedTopologies):
        path = f"allowedTopologies[{index}].matchLabelExpressions"
        errors += _validate_topology(path, term)
        found = {expression.key: set(expression.values) for expression in term.matchLabelExpressions}
        errors += [duplicate(path, "")] if found in seen else []
        seen.append(found)
    return errors if obj.provisioner else [*errors, required("provisioner")]


def _validate_topology(path: str, term: TopologySelectorTerm) -> list[FieldError]:
    errors: list[FieldError] = []
    keys: set[str] = set()
    for index, expression in enumerate(term.matchLabelExpressions):
        here, values = f"{path}[{index}]", expression.values
        if not values:
            errors.append(required(f"{here}.values"))
        for place, value in enumerate(values):
            errors += [duplicate(f"{here}.values[{place}]", value)] if value in values[:place] else []
        errors += each(f"{here}.key", expression.key, qualified_name(expression.key))
        errors += [duplicate(f"{here}.key", expression.key)] if expression.key in keys else []
        keys.add(expression.key)
    return errors


def validate_update(new: StorageClass, old: StorageClass) -> Sequence[FieldError]:
    """What volumes were made by stays."""
    fixed = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
    return [error for name in fixed for error in unchanged(name, getattr(new, name), getattr(old, name))]


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    type=StorageClass,
    namespaced=False,
    singular="storageclass",
    short=("sc",),
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
)
