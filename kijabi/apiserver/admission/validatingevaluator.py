"""A compiled ValidatingAdmissionPolicy, and what it says of a write.

`validatingpolicy.py` makes one of each policy when it is bound, so the expression language is loaded with the first
one, and does what the judgement says. Nothing here waits. Source: k8s.io/apiserver
`pkg/admission/plugin/policy/validating/validator.go`. Other than there a messageExpression costs nothing while its rule
is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from kijabi.api.admissionregistration.expressions import BOOL, NULL, STRING, Compiler, ExpressionError
from kijabi.api.admissionregistration.policyrules import Variable
from kijabi.api.admissionregistration.validatingadmissionpolicy import ValidatingAdmissionPolicy, Validation
from kijabi.api.cel.costs import OBJECT_BUDGET
from kijabi.api.cel.types import Type
from kijabi.apiserver.admission.conditions import ConditionError, Conditions
from kijabi.apiserver.admission.evaluation import Batch, Compiled, EvaluationError, OutOfBudget, Scope

MAX_MESSAGE = 5 * 1024  # bytes of a text that an expression makes; longer ones are not shown
MAX_ANNOTATION = 10 * 1024  # bytes of an audit annotation's value


class Decision(NamedTuple):
    """What a rule says: an empty message for a write that keeps it."""

    message: str = ""
    reason: str = ""


class Judgement(NamedTuple):
    """What a policy says of a write, with one parameter. annotations: key and value; failures: of those, in words."""

    decisions: tuple[Decision, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()


class Evaluator:
    """A compiled policy."""

    def __init__(self, policy: ValidatingAdmissionPolicy) -> None:
        spec = policy.spec
        compiler = Compiler(params=spec.paramKind is not None, composed=True)
        declare(compiler, spec.variables)
        self.variables = compiler.programs
        self._ignores = spec.failurePolicy == "Ignore"
        self._spec = spec
        self._conditions = Conditions(spec.matchConditions, spec.failurePolicy, compiler)
        self._rules = [program(compiler, each.expression, BOOL) for each in spec.validations]
        self._messages = [
            program(compiler, each.messageExpression, STRING, authorizer=False) if each.messageExpression else None
            for each in spec.validations
        ]
        self._annotations = [program(compiler, each.valueExpression, STRING, NULL) for each in spec.auditAnnotations]

    def judge(self, scope: Scope) -> Judgement:
        """What the policy says. What goes wrong counts as a refusal, unless the failurePolicy is Ignore."""
        try:
            if not self._conditions.match(scope):
                return Judgement()
        except ConditionError as problem:
            return Judgement(self._failed(str(problem)))
        batch = scope.batch(OBJECT_BUDGET)
        try:
            decisions = tuple(
                self._decide(batch, validation, rule, message)
                for validation, rule, message in zip(self._spec.validations, self._rules, self._messages, strict=True)
            )
            return self._annotate(scope.batch(OBJECT_BUDGET), decisions)
        except OutOfBudget as problem:
            return Judgement(self._failed(str(problem)))

    def _failed(self, text: str) -> tuple[Decision, ...]:
        return () if self._ignores else (Decision(text),)

    def _decide(self, batch: Batch, validation: Validation, rule: Compiled, message: Compiled | None) -> Decision:
        try:
            if batch.evaluate(rule, validation.expression) is True:
                return Decision()
        except OutOfBudget:
            raise
        except EvaluationError as problem:
            return Decision() if self._ignores else Decision(str(problem))
        text = "" if message is None else _message(batch, message, validation.messageExpression)
        text = text or validation.message.strip() or f"failed expression: {validation.expression.strip()}"
        return Decision(text, validation.reason or "Invalid")

    def _annotate(self, batch: Batch, decisions: tuple[Decision, ...]) -> Judgement:
        annotations: list[tuple[str, str]] = []
        failures: list[str] = []
        for annotation, found in zip(self._spec.auditAnnotations, self._annotations, strict=True):
            try:
                value = batch.evaluate(found, annotation.valueExpression)
            except OutOfBudget:
                raise
            except EvaluationError as problem:
                if not self._ignores:
                    failures.append(str(problem))
                continue
            text = value.strip() if isinstance(value, str) else ""
            if text:
                annotations.append((annotation.key, _cut(text, MAX_ANNOTATION)))
        return Judgement(decisions, tuple(annotations), tuple(failures))


def _message(batch: Batch, message: Compiled, expression: str) -> str:
    """What a messageExpression says; an empty text if it says nothing that can be shown on one line."""
    try:
        found = batch.evaluate(message, expression)
    except OutOfBudget as problem:
        return f"failed messageExpression: {problem}"
    except EvaluationError:
        return ""  # the writer gets the policy's other words, as upstream's do
    text = found.strip() if isinstance(found, str) else ""
    return "" if "\n" in text or len(text.encode()) > MAX_MESSAGE else text


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")


def program(
    compiler: Compiler, expression: str, *returns: Type, authorizer: bool = True, patches: bool = False
) -> Compiled:
    """An expression compiled, or why it cannot be, which is told when it should run."""
    try:
        return compiler.compile(expression, returns, authorizer=authorizer, patches=patches)
    except ExpressionError as problem:
        return problem


def declare(compiler: Compiler, variables: Iterable[Variable]) -> None:
    """Add the variables to a compiler. One that does not compile is an error of whoever reads it."""
    for variable in variables:
        with suppress(ExpressionError):
            compiler.declare(variable.name, variable.expression)
