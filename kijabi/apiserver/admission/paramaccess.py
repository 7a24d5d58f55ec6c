"""Who makes a policy read parameters must be allowed to read them: else a policy could tell what others may not see.

A plug-in of its own in `chain.py`, because it needs the user and the authoriser; what it says are the errors of a
validation. Superusers are asked nothing. Source: k8s.io/kubernetes `pkg/registry/admissionregistration/*/authz.go`.
"""

from __future__ import annotations

from typing import Any

from kijabi.api import status, validation
from kijabi.api.admissionregistration.mutatingadmissionpolicy import MutatingAdmissionPolicy
from kijabi.api.admissionregistration.policyrules import ParamKind
from kijabi.api.admissionregistration.validatingadmissionpolicy import ValidatingAdmissionPolicy
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.kinds import Kinds
from kijabi.apiserver.admission.plugin import Plugin
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader, RequestInfo, UserInfo

MASTERS = "system:masters"
_POLICIES = frozenset(("validatingadmissionpolicies", "mutatingadmissionpolicies"))
_BINDINGS: dict[str, type[ValidatingAdmissionPolicy | MutatingAdmissionPolicy]] = {
    "validatingadmissionpolicybindings": ValidatingAdmissionPolicy,
    "mutatingadmissionpolicybindings": MutatingAdmissionPolicy,
}


class ParameterAccess(Plugin):
    """The plug-in."""

    name = "ParameterAccess"

    def __init__(self, reader: Reader, kinds: Kinds, authorizer: Authorizer) -> None:
        self._reader = reader
        self._kinds = kinds
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        mine = resource.plural in _POLICIES or resource.plural in _BINDINGS
        return mine and resource.group == "admissionregistration.k8s.io" and not subresource and operation != "DELETE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        if MASTERS in attrs.user.groups:
            return
        policy = attrs.resource.plural in _POLICIES
        name = "paramKind" if policy else "paramRef"
        wanted = getattr(attrs.object.spec, name)
        if wanted is None or (attrs.old is not None and getattr(attrs.old.spec, name) == wanted):
            return
        problem = await (self._kind(attrs.user, wanted) if policy else self._ref(attrs))
        if problem:
            error = validation.forbidden(f"spec.{name}", problem)
            raise status.invalid(attrs.resource, attrs.name, [error])

    async def _kind(self, user: UserInfo, kind: ParamKind) -> str:
        """A policy's parameters: everything of their kind must be readable."""
        wanted = self._target(kind, verb="get", name="*", namespace="*")
        if (await self._authorizer.authorize(user, wanted)).allowed:
            return ""
        named = f"(kind={kind.kind}, apiVersion={kind.apiVersion})"
        return f'user {_shown(user)} must have "get" permission on all objects of the referenced paramKind {named}'

    async def _ref(self, attrs: Attributes) -> str:
        """A binding's parameters: the objects that it names."""
        ref, spec, user = attrs.object.spec.paramRef, attrs.object.spec, attrs.user
        verb = "get" if ref.name else "list"
        policy: Any = self._reader.get(_BINDINGS[attrs.resource.plural], spec.policyName)
        kind = policy.spec.paramKind if policy is not None else None
        wanted = self._target(kind, verb=verb, name=ref.name, namespace=ref.namespace)
        if (await self._authorizer.authorize(user, wanted)).allowed:
            return ""
        lead = f'user {_shown(user)} does not have "{verb}" permission'
        if policy is None:
            text = f"unable to get policy {spec.policyName} to determine minimum required permissions"
            return f"{text} and {lead} for all groups, versions and resources"
        return f"{lead} on the object referenced by paramRef"

    def _target(self, kind: ParamKind | None, *, verb: str, name: str, namespace: str) -> RequestInfo:
        """What must be allowed; everything, where nobody knows what it is."""
        group, version, plural = "*", "*", "*"
        if kind is not None:
            group, _, version = kind.apiVersion.rpartition("/")
            served = self._kinds.by_kind(kind.apiVersion, kind.kind)
            plural = served.resource.plural if served is not None else "*"
        return RequestInfo(
            verb=verb, path="", is_resource=True, group=group, version=version, resource=plural, namespace=namespace,
            name=name,
        )  # fmt: skip


def _shown(user: UserInfo) -> str:
    """A user as Go prints one."""
    extra = " ".join(f"{key}:[{' '.join(values)}]" for key, values in sorted(user.extra.items()))
    return f"&{{{user.name} {user.uid} [{' '.join(user.groups)}] map[{extra}]}}"
