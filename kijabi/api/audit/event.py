"""One line of the audit log: who asked what of the API server, when, and how it ended.

`apiserver/audit/record.py` fills it in along a request's way. Types: k8s.io/apiserver `pkg/apis/audit/v1`.
"""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.authentication.tokenreview import UserInfo
from kijabi.api.meta import MicroTime, Status
from kijabi.api.struct import NO_JSON, Struct, Tag

API_VERSION = "audit.k8s.io/v1"


class AuthenticationMetadata(Struct):
    """More about who asks: the constraint under which somebody may act as another."""

    impersonationConstraint: Annotated[str, Tag(1)] = ""


class ObjectReference(Struct):
    """What the request is about."""

    resource: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(4)] = ""
    apiGroup: Annotated[str, Tag(5)] = ""
    apiVersion: Annotated[str, Tag(6)] = ""
    resourceVersion: Annotated[str, Tag(7)] = ""
    subresource: Annotated[str, Tag(8)] = ""


class Event(Struct):
    """A request at one of its stages. On the wire `kind` and `apiVersion` stand before it, except in a list."""

    level: Annotated[str, Tag(1)] = field(default_factory=str)
    auditID: Annotated[str, Tag(2)] = field(default_factory=str)
    stage: Annotated[str, Tag(3)] = field(default_factory=str)
    requestURI: Annotated[str, Tag(4)] = field(default_factory=str)
    verb: Annotated[str, Tag(5)] = field(default_factory=str)
    user: Annotated[UserInfo, Tag(6)] = field(default_factory=UserInfo)
    impersonatedUser: Annotated[UserInfo | None, Tag(7)] = None
    authenticationMetadata: Annotated[AuthenticationMetadata | None, Tag(17)] = None
    sourceIPs: Annotated[tuple[str, ...], Tag(8)] = ()
    userAgent: Annotated[str, Tag(16)] = ""
    objectRef: Annotated[ObjectReference | None, Tag(9)] = None
    responseStatus: Annotated[Status | None, Tag(10)] = None
    requestObject: Annotated[Raw, Tag(11)] = NO_JSON
    responseObject: Annotated[Raw, Tag(12)] = NO_JSON
    requestReceivedTimestamp: Annotated[MicroTime, Tag(13)] = field(default_factory=MicroTime)
    stageTimestamp: Annotated[MicroTime, Tag(14)] = field(default_factory=MicroTime)
    annotations: Annotated[dict[str, str], Tag(15)] = {}
