"""An address that a service uses; written by the API server's allocator."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


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
)
