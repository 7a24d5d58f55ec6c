"""The validatingadmissionpolicybinding types of the admissionregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchResources, ParamRef
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ValidatingAdmissionPolicyBindingSpec(Struct):
    """What is asked of a Validating Admission Policy Binding."""

    policyName: Annotated[str, Tag(1, required=True)] = ""
    paramRef: Annotated[ParamRef | None, Tag(2)] = None
    matchResources: Annotated[MatchResources | None, Tag(3)] = None
    validationActions: Annotated[tuple[str, ...], Tag(4, listType="set", required=True)] = ()


class ValidatingAdmissionPolicyBinding(Object):
    """The API type ValidatingAdmissionPolicyBinding."""

    spec: Annotated[
        ValidatingAdmissionPolicyBindingSpec,
        Tag(2, required=True),
    ] = field(default_factory=ValidatingAdmissionPolicyBindingSpec)


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
)
