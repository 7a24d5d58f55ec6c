"""An address that a service uses; written by the API server's allocator."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.formats import dns_subdomain, path_segment_name
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import each, ip, required, unchanged


class ParentReference(Struct):
    """The object that uses the address."""

    group: Annotated[str, Tag(1)] = ""
    resource: Annotated[str, Tag(2, required=True)] = ""
    namespace: Annotated[str, Tag(3)] = ""
    name: Annotated[str, Tag(4, required=True)] = ""


class IPAddressSpec(Struct):
    """Who uses it."""

    parentRef: Annotated[ParentReference | None, Tag(1, required=True)] = None


class IPAddress(Object):
    """One address in use; its name is the address."""

    spec: Annotated[IPAddressSpec, Tag(2, required=True)] = field(default_factory=IPAddressSpec)


def _parent(obj: IPAddress) -> str:
    parent = obj.spec.parentRef
    if parent is None:
        return NONE
    resource = f"{parent.resource}.{parent.group}".rstrip(".").lower()
    return "/".join(part for part in (resource, parent.namespace, parent.name) if part)


COLUMNS = (NAME, column("ParentRef", _parent, "The object that has the address."), AGE)


def validate(obj: IPAddress) -> Sequence[FieldError]:
    """Named by an address as it is usually written, for one object."""
    name, parent, path = obj.metadata.name, obj.spec.parentRef, "spec.parentRef"
    errors = ip("metadata.name", name)
    if parent is None:
        return [*errors, required(path)]
    if parent.group:
        errors += each(f"{path}.group", parent.group, dns_subdomain(parent.group))
    for field_name, text in (("resource", parent.resource), ("name", parent.name)):
        if not text:
            errors.append(required(f"{path}.{field_name}"))
        errors += each(f"{path}.{field_name}", text, path_segment_name(text)) if text else []
    if parent.namespace:
        errors += each(f"{path}.namespace", parent.namespace, path_segment_name(parent.namespace))
    return errors


def validate_update(new: IPAddress, old: IPAddress) -> Sequence[FieldError]:
    """It stays that object's."""
    return unchanged("spec.parentRef", new.spec.parentRef, old.spec.parentRef)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="IPAddress",
    plural="ipaddresses",
    type=IPAddress,
    namespaced=False,
    singular="ipaddress",
    short=("ip",),
    name_rule="none",
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
)
