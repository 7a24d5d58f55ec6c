"""The webhookclient types of the admissionregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Int32, Struct, Tag


class ServiceReference(Struct):
    """The API type ServiceReference."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    path: Annotated[str | None, Tag(3)] = None
    port: Annotated[Int32 | None, Tag(4)] = None


class WebhookClientConfig(Struct):
    """The API type WebhookClientConfig."""

    url: Annotated[str | None, Tag(3)] = None
    service: Annotated[ServiceReference | None, Tag(1)] = None
    caBundle: Annotated[bytes, Tag(2)] = b""
