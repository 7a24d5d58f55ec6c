"""Asks "May I do that?": answered by the authorizer, not stored; behind `kubectl auth can-i`."""

from typing import Annotated

from msgspec import field

from kijabi.api.authorization.subjectaccessreview import (
    NonResourceAttributes,
    ResourceAttributes,
    SubjectAccessReviewStatus,
)
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class SelfSubjectAccessReviewSpec(Struct):
    """The request that the caller has in mind."""

    resourceAttributes: Annotated[ResourceAttributes | None, Tag(1)] = None
    nonResourceAttributes: Annotated[NonResourceAttributes | None, Tag(2)] = None


class SelfSubjectAccessReview(Object):
    """Asks whether the caller may do something."""

    spec: Annotated[
        SelfSubjectAccessReviewSpec,
        Tag(2, required=True),
    ] = field(default_factory=SelfSubjectAccessReviewSpec)
    status: Annotated[SubjectAccessReviewStatus, Tag(3)] = field(default_factory=SubjectAccessReviewStatus)


RESOURCE = Resource(
    group="authorization.k8s.io",
    version="v1",
    kind="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    type=SelfSubjectAccessReview,
    namespaced=False,
    singular="selfsubjectaccessreview",
    verbs=("create",),
    storage=False,
)
