"""MutatingAdmissionPolicy: changes in CEL that users bind to resources.

`chain.py` calls it after the in-tree plug-ins and before mutating webhooks; `policies.py` finds the policies,
`mutatingevaluator.py` computes the changes, `forms.py` takes them into the object. Where an object was changed after a
policy saw it, the policy is asked once more if its reinvocationPolicy says so. Source: k8s.io/apiserver
`pkg/admission/plugin/policy/mutating`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from kijabi.api import codec
from kijabi.api.admissionregistration.mutatingadmissionpolicy import MutatingAdmissionPolicy
from kijabi.api.admissionregistration.mutatingadmissionpolicybinding import MutatingAdmissionPolicyBinding
from kijabi.api.apply import schema
from kijabi.api.apply.schema import Schema
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.apiserver.admission import hooks
from kijabi.apiserver.admission.forms import Forms
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.admission.plugin import Plugin, refuse
from kijabi.apiserver.admission.policies import Bound, Policies, Rule
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader
from kijabi.base.errors import from_reason

if TYPE_CHECKING:
    from kijabi.apiserver.admission.evaluation import Scope
    from kijabi.apiserver.admission.mutatingevaluator import Evaluator

Schemas = Callable[[Resource], Schema]


class _Memory:
    """What the second round knows of the first. seen: the object as the last policy left it. Keys: policy, binding,
    namespace and name of the parameter."""

    def __init__(self) -> None:
        self.seen = b""
        self.invoked: set[tuple[str, ...]] = set()
        self.again: set[tuple[str, ...]] = set()

    def changed(self) -> None:
        """The object changed: whoever was asked before, and wants to know, is asked again."""
        self.again |= self.invoked
        self.invoked = set()


class _Problems:
    """Why policies refuse the write, in order."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def configured(self, rule: Rule[Evaluator], bound: Bound | None, text: str) -> None:
        """A policy or binding cannot be put to use."""
        self.add(rule, bound, text, "Forbidden")

    def add(self, rule: Rule[Evaluator], bound: Bound | None, text: str, reason: str) -> None:
        """A policy failed; it refuses the write, unless its failurePolicy is Ignore."""
        if not rule.ignores:
            who = quote(rule.name) if bound is None else f"'{rule.name}' with binding '{bound.name}'"
            self._found.append((f"policy {who} denied request: {text}", reason))

    def finish(self, attrs: Attributes) -> None:
        """Raises the first problem, with all of them as causes."""
        if self._found:
            text, reason = self._found[0]
            refused = refuse(attrs, text, [{"message": each} for each, _ in self._found])
            raise from_reason(reason, text, code=403, details=refused.details)


class MutatingPolicies(Plugin):
    """The plug-in. schemas: how the objects of a resource merge."""

    name = "MutatingAdmissionPolicy"

    def __init__(self, reader: Reader, kinds: Kinds, authorizer: Authorizer, schemas: Schemas) -> None:
        self._kinds = kinds
        self._authorizer = authorizer
        self._schemas = schemas
        self._policies: Policies[Evaluator] = Policies(
            MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, reader, kinds, _compile
        )

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission. A deletion has no object to change."""
        return operation != "DELETE" and hooks.handles(resource, operation)

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        if not self._policies.any(attrs):
            return
        memory: _Memory = attrs.rounds.memory.setdefault(self.name, _Memory())
        if attrs.rounds.second and memory.seen != _snapshot(attrs):
            memory.changed()
        problems = _Problems()
        found = [each async for each in self._policies.matching(attrs, problems.configured)]
        forms = Forms(self._kinds, attrs)
        for rule, bound, target, params in found:
            for each in params:
                await self._invoke(rule, bound, target, each, attrs, forms, memory, problems)
        memory.seen = _snapshot(attrs)
        problems.finish(attrs)

    async def _invoke(
        self, rule: Rule[Evaluator], bound: Bound, target: Target, params: Any, attrs: Attributes, forms: Forms,
        memory: _Memory, problems: _Problems,
    ) -> None:  # fmt: skip
        """Ask one policy, with one binding and one parameter."""
        from kijabi.apiserver.admission.conditions import ConditionError

        scope = await self._scope(rule, target, params, attrs, forms)
        try:
            if not await scope.run(lambda: rule.evaluator.wanted(scope)):
                return
        except ConditionError as error:
            problems.add(rule, bound, str(error), "Invalid")
            return
        own = (params or {}).get("metadata", {})
        key = (rule.name, bound.name, own.get("namespace", ""), own.get("name", ""))
        if attrs.rounds.second and key not in memory.again:
            return
        if await self._change(rule, bound, target, params, attrs, forms, problems):
            memory.changed()
            attrs.rounds.wanted = True
        if rule.object.spec.reinvocationPolicy == "IfNeeded":
            memory.invoked.add(key)

    async def _change(
        self, rule: Rule[Evaluator], bound: Bound, target: Target, params: Any, attrs: Attributes, forms: Forms,
        problems: _Problems,
    ) -> bool:  # fmt: skip
        """Make a policy's changes in order, each of what the one before made; whether the object differs."""
        from kijabi.apiserver.admission.evaluation import EvaluationError

        changed = False
        for change in rule.evaluator.changes:
            form = await forms.get(target)
            if form.document is None:
                break
            typed = isinstance(form.object, target.resource.type)
            shape = self._schemas(target.resource) if typed else schema.of_type(type(form.object))
            try:
                scope = await self._scope(rule, target, params, attrs, forms)
                document = await scope.run(partial(change.make, scope, form.document, shape))
            except EvaluationError as error:
                problems.add(rule, bound, str(error), "Invalid")
                continue
            changed = await forms.adopt(form, document) or changed
        return changed

    async def _scope(
        self, rule: Rule[Evaluator], target: Target, params: Any, attrs: Attributes, forms: Forms
    ) -> Scope:
        from kijabi.apiserver.admission.evaluation import Scope

        return Scope(
            await forms.get(target), attrs, self._authorizer, namespace=self._policies.namespace(attrs), params=params,
            variables=rule.evaluator.variables,
        )  # fmt: skip


def _compile(policy: MutatingAdmissionPolicy) -> Evaluator:
    # The expression language is loaded with the first policy that is bound.
    from kijabi.apiserver.admission.mutatingevaluator import Evaluator

    return Evaluator(policy)


def _snapshot(attrs: Attributes) -> bytes:
    """The object as it is now, to be compared."""
    return b"" if attrs.object is None else codec.encode(attrs.object)
