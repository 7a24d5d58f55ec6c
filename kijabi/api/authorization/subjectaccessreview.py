"""Asks "May this user do that?": answered by the authorizer, not stored."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import FieldSelectorRequirement, LabelSelectorRequirement, Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class FieldSelectorAttributes(Struct):
    """The field selector of the request, as text or as requirements."""

    rawSelector: Annotated[str, Tag(1)] = ""
    requirements: Annotated[tuple[FieldSelectorRequirement, ...], Tag(2, listType="atomic")] = ()


class LabelSelectorAttributes(Struct):
    """The label selector of the request, as text or as requirements."""

    rawSelector: Annotated[str, Tag(1)] = ""
    requirements: Annotated[tuple[LabelSelectorRequirement, ...], Tag(2, listType="atomic")] = ()


class ResourceAttributes(Struct):
    """A request on resources: verb, group, version, resource, subresource, name, namespace."""

    namespace: Annotated[str, Tag(1)] = ""
    verb: Annotated[str, Tag(2)] = ""
    group: Annotated[str, Tag(3)] = ""
    version: Annotated[str, Tag(4)] = ""
    resource: Annotated[str, Tag(5)] = ""
    subresource: Annotated[str, Tag(6)] = ""
    name: Annotated[str, Tag(7)] = ""
    fieldSelector: Annotated[FieldSelectorAttributes | None, Tag(8)] = None
    labelSelector: Annotated[LabelSelectorAttributes | None, Tag(9)] = None


class NonResourceAttributes(Struct):
    """A request on a plain URL: verb and path."""

    path: Annotated[str, Tag(1)] = ""
    verb: Annotated[str, Tag(2)] = ""


class SubjectAccessReviewSpec(Struct):
    """The request, and the user and groups who would make it."""

    resourceAttributes: Annotated[ResourceAttributes | None, Tag(1)] = None
    nonResourceAttributes: Annotated[NonResourceAttributes | None, Tag(2)] = None
    user: Annotated[str, Tag(3)] = ""
    groups: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    extra: Annotated[dict[str, tuple[str, ...]], Tag(5)] = {}
    uid: Annotated[str, Tag(6)] = ""


class SubjectAccessReviewStatus(Struct):
    """Allowed or denied, with the reason."""

    allowed: Annotated[bool, Tag(1, required=True)] = field(default_factory=bool)
    denied: Annotated[bool, Tag(4)] = False
    reason: Annotated[str, Tag(2)] = ""
    evaluationError: Annotated[str, Tag(3)] = ""


class SubjectAccessReview(Object):
    """Asks whether a user may do something."""

    spec: Annotated[
        SubjectAccessReviewSpec,
        Tag(2, required=True),
    ] = field(default_factory=SubjectAccessReviewSpec)
    status: Annotated[SubjectAccessReviewStatus, Tag(3)] = field(default_factory=SubjectAccessReviewStatus)


RESOURCE = Resource(
    group="authorization.k8s.io",
    version="v1",
    kind="SubjectAccessReview",
    plural="subjectaccessreviews",
    type=SubjectAccessReview,
    namespaced=False,
    singular="subjectaccessreview",
    verbs=("create",),
    storage=False,
)
