"""The AdmissionReview that the API server posts to admission webhooks and reads their verdict from."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.authentication.tokenreview import UserInfo
from kijabi.api.meta import GroupVersionKind, GroupVersionResource, Status, TypeMeta
from kijabi.api.struct import NO_JSON, Struct, Tag


class AdmissionRequest(Struct):
    """The write under review: who wants to do what to which object, with the object before and after."""

    uid: Annotated[str, Tag(1)] = field(default_factory=str)
    kind: Annotated[GroupVersionKind, Tag(2)] = field(default_factory=GroupVersionKind)
    resource: Annotated[GroupVersionResource, Tag(3)] = field(default_factory=GroupVersionResource)
    subResource: Annotated[str, Tag(4)] = ""
    requestKind: Annotated[GroupVersionKind | None, Tag(13)] = None
    requestResource: Annotated[GroupVersionResource | None, Tag(14)] = None
    requestSubResource: Annotated[str, Tag(15)] = ""
    name: Annotated[str, Tag(5)] = ""
    namespace: Annotated[str, Tag(6)] = ""
    operation: Annotated[str, Tag(7)] = field(default_factory=str)
    userInfo: Annotated[UserInfo, Tag(8)] = field(default_factory=UserInfo)
    object: Annotated[Raw, Tag(9)] = NO_JSON
    oldObject: Annotated[Raw, Tag(10)] = NO_JSON
    dryRun: Annotated[bool | None, Tag(11)] = None
    options: Annotated[Raw, Tag(12)] = NO_JSON


class AdmissionResponse(Struct):
    """A webhook's verdict, with a JSON patch if it wants the object changed."""

    uid: Annotated[str, Tag(1)] = field(default_factory=str)
    allowed: Annotated[bool, Tag(2)] = field(default_factory=bool)
    status: Annotated[Status | None, Tag(3)] = None
    patch: Annotated[bytes, Tag(4)] = b""
    patchType: Annotated[str | None, Tag(5)] = None
    auditAnnotations: Annotated[dict[str, str], Tag(6)] = {}
    warnings: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()


class AdmissionReview(TypeMeta):
    """The envelope of both: the question carries `request`, the answer `response` with the same uid."""

    request: Annotated[AdmissionRequest | None, Tag(1)] = None
    response: Annotated[AdmissionResponse | None, Tag(2)] = None
