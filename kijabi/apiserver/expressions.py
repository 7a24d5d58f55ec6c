"""The CEL expressions of configuration files: compiled when the file is read, evaluated for each request or token.

`authz/matching.py` and `authn/claims.py` name the variables. Who writes such a file is trusted, what the expressions
look at is not: much work is done beside the loop. Source: k8s.io/apiserver `pkg/{authentication,authorization}/cel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kijabi.api.cel.costs import PER_CALL_LIMIT
from kijabi.api.cel.environment import Budget, Environment, Program
from kijabi.api.cel.errors import CelCompileError, CelError, CostExceeded
from kijabi.api.cel.types import Type
from kijabi.api.resource import FieldError
from kijabi.api.validation import invalid
from kijabi.base.tasks import aside

LITTLE = 20_000  # units of cost that are computed on the loop, some twenty milliseconds


class EvaluationError(Exception):
    """An expression has no value; the text is upstream's."""


def compiled(environment: Environment, expression: str, path: str) -> tuple[Program | None, list[FieldError]]:
    """The program of an expression, or what is wrong with it."""
    try:
        return environment.compile(expression), []
    except CelCompileError as problem:
        return None, [invalid(path, expression, f"compilation failed: {problem.message}")]


def wrong_result(program: Program, wanted: Type, path: str, *, told: bool = False) -> list[FieldError]:
    """An error unless a program's values are of a type. told: whether the text names the type that they have."""
    if program.result == wanted:
        return []
    detail = f"must evaluate to {wanted}" + (f" but got {program.result}" if told else "")
    return [invalid(path, program.text, detail)]


async def evaluate(program: Program, bindings: Mapping[str, Any]) -> Any:
    """The value of an expression. Raises EvaluationError."""
    try:
        try:
            return program.evaluate(bindings, Budget(PER_CALL_LIMIT), limit=LITTLE)
        except CostExceeded:
            return await aside(lambda: program.evaluate(bindings, Budget(PER_CALL_LIMIT)))
    except (CelError, CostExceeded) as problem:
        raise EvaluationError(f"expression '{program.text}' resulted in error: {problem.message}") from None
