"""Asks "Who am I?": the API server answers with the caller's identity and stores nothing."""

from typing import Annotated

from msgspec import field

from kijabi.api.authentication.tokenreview import UserInfo
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class SelfSubjectReviewStatus(Struct):
    """The identity that the server sees."""

    userInfo: Annotated[UserInfo, Tag(1)] = field(default_factory=UserInfo)


class SelfSubjectReview(Object):
    """Asks the server whom it takes the caller for."""

    status: Annotated[SelfSubjectReviewStatus, Tag(2)] = field(default_factory=SelfSubjectReviewStatus)


RESOURCE = Resource(
    group="authentication.k8s.io",
    version="v1",
    kind="SelfSubjectReview",
    plural="selfsubjectreviews",
    type=SelfSubjectReview,
    namespaced=False,
    singular="selfsubjectreview",
    verbs=("create",),
    storage=False,
)
