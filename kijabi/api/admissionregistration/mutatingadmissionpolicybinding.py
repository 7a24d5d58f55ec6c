"""Where a mutating admission policy acts, and with which parameters."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchResources, ParamRef
from kijabi.api.columns import AGE, NAME, UNSET, column, selector_text
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag


class MutatingAdmissionPolicyBindingSpec(Struct):
    """The policy, its parameters, and the resources to which it is narrowed."""

    policyName: Annotated[str, Tag(1)] = ""
    paramRef: Annotated[ParamRef | None, Tag(2)] = None
    matchResources: Annotated[MatchResources | None, Tag(3)] = None


class MutatingAdmissionPolicyBinding(Object):
    """Puts a mutating admission policy into effect."""

    spec: Annotated[
        MutatingAdmissionPolicyBindingSpec,
        Tag(2),
    ] = field(default_factory=MutatingAdmissionPolicyBindingSpec)


def _parameters(obj: MutatingAdmissionPolicyBinding) -> str:
    found = obj.spec.paramRef
    if found is None:
        return UNSET
    if found.name:
        return f"{found.namespace or '*'}/{found.name}"
    return UNSET if found.selector is None else selector_text(found.selector)


COLUMNS = (
    NAME,
    column("PolicyName", lambda obj: obj.spec.policyName, "The policy that it puts to use."),
    column("ParamRef", _parameters, "The policy's parameters."),
    AGE,
)


def _validate(obj: MutatingAdmissionPolicyBinding) -> list[FieldError]:
    from kijabi.api.admissionregistration import (
        policy_rules,  # it brings the expression language, which only the API server needs
    )

    return policy_rules.validate_mutating_binding(obj)


RESOURCE = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    type=MutatingAdmissionPolicyBinding,
    namespaced=False,
    singular="mutatingadmissionpolicybinding",
    categories=("api-extensions",),
    has_generation=True,
    validate=_validate,
    columns=COLUMNS,
    update_needs_version=True,
)
