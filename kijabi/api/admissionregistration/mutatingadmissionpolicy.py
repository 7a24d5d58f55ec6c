"""The mutatingadmissionpolicy types of the admissionregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchCondition, MatchResources, ParamKind, Variable
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ApplyConfiguration(Struct):
    """The API type ApplyConfiguration."""

    expression: Annotated[str, Tag(1)] = ""


class JSONPatch(Struct):
    """The API type JSONPatch."""

    expression: Annotated[str, Tag(1)] = ""


class Mutation(Struct):
    """The API type Mutation."""

    patchType: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    applyConfiguration: Annotated[ApplyConfiguration | None, Tag(3)] = None
    jsonPatch: Annotated[JSONPatch | None, Tag(4)] = None


class MutatingAdmissionPolicySpec(Struct):
    """What is asked of a Mutating Admission Policy."""

    paramKind: Annotated[ParamKind | None, Tag(1)] = None
    matchConstraints: Annotated[MatchResources | None, Tag(2)] = None
    variables: Annotated[tuple[Variable, ...], Tag(3, listType="atomic")] = ()
    mutations: Annotated[tuple[Mutation, ...], Tag(4, listType="atomic")] = ()
    failurePolicy: Annotated[str | None, Tag(5)] = None
    matchConditions: Annotated[
        tuple[MatchCondition, ...],
        Tag(6, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    reinvocationPolicy: Annotated[str, Tag(7)] = ""


class MutatingAdmissionPolicy(Object):
    """The API type MutatingAdmissionPolicy."""

    spec: Annotated[MutatingAdmissionPolicySpec, Tag(2)] = field(default_factory=MutatingAdmissionPolicySpec)


RESOURCE = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    type=MutatingAdmissionPolicy,
    namespaced=False,
    singular="mutatingadmissionpolicy",
    categories=("api-extensions",),
    has_generation=True,
)
