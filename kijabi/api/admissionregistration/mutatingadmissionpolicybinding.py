"""The mutatingadmissionpolicybinding types of the admissionregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchResources, ParamRef
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class MutatingAdmissionPolicyBindingSpec(Struct):
    """What is asked of a Mutating Admission Policy Binding."""

    policyName: Annotated[str, Tag(1)] = ""
    paramRef: Annotated[ParamRef | None, Tag(2)] = None
    matchResources: Annotated[MatchResources | None, Tag(3)] = None


class MutatingAdmissionPolicyBinding(Object):
    """The API type MutatingAdmissionPolicyBinding."""

    spec: Annotated[
        MutatingAdmissionPolicyBindingSpec,
        Tag(2),
    ] = field(default_factory=MutatingAdmissionPolicyBindingSpec)


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
)
