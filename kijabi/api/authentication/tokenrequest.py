"""Tokens for service accounts; the body of the `token` subresource of a service account."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.struct import Int64, Struct, Tag, empty_list


class BoundObjectReference(Struct):
    """The pod, secret or node with which a token dies."""

    kind: Annotated[str, Tag(1)] = ""
    apiVersion: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(4)] = ""


class TokenRequestSpec(Struct):
    """For whom the token is meant, how long it lasts and what it is bound to."""

    audiences: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = field(default_factory=empty_list)
    expirationSeconds: Annotated[Int64 | None, Tag(4)] = None
    boundObjectRef: Annotated[BoundObjectReference | None, Tag(3)] = None
    attestations: Annotated[dict[str, tuple[str, ...]], Tag(5)] = {}


class TokenRequestStatus(Struct):
    """The token and when it expires."""

    token: Annotated[str, Tag(1)] = field(default_factory=str)
    expirationTimestamp: Annotated[Time, Tag(2)] = Time()


class TokenRequest(Object):
    """Asks for a token of a service account."""

    spec: Annotated[TokenRequestSpec, Tag(2)] = field(default_factory=TokenRequestSpec)
    status: Annotated[TokenRequestStatus, Tag(3)] = field(default_factory=TokenRequestStatus)
