"""The validatingadmissionpolicy types of the admissionregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchCondition, MatchResources, ParamKind, Variable
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int64, Struct, Tag


class Validation(Struct):
    """The API type Validation."""

    expression: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(2)] = ""
    reason: Annotated[str | None, Tag(3)] = None
    messageExpression: Annotated[str, Tag(4)] = ""


class AuditAnnotation(Struct):
    """The API type AuditAnnotation."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    valueExpression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ValidatingAdmissionPolicySpec(Struct):
    """What is asked of a Validating Admission Policy."""

    paramKind: Annotated[ParamKind | None, Tag(1)] = None
    matchConstraints: Annotated[MatchResources | None, Tag(2)] = None
    validations: Annotated[tuple[Validation, ...], Tag(3, listType="atomic")] = ()
    failurePolicy: Annotated[str | None, Tag(4)] = None
    auditAnnotations: Annotated[tuple[AuditAnnotation, ...], Tag(5, listType="atomic")] = ()
    matchConditions: Annotated[
        tuple[MatchCondition, ...],
        Tag(6, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    variables: Annotated[
        tuple[Variable, ...],
        Tag(7, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()


class ExpressionWarning(Struct):
    """The API type ExpressionWarning."""

    fieldRef: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    warning: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class TypeChecking(Struct):
    """The API type TypeChecking."""

    expressionWarnings: Annotated[tuple[ExpressionWarning, ...], Tag(1, listType="atomic")] = ()


class ValidatingAdmissionPolicyStatus(Struct):
    """What was last seen of a Validating Admission Policy."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    typeChecking: Annotated[TypeChecking | None, Tag(2)] = None
    conditions: Annotated[tuple[Condition, ...], Tag(3, listType="map", keys=("type",))] = ()


class ValidatingAdmissionPolicy(Object):
    """The API type ValidatingAdmissionPolicy."""

    spec: Annotated[
        ValidatingAdmissionPolicySpec,
        Tag(2),
    ] = field(default_factory=ValidatingAdmissionPolicySpec)
    status: Annotated[
        ValidatingAdmissionPolicyStatus,
        Tag(3),
    ] = field(default_factory=ValidatingAdmissionPolicyStatus)


RESOURCE = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    type=ValidatingAdmissionPolicy,
    namespaced=False,
    singular="validatingadmissionpolicy",
    categories=("api-extensions",),
    subresources=(
        Subresource(
            name="status",
            kind="ValidatingAdmissionPolicy",
            verbs=("get", "patch", "update"),
            type=ValidatingAdmissionPolicy,
        ),
    ),
    has_generation=True,
)
