"""ValidatingAdmissionPolicy: rules in CEL that users bind to resources.

A write that breaks a rule is refused, or its writer is warned, or the audit log told, as the binding says. `chain.py`
calls it for the valid object, before validating webhooks; `policies.py` finds the policies, `validatingevaluator.py`
judges. Source: k8s.io/apiserver `pkg/admission/plugin/policy/validating`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api.admissionregistration.validatingadmissionpolicy import ValidatingAdmissionPolicy
from kijabi.api.admissionregistration.validatingadmissionpolicybinding import ValidatingAdmissionPolicyBinding
from kijabi.api.resource import Resource
from kijabi.apiserver.admission import hooks
from kijabi.apiserver.admission.forms import Forms
from kijabi.apiserver.admission.kinds import Kinds, Target
from kijabi.apiserver.admission.plugin import Plugin, refuse
from kijabi.apiserver.admission.policies import Bound, Policies, Rule
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.body import add_warning
from kijabi.base.errors import ApiError, from_reason

if TYPE_CHECKING:
    from kijabi.apiserver.admission.validatingevaluator import Evaluator, Judgement

MAX_FAILURES = 50  # broken rules of which the audit log is told
FAILURES = "validation.policy.admission.k8s.io/validation_failure"
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413}  # of reasons; 422 of others


class _Outcome:
    """What all policies together say of one write. annotations: of the audit log, by policy and key."""

    def __init__(self, attrs: Attributes) -> None:
        self.attrs = attrs
        self.denied: list[tuple[str, str]] = []
        self.failures: list[dict[str, Any]] = []
        self.annotations: dict[str, dict[str, None]] = {}

    def problem(self, rule: Rule[Evaluator], bound: Bound | None, text: str) -> None:
        """A policy or binding that cannot be put to use refuses the write, unless its failurePolicy is Ignore."""
        if not rule.ignores:
            self.deny(rule, bound, text, "")

    def deny(self, rule: Rule[Evaluator], bound: Bound | None, text: str, reason: str) -> None:
        """A reason to refuse the write."""
        binding = f" with binding '{bound.name}'" if bound is not None else ""
        self.denied.append((f"ValidatingAdmissionPolicy '{rule.name}'{binding} denied request: {text}", reason))

    def take(self, rule: Rule[Evaluator], bound: Bound, found: Judgement) -> None:
        """What one policy says, with one binding and one parameter."""
        actions = bound.object.spec.validationActions
        for index, decision in enumerate(found.decisions):
            if not decision.message:
                continue
            if "Deny" in actions:
                self.deny(rule, bound, decision.message, decision.reason)
            if "Audit" in actions and len(self.failures) < MAX_FAILURES:
                self.failures.append({
                    "message": decision.message, "policy": rule.name, "binding": bound.name, "expressionIndex": index,
                    "validationActions": actions,
                })  # fmt: skip
            if "Warn" in actions:
                lead = f"Validation failed for ValidatingAdmissionPolicy '{rule.name}' with binding '{bound.name}'"
                add_warning(self.attrs.warnings, f"{lead}: {decision.message}")
        for key, value in found.annotations:
            self.annotations.setdefault(f"{rule.name}/{key}", {})[value] = None
        for text in found.failures:
            self.deny(rule, bound, text, "")

    def finish(self) -> None:
        """Tell the audit log. Raises the first refusal."""
        for key, values in self.annotations.items():
            self.attrs.annotate(key, ", ".join(values))
        if self.failures:
            self.attrs.annotate(FAILURES, msgspec.json.encode(self.failures).decode())
        if self.denied:
            raise _refusal(self.attrs, *self.denied[0])


class ValidatingPolicies(Plugin):
    """The plug-in."""

    name = "ValidatingAdmissionPolicy"

    def __init__(self, reader: Reader, kinds: Kinds, authorizer: Authorizer) -> None:
        self._kinds = kinds
        self._authorizer = authorizer
        self._policies: Policies[Evaluator] = Policies(
            ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, reader, kinds, _compile
        )

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return hooks.handles(resource, operation)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        if not self._policies.any(attrs):
            return
        outcome, forms = _Outcome(attrs), Forms(self._kinds, attrs)
        async for rule, bound, target, params in self._policies.matching(attrs, outcome.problem):
            for each in params:
                found = await self._judge(rule, target, each, forms, attrs)
                if isinstance(found, str):
                    outcome.problem(rule, bound, f"failed to configure binding: {found}")
                    break
                outcome.take(rule, bound, found)
        outcome.finish()

    async def _judge(
        self, rule: Rule[Evaluator], target: Target, params: Any, forms: Forms, attrs: Attributes
    ) -> Judgement | str:
        """What a policy says, or why it cannot be asked. Raises NotFound for a namespace that is gone."""
        from kijabi.apiserver.admission.evaluation import Scope

        namespace = self._policies.namespace(attrs)
        try:
            form = await forms.get(target)
        except ApiError as error:
            return f"failed to convert object version: {error}"
        evaluator = rule.evaluator
        scope = Scope(form, attrs, self._authorizer, namespace=namespace, params=params, variables=evaluator.variables)
        return await scope.run(lambda: evaluator.judge(scope))


def _compile(policy: ValidatingAdmissionPolicy) -> Evaluator:
    # The expression language is loaded with the first policy that is bound.
    from kijabi.apiserver.admission.validatingevaluator import Evaluator

    return Evaluator(policy)


def _refusal(attrs: Attributes, text: str, reason: str) -> ApiError:
    reason = reason or "Invalid"
    refused = refuse(attrs, text, [{"message": text}])
    return from_reason(reason, refused.message, code=_CODES.get(reason, 422), details=refused.details)
