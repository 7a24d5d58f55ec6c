"""Keeps people from granting what they do not hold: who writes a role or a binding must have its rights
himself.

An admission plug-in of `admission/chain.py`, asked on writes of RBAC objects; it asks `rbac.py` what the user
holds. The way round it is the verb `escalate` on roles and `bind` on the role that a binding names. Rules and
texts: k8s.io/kubernetes `pkg/registry/rbac/{role,rolebinding,…}/policybased` and the documentation "Privilege
escalation prevention and bootstrapping".
"""

from __future__ import annotations

from typing import Any

from kijabi.api import codec
from kijabi.api.gotext import quote
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.resource import Resource
from kijabi.api.status import forbidden, not_found
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, RequestInfo
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.rules import ALL, EVERYTHING, describe, go_list, missing
from kijabi.apiserver.authz.union import MASTERS

GROUP = "rbac.authorization.k8s.io"
_ROLES = ("roles", "clusterroles")
_BINDINGS = ("rolebindings", "clusterrolebindings")


class EscalationCheck:
    """Refuses roles and bindings that would grant more than their author holds."""

    name = "RBACEscalation"

    def __init__(self, rbac: Rbac, authorizer: Authorizer) -> None:
        self._rbac = rbac
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return (
            resource.group == GROUP
            and not subresource
            and resource.plural in _ROLES + _BINDINGS
            and operation in ("CREATE", "UPDATE")
        )

    async def mutate(self, attrs: Attributes) -> None:
        """Checked before validation, as upstream does. What only frees an object for deletion is let
        through."""
        if MASTERS in attrs.user.groups or (attrs.old is not None and _only_for_deletion(attrs.object, attrs.old)):
            return
        if attrs.resource.plural in _ROLES:
            await self._check_role(attrs)
        else:
            await self._check_binding(attrs)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        return

    async def _check_role(self, attrs: Attributes) -> None:
        name = attrs.name or attrs.object.metadata.name
        if await self._may(attrs, "escalate", attrs.resource.plural, name):
            return
        self._confirm(attrs, attrs.object.rules)
        if any(getattr(role, "aggregationRule", None) is not None for role in (attrs.object, attrs.old)):
            held, _ = self._rbac.rules_for(attrs.user, attrs.namespace)
            if missing(held, EVERYTHING):
                text = "must have cluster-admin privileges to use the aggregationRule"
                raise forbidden(attrs.resource, name, text)

    async def _check_binding(self, attrs: Attributes) -> None:
        ref = attrs.object.roleRef
        plural = {"ClusterRole": "clusterroles", "Role": "roles"}.get(ref.kind)
        if plural is None:
            return  # validation says what is wrong with it
        if await self._may(attrs, "bind", plural, ref.name):
            return
        rules = self._rbac.role_rules(ref, attrs.namespace)
        if rules is None:
            raise not_found(f"{plural}.{GROUP}", ref.name)
        self._confirm(attrs, rules)

    async def _may(self, attrs: Attributes, verb: str, plural: str, name: str) -> bool:
        info = RequestInfo(
            verb=verb,
            path="",
            is_resource=True,
            group=GROUP,
            version=ALL,
            resource=plural,
            namespace=attrs.namespace,
            name=name,
        )
        return (await self._authorizer.authorize(attrs.user, info)).allowed

    def _confirm(self, attrs: Attributes, rules: tuple[PolicyRule, ...]) -> None:
        held, problems = self._rbac.rules_for(attrs.user, attrs.namespace)
        lacking = missing(held, rules)
        if not lacking:
            return
        text = (
            f"user {quote(attrs.user.name)} (groups={go_list(attrs.user.groups)}) is attempting to grant "
            f"RBAC permissions not currently held:\n{describe(lacking)}"
        )
        if problems:
            text += f"; resolution errors: [{', '.join(problems)}]"
        raise forbidden(attrs.resource, attrs.name or attrs.object.metadata.name, text)


def _only_for_deletion(new: Any, old: Any) -> bool:
    """Does the write change nothing but finalizers and owner references?"""
    copy = codec.clone(new)
    copy.metadata.ownerReferences = old.metadata.ownerReferences
    copy.metadata.finalizers = old.metadata.finalizers
    copy.metadata.managedFields = old.metadata.managedFields
    return codec.encode(copy) == codec.encode(old)
