"""Match conditions: expressions that must hold before a webhook or policy is asked at all.

`hooks.py` and the policies ask. A condition that is false ends it; one that fails leaves it to the failurePolicy.
Source: k8s.io/apiserver `pkg/admission/plugin/webhook/matchconditions`.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.admissionregistration.expressions import BOOL, Compiler, ExpressionError
from kijabi.api.admissionregistration.policyrules import MatchCondition
from kijabi.api.cel.costs import MATCH_BUDGET
from kijabi.apiserver.admission.evaluation import Compiled, EvaluationError, OutOfBudget, Scope


class ConditionError(Exception):
    """Conditions could not be evaluated, and the failurePolicy is Fail; the text is upstream's."""


class Conditions:
    """The compiled conditions of one webhook or policy. What does not compile fails when it is asked."""

    def __init__(self, conditions: Sequence[MatchCondition], failure: str | None, compiler: Compiler) -> None:
        self._ignores = failure == "Ignore"
        self._programs = [(each.expression, compiled(compiler, each.expression)) for each in conditions]

    def match(self, scope: Scope) -> bool:
        """Whether all hold; one that is false outweighs errors. Raises ConditionError."""
        batch = scope.batch(MATCH_BUDGET)
        errors: list[str] = []
        for expression, program in self._programs:
            try:
                if batch.evaluate(program, expression) is False:
                    return False
            except OutOfBudget as error:
                errors = [str(error)]
                break
            except EvaluationError as error:
                errors.append(str(error))
        if not errors:
            return True
        if self._ignores:
            return False
        errors = list(dict.fromkeys(errors))
        raise ConditionError(errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]")


def compiled(compiler: Compiler, expression: str) -> Compiled:
    """The program of a condition, or why there is none."""
    try:
        return compiler.compile(expression, (BOOL,))
    except ExpressionError as problem:
        return problem
