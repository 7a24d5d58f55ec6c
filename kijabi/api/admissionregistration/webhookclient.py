"""How the API server reaches an admission webhook."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Int32, Struct, Tag


class ServiceReference(Struct):
    """A service in the cluster, with path and port."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    path: Annotated[str | None, Tag(3)] = None
    port: Annotated[Int32 | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """The port of HTTPS."""
        if self.port is None:
            self.port = 443


class WebhookClientConfig(Struct):
    """Either a URL or a service, and the CA bundle that its certificate must chain to."""

    url: Annotated[str | None, Tag(3)] = None
    service: Annotated[ServiceReference | None, Tag(1)] = None
    caBundle: Annotated[bytes, Tag(2)] = b""
