"""Asks "What may I do here?": answered by the authorizer, not stored; behind `kubectl auth can-i --list`."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag, empty_list


class SelfSubjectRulesReviewSpec(Struct):
    """The namespace asked about."""

    namespace: Annotated[str, Tag(1)] = ""


class ResourceRule(Struct):
    """Verbs that are allowed on resources."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    apiGroups: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    resources: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    resourceNames: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()


class NonResourceRule(Struct):
    """Verbs that are allowed on plain URLs."""

    verbs: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    nonResourceURLs: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()


class SubjectRulesReviewStatus(Struct):
    """All that is known to be allowed, and whether the list is complete."""

    resourceRules: Annotated[
        tuple[ResourceRule, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    nonResourceRules: Annotated[
        tuple[NonResourceRule, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    incomplete: Annotated[bool, Tag(3, required=True)] = field(default_factory=bool)
    evaluationError: Annotated[str, Tag(4)] = ""


class SelfSubjectRulesReview(Object):
    """Asks for all that the caller may do in a namespace."""

    spec: Annotated[
        SelfSubjectRulesReviewSpec,
        Tag(2, required=True),
    ] = field(default_factory=SelfSubjectRulesReviewSpec)
    status: Annotated[SubjectRulesReviewStatus, Tag(3)] = field(default_factory=SubjectRulesReviewStatus)


RESOURCE = Resource(
    group="authorization.k8s.io",
    version="v1",
    kind="SelfSubjectRulesReview",
    plural="selfsubjectrulesreviews",
    type=SelfSubjectRulesReview,
    namespaced=False,
    singular="selfsubjectrulesreview",
    verbs=("create",),
    storage=False,
)
