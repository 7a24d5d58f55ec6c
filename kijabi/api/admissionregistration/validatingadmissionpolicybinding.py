"""Where a validating admission policy acts, and whether it denies, warns or audits."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchResources, ParamRef
from kijabi.api.columns import AGE, NAME, UNSET, column, selector_text
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag


class ValidatingAdmissionPolicyBindingSpec(Struct):
    """The policy, its parameters, the resources, and the actions on a failed rule."""

    policyName: Annotated[str, Tag(1, required=True)] = ""
    paramRef: Annotated[ParamRef | None, Tag(2)] = None
    matchResources: Annotated[MatchResources | None, Tag(3)] = None
    validationActions: Annotated[tuple[str, ...], Tag(4, listType="set", required=True)] = ()


class ValidatingAdmissionPolicyBinding(Object):
    """Puts a validating admission policy into effect."""

    spec: Annotated[
        ValidatingAdmissionPolicyBindingSpec,
        Tag(2, required=True),
    ] = field(default_factory=ValidatingAdmissionPolicyBindingSpec)


def _parameters(obj: ValidatingAdmissionPolicyBinding) -> str:
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


def _validate(obj: ValidatingAdmissionPolicyBinding) -> list[FieldError]:
    from kijabi.api.admissionregistration import (
        policy_rules,  # it brings the expression language, which only the API server needs
    )

    return policy_rules.validate_validating_binding(obj)


RESOURCE = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    type=ValidatingAdmissionPolicyBinding,
    namespaced=False,
    singular="validatingadmissionpolicybinding",
    categories=("api-extensions",),
    has_generation=True,
    validate=_validate,
    columns=COLUMNS,
    update_needs_version=True,
)
