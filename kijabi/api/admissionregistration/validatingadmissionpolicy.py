"""Rules for objects on their way in, written in CEL; the API server's admission chain runs them."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchCondition, MatchResources, ParamKind, Variable
from kijabi.api.columns import AGE, NAME, UNSET, column, number
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int64, Struct, Tag


class Validation(Struct):
    """A CEL expression that must hold, and the message and reason if it does not."""

    expression: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(2)] = ""
    reason: Annotated[str | None, Tag(3)] = None
    messageExpression: Annotated[str, Tag(4)] = ""


class AuditAnnotation(Struct):
    """A key and a CEL expression whose value goes into the audit event."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    valueExpression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ValidatingAdmissionPolicySpec(Struct):
    """What to match, the variables, the rules, and what to do when they fail to run."""

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

    def set_defaults(self) -> None:
        """Fail closed."""
        if self.failurePolicy is None:
            self.failurePolicy = "Fail"


class ExpressionWarning(Struct):
    """A doubt that type checking has about one expression."""

    fieldRef: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    warning: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class TypeChecking(Struct):
    """The doubts about all expressions of a policy."""

    expressionWarnings: Annotated[tuple[ExpressionWarning, ...], Tag(1, listType="atomic")] = ()


class ValidatingAdmissionPolicyStatus(Struct):
    """The result of type checking and the policy's conditions."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    typeChecking: Annotated[TypeChecking | None, Tag(2)] = None
    conditions: Annotated[tuple[Condition, ...], Tag(3, listType="map", keys=("type",))] = ()


class ValidatingAdmissionPolicy(Object):
    """A policy that judges objects; it acts where a binding says so."""

    spec: Annotated[
        ValidatingAdmissionPolicySpec,
        Tag(2),
    ] = field(default_factory=ValidatingAdmissionPolicySpec)
    status: Annotated[
        ValidatingAdmissionPolicyStatus,
        Tag(3),
    ] = field(default_factory=ValidatingAdmissionPolicyStatus)


def _parameters(obj: ValidatingAdmissionPolicy) -> str:
    kind = obj.spec.paramKind
    return UNSET if kind is None else f"{kind.apiVersion}/{kind.kind}"


COLUMNS = (
    NAME,
    number("Validations", lambda obj: len(obj.spec.validations), "How many there are."),
    column("ParamKind", _parameters, "The kind of its parameters."),
    AGE,
)


def _validate(obj: ValidatingAdmissionPolicy) -> list[FieldError]:
    from kijabi.api.admissionregistration import (
        policy_rules,  # it brings the expression language, which only the API server needs
    )

    return policy_rules.validate_validating(obj)


def _validate_status(new: ValidatingAdmissionPolicy, old: ValidatingAdmissionPolicy) -> list[FieldError]:
    from kijabi.api.admissionregistration import policy_rules

    return policy_rules.validate_status(new, old)


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
    validate=_validate,
    validate_status=_validate_status,
    columns=COLUMNS,
    update_needs_version=True,
)
