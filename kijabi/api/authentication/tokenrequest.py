"""The tokenrequest types of the authentication group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.struct import Int64, Struct, Tag, empty_list


class BoundObjectReference(Struct):
    """The API type BoundObjectReference."""

    kind: Annotated[str, Tag(1)] = ""
    apiVersion: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(4)] = ""


class TokenRequestSpec(Struct):
    """What is asked of a Token Request."""

    audiences: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = field(default_factory=empty_list)
    expirationSeconds: Annotated[Int64 | None, Tag(4)] = None
    boundObjectRef: Annotated[BoundObjectReference | None, Tag(3)] = None
    attestations: Annotated[dict[str, tuple[str, ...]], Tag(5)] = {}


class TokenRequestStatus(Struct):
    """What was last seen of a Token Request."""

    token: Annotated[str, Tag(1)] = field(default_factory=str)
    expirationTimestamp: Annotated[Time, Tag(2)] = Time()


class TokenRequest(Object):
    """The API type TokenRequest."""

    spec: Annotated[TokenRequestSpec, Tag(2)] = field(default_factory=TokenRequestSpec)
    status: Annotated[TokenRequestStatus, Tag(3)] = field(default_factory=TokenRequestStatus)
