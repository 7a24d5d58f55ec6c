"""Asks "May this user do that in this namespace?": answered by the authorizer, not stored."""

from typing import Annotated

from msgspec import field

from kijabi.api.authorization.subjectaccessreview import SubjectAccessReviewSpec, SubjectAccessReviewStatus
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class LocalSubjectAccessReview(Object):
    """A SubjectAccessReview confined to one namespace, so the right to ask can be granted there."""

    spec: Annotated[
        SubjectAccessReviewSpec,
        Tag(2, required=True),
    ] = field(default_factory=SubjectAccessReviewSpec)
    status: Annotated[SubjectAccessReviewStatus, Tag(3)] = field(default_factory=SubjectAccessReviewStatus)


RESOURCE = Resource(
    group="authorization.k8s.io",
    version="v1",
    kind="LocalSubjectAccessReview",
    plural="localsubjectaccessreviews",
    type=LocalSubjectAccessReview,
    singular="localsubjectaccessreview",
    verbs=("create",),
    storage=False,
)
