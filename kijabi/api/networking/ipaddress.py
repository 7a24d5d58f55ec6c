"""The ipaddress types of the networking group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ParentReference(Struct):
    """The API type ParentReference."""

    group: Annotated[str, Tag(1)] = ""
    resource: Annotated[str, Tag(2, required=True)] = ""
    namespace: Annotated[str, Tag(3)] = ""
    name: Annotated[str, Tag(4, required=True)] = ""


class IPAddressSpec(Struct):
    """What is asked of a IP Address."""

    parentRef: Annotated[ParentReference | None, Tag(1, required=True)] = None


class IPAddress(Object):
    """The API type IPAddress."""

    spec: Annotated[IPAddressSpec, Tag(2, required=True)] = field(default_factory=IPAddressSpec)


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
)
