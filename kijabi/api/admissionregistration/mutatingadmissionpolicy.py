"""Changes to objects on their way in, written in CEL; the API server's admission chain runs them."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchCondition, MatchResources, ParamKind, Variable
from kijabi.api.columns import AGE, NAME, UNSET, column, number
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag


class ApplyConfiguration(Struct):
    """A CEL expression that gives an object to merge in as server-side apply would."""

    expression: Annotated[str, Tag(1)] = ""


class JSONPatch(Struct):
    """A CEL expression that gives a JSON patch."""

    expression: Annotated[str, Tag(1)] = ""


class Mutation(Struct):
    """One change, either as an apply configuration or as a JSON patch."""

    patchType: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    applyConfiguration: Annotated[ApplyConfiguration | None, Tag(3)] = None
    jsonPatch: Annotated[JSONPatch | None, Tag(4)] = None


class MutatingAdmissionPolicySpec(Struct):
    """What to match, the variables, the changes, and what to do when they fail."""

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

    def set_defaults(self) -> None:
        """Fail closed."""
        if self.failurePolicy is None:
            self.failurePolicy = "Fail"


class MutatingAdmissionPolicy(Object):
    """A policy that changes objects; it acts where a binding says so."""

    spec: Annotated[MutatingAdmissionPolicySpec, Tag(2)] = field(default_factory=MutatingAdmissionPolicySpec)


def _parameters(obj: MutatingAdmissionPolicy) -> str:
    kind = obj.spec.paramKind
    return UNSET if kind is None else f"{kind.apiVersion}/{kind.kind}"


COLUMNS = (
    NAME,
    number("Mutations", lambda obj: len(obj.spec.mutations), "How many there are."),
    column("ParamKind", _parameters, "The kind of its parameters."),
    AGE,
)


def _validate(obj: MutatingAdmissionPolicy) -> list[FieldError]:
    from kijabi.api.admissionregistration import (
        policy_rules,  # it brings the expression language, which only the API server needs
    )

    return policy_rules.validate_mutating(obj)


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
    validate=_validate,
    columns=COLUMNS,
    update_needs_version=True,
)
