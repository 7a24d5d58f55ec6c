"""The status of ValidatingAdmissionPolicies: doubts about the types in their expressions.

Receives policies, and looks up the definitions of the custom resources that they are about; writes the status
(k8s.io/kubernetes `pkg/controller/validatingadmissionpolicystatus`). The check itself is pure and in
`api/admissionregistration/typechecking.py`; it brings the expression language, which is loaded with the first policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from kijabi.api import catalog, codec
from kijabi.api.admissionregistration.validatingadmissionpolicy import TypeChecking, ValidatingAdmissionPolicy
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.base.errors import NotFound
from kijabi.controllers.runtime import Context, Source

if TYPE_CHECKING:
    from kijabi.api.cel.types import Type

Kind = tuple[str, str, str]


def plan(
    policy: ValidatingAdmissionPolicy, types: Mapping[Kind, Type], params: Type | None
) -> ValidatingAdmissionPolicy:
    """The policy with its status as it is to be. types: of what it is about; params: of its parameters, if known."""
    from kijabi.api.admissionregistration import typechecking

    warnings = typechecking.check(policy, types, params)
    status = replace(
        policy.status,
        observedGeneration=policy.metadata.generation,
        typeChecking=TypeChecking(expressionWarnings=warnings),
    )
    return replace(policy, status=status)


def declared(definition: CustomResourceDefinition, version: str) -> Type | None:
    """The type of a definition's objects in a version; None if it has no such one."""
    from kijabi.api.cel.types import from_schema

    for one in definition.spec.versions:
        if one.name == version and one.schema is not None and one.schema.openAPIV3Schema is not None:
            schema: dict[str, Any] = codec.to_builtins(one.schema.openAPIV3Schema)
            return from_schema(schema, name=definition.spec.names.kind, root=True)
    return None


class PolicyStatus:
    """The controller; a key is a policy's name."""

    name = "validatingadmissionpolicy-status"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.policies = context.informers.of(ValidatingAdmissionPolicy)

    def sources(self) -> Sequence[Source]:
        return (Source(self.policies, lambda old, new: (new.metadata.name,) if new is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        policy = self.policies.get(key)
        if policy is None or policy.metadata.generation <= policy.status.observedGeneration:
            return None
        wanted = plan(policy, await self._types(policy), await self._params(policy))
        try:
            await self.client.update_status(wanted)
        except NotFound:
            return None
        return None

    async def _types(self, policy: ValidatingAdmissionPolicy) -> dict[Kind, Type]:
        """The types of what a policy is about, as far as they are known."""
        from kijabi.api.admissionregistration.typechecking import resources_of
        from kijabi.api.cel.types import from_struct

        found: dict[Kind, Type] = {}
        for group, version, plural in resources_of(policy):
            wanted = (group, version, plural)
            known = [one for one in catalog.RESOURCES if (one.group, one.version, one.plural) == wanted]
            if known:
                found[group, version, known[0].kind] = from_struct(known[0].type)
                continue
            try:
                definition = await self.client.get(CustomResourceDefinition, f"{plural}.{group}")
            except NotFound:
                continue
            seen = declared(definition, version)
            if seen is not None:
                found[group, version, definition.spec.names.kind] = seen
        return found

    async def _params(self, policy: ValidatingAdmissionPolicy) -> Type | None:
        """The type of a policy's parameters."""
        from kijabi.api.cel.types import from_struct

        kind = policy.spec.paramKind
        if kind is None:
            return None
        group, _, version = kind.apiVersion.rpartition("/")
        known = catalog.by_kind(group, version, kind.kind)
        if known is not None:
            return from_struct(known.type)
        for definition in (await self.client.list(CustomResourceDefinition)).items:
            if (definition.spec.group, definition.spec.names.kind) == (group, kind.kind):
                return declared(definition, version)
        return None
