"""Rewriting stored objects in the current version; acted on by its controller."""

from collections.abc import Iterable, Sequence
from re import fullmatch
from typing import Annotated

from msgspec import field

from kijabi.api.columns import NAME, column
from kijabi.api.conditions import validate_conditions
from kijabi.api.formats import dns1035_label, dns_subdomain
from kijabi.api.meta import Condition, GroupResource, Object
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import IMMUTABLE, immutable, invalid, required

RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"


class StorageVersionMigrationSpec(Struct):
    """The resource to rewrite."""

    resource: Annotated[GroupResource, Tag(1, required=True)] = field(default_factory=GroupResource)


class StorageVersionMigrationStatus(Struct):
    """How far it has come."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    resourceVersion: Annotated[str, Tag(2)] = ""


class StorageVersionMigration(Object):
    """The order to rewrite all objects of a resource."""

    spec: Annotated[StorageVersionMigrationSpec, Tag(2)] = field(default_factory=StorageVersionMigrationSpec)
    status: Annotated[
        StorageVersionMigrationStatus,
        Tag(3),
    ] = field(default_factory=StorageVersionMigrationStatus)


def holds(conditions: Iterable[Condition], kind: str) -> bool:
    """Whether a condition is true."""
    return any(each.type == kind and each.status == "True" for each in conditions)


def _resource(obj: StorageVersionMigration) -> str:
    what = obj.spec.resource
    return f"{what.resource}.{what.group}" if what.group else what.resource


def _state(obj: StorageVersionMigration) -> str:
    true = [each.type for each in obj.status.conditions if each.status == "True"]
    return next((kind for kind in reversed(true) if kind in (RUNNING, SUCCEEDED, FAILED)), "Unknown")


COLUMNS = (NAME, column("Resource", _resource, "What is rewritten."), column("Status", _state, "How it stands."))


def validate(obj: StorageVersionMigration) -> Sequence[FieldError]:
    """It names a resource (k8s.io/kubernetes `pkg/apis/storagemigration/validation`)."""
    what, path = obj.spec.resource, "spec.resource"
    errors: list[FieldError] = []
    if not what.resource:
        errors.append(required(f"{path}.resource", "resource is required to be set"))
    elif problems := dns1035_label(what.resource):
        errors.append(invalid(f"{path}.resource", what.resource, ",".join(problems)))
    if what.group and (problems := dns_subdomain(what.group)):
        errors.append(invalid(f"{path}.group", what.group, ",".join(problems)))
    return errors


def validate_update(new: StorageVersionMigration, old: StorageVersionMigration) -> Sequence[FieldError]:
    """What is rewritten stays."""
    return immutable("spec", new.spec, old.spec)


def validate_status(new: StorageVersionMigration, old: StorageVersionMigration) -> Sequence[FieldError]:
    """It ends once and in one way, and starts from one version."""
    now, before = new.status, old.status
    version, path = "status.resourceVersion", "status.conditions"
    errors: list[FieldError] = []
    if now.resourceVersion and not fullmatch("[1-9][0-9]*", now.resourceVersion):
        text = f"resource version is not well formed: {now.resourceVersion}"
        errors.append(invalid(version, now.resourceVersion, text))
    errors += validate_conditions(path, now.conditions)
    if before.resourceVersion and before.resourceVersion != now.resourceVersion:
        errors.append(invalid(version, now.resourceVersion, IMMUTABLE))
    if holds(now.conditions, SUCCEEDED) and holds(now.conditions, FAILED):
        text = "Both success and failed conditions cannot be true at the same time"
        errors.append(invalid(path, now.conditions, text))
    for kind, word in ((SUCCEEDED, "Success"), (FAILED, "Failed")):
        if holds(before.conditions, kind) and not holds(now.conditions, kind):
            text = f"{word} condition cannot be set to false once it is true"
            errors.append(invalid(path, now.conditions, text))
    return errors


RESOURCE = Resource(
    group="storagemigration.k8s.io",
    version="v1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    type=StorageVersionMigration,
    namespaced=False,
    singular="storageversionmigration",
    subresources=(
        Subresource(
            name="status",
            kind="StorageVersionMigration",
            verbs=("get", "patch", "update"),
            type=StorageVersionMigration,
        ),
    ),
    update_needs_version=True,
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
