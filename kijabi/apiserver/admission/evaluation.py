"""Evaluates the expressions of webhooks and policies for one write: their variables, and what their errors say.

`conditions.py` and the policies hand in programs of `api/admissionregistration/expressions.py`. Nothing is waited for:
the objects are at hand, and permissions are decided from memory. What turns out to be much work is done beside the loop
(`Scope.run`). Source: k8s.io/apiserver `pkg/admission/plugin/cel`
(activation.go, composition.go).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from kijabi.api import codec
from kijabi.api.admissionregistration.expressions import ExpressionError
from kijabi.api.cel.costs import PER_CALL_LIMIT
from kijabi.api.cel.environment import Budget, Program
from kijabi.api.cel.errors import CelError, CostExceeded
from kijabi.api.cel.overloads import authorizer as permissions
from kijabi.api.cel.values import MISSING, Mapper
from kijabi.api.core.namespace import Namespace
from kijabi.api.gotext import quote
from kijabi.apiserver.admission import review
from kijabi.apiserver.admission.forms import Form
from kijabi.apiserver.attributes import Attributes, Authorizer, Decision, RequestInfo, UserInfo
from kijabi.base.tasks import aside

T = TypeVar("T")

MAX_QUESTIONS = 100  # permissions that somebody elsewhere is asked for, for one write and one policy
LITTLE = 20_000  # units of cost that are computed on the loop, some twenty milliseconds; what costs more, beside it
_HIDDEN = ("managedFields", "ownerReferences", "selfLink")

Compiled = Program | ExpressionError


class EvaluationError(Exception):
    """An expression has no value; the text is upstream's."""


class OutOfBudget(EvaluationError):
    """Too much was computed: nothing more will be."""

    def __init__(self) -> None:
        super().__init__("validation failed due to running out of cost budget, no further validation rules will be run")


class _TooMuch(Exception):
    """More than may be computed on the loop."""


class _Unanswered(Exception):
    """A webhook must be asked for a permission; with its answer the expressions are evaluated anew."""

    def __init__(self, question: permissions.Question, answer: Callable[[], Coroutine[Any, Any, Decision]]) -> None:
        super().__init__()
        self.question = question
        self.answer = answer


class Scope:
    """The variables of one write for one webhook or policy. params: the parameter object, as JSON values."""

    little = True  # whether only a little may be computed

    def __init__(
        self,
        form: Form,
        attrs: Attributes,
        authorizer: Authorizer,
        *,
        namespace: Namespace | None = None,
        params: Any = None,
        variables: Mapping[str, Compiled] | None = None,
    ) -> None:
        self._answers: dict[permissions.Question, permissions.Decision] = {}
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._variables = variables or {}
        self._bindings = _Bindings({
            "object": lambda: form.document,
            "oldObject": lambda: form.old_document,
            "request": lambda: review.request(attrs, form.target),
            "namespaceObject": lambda: _shown(namespace),
            "params": lambda: params,
            "authorizer": lambda: permissions.Authorizer(lambda asked: self._ask(authorizer, attrs.user, asked)),
            "authorizer.requestResource": lambda: permissions.ResourceCheck(
                self._bindings["authorizer"], attrs.resource.group, attrs.resource.plural, attrs.subresource,
                attrs.namespace, attrs.name,
            ),
        })  # fmt: skip

    def batch(self, budget: int) -> Batch:
        """A run of expressions that share their variables' values and a budget."""
        return Batch(self._bindings, self._variables, LITTLE if self.little else budget, self.little)

    async def run(self, work: Callable[[], T]) -> T:
        """The result of `work()`, which evaluates expressions of this scope.

        It begins here; if it turns out to be much, it is begun anew in a thread, and other requests do not notice. So
        it is for each permission that only a webhook knows, when its answer has come.
        """
        for _ in range(MAX_QUESTIONS):
            try:
                try:
                    return work()
                except _TooMuch:
                    self.little = False
                    return await aside(work)
            except _Unanswered as asked:
                found = await asked.answer()
                self._answers[asked.question] = permissions.Decision(found.allowed, found.reason)
        raise OutOfBudget

    def _ask(self, authorizer: Authorizer, user: UserInfo, question: permissions.Question) -> permissions.Decision:
        """Whether the user, or a service account, may do a thing. What is known belongs to the loop's thread."""
        known = self._answers.get(question)
        if known is not None:
            return known
        if question.account is not None:
            space, name = question.account
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{space}")
            user = UserInfo(f"system:serviceaccount:{space}:{name}", groups=groups)
        wanted = RequestInfo(
            verb=question.verb, path=question.path, is_resource=not question.path, group=question.group, version="*",
            resource=question.resource, subresource=question.subresource, namespace=question.namespace,
            name=question.name, field_selector=question.field_selector, label_selector=question.label_selector,
        )  # fmt: skip

        async def answer() -> Decision:
            return await authorizer.authorize(user, wanted)

        if threading.get_ident() == self._thread:
            found = at_once(answer())
        else:
            found = asyncio.run_coroutine_threadsafe(_now(answer), self._loop).result()
        if found is None:
            raise _Unanswered(question, answer)
        return permissions.Decision(found.allowed, found.reason)


async def _now(answer: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    return at_once(answer())


class _Bindings(Mapping[str, Any]):
    """Values that are made when an expression first reads them, for most read few. others: those already there."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]], others: Mapping[str, Any] | None = None) -> None:
        self._makers = makers
        self._others = others if others is not None else {}
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._makers:
            return self._others[name]
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers or name in self._others

    def __iter__(self) -> Iterator[str]:
        yield from self._makers
        yield from self._others

    def __len__(self) -> int:
        return len(self._makers) + len(self._others)


class Batch:
    """Expressions that are evaluated together."""

    def __init__(
        self, bindings: Mapping[str, Any], variables: Mapping[str, Compiled], budget: int, little: bool
    ) -> None:
        self._budget = Budget(budget)
        self._little = little
        self._bindings = _Bindings({"variables": lambda: found}, bindings)
        found = _Variables(variables, self._bindings, self._budget, little)

    def evaluate(self, program: Compiled, expression: str) -> Any:
        """The value of an expression. Raises EvaluationError, OutOfBudget."""
        if isinstance(program, ExpressionError):
            raise EvaluationError(f"compilation error: {program}")
        try:
            limit = LITTLE if self._little else PER_CALL_LIMIT
            return program.evaluate(self._bindings, self._budget, limit=limit)
        except (CelError, CostExceeded) as problem:
            if isinstance(problem, CostExceeded):
                if self._little:
                    raise _TooMuch from None
                if problem.budget:
                    raise OutOfBudget from None
            raise EvaluationError(f"expression '{expression}' resulted in error: {problem.message}") from None


class _Variables(Mapper):
    """The variables of a policy, each computed when an expression first reads it."""

    __slots__ = ("_bindings", "_budget", "_known", "_little", "_programs")

    def __init__(
        self, programs: Mapping[str, Compiled], bindings: Mapping[str, Any], budget: Budget, little: bool
    ) -> None:
        self._little = little
        self._programs = programs
        self._bindings = bindings
        self._budget = budget
        self._known: dict[str, Any] = {}

    def keys(self) -> Iterator[Any]:
        """See Mapper."""
        return iter(self._programs)

    def find(self, key: Any) -> Any:
        """See Mapper."""
        if key not in self._known:
            self._known[key] = self._compute(key)
        found = self._known[key]
        if isinstance(found, CelError):
            raise found
        return found

    def _compute(self, name: Any) -> Any:
        program = self._programs.get(name)
        if program is None:
            return MISSING
        if isinstance(program, ExpressionError):
            return CelError(f"composited variable {quote(name)} fails to compile: {program}")
        try:
            limit = LITTLE if self._little else PER_CALL_LIMIT
            return program.evaluate(self._bindings, self._budget, limit=limit)
        except CostExceeded as problem:
            if problem.budget or self._little:
                raise
            return CelError(f"composited variable {quote(name)} fails to evaluate: {problem.message}")
        except CelError as problem:
            return CelError(f"composited variable {quote(name)} fails to evaluate: {problem.message}")


def _shown(namespace: Namespace | None) -> dict[str, Any] | None:
    """What expressions may see of a namespace."""
    if namespace is None:
        return None
    found = codec.to_builtins(namespace)
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _HIDDEN}
    return {"metadata": metadata, "spec": found.get("spec", {}), "status": found.get("status", {})}


def at_once(work: Coroutine[Any, Any, T]) -> T | None:
    """The result of a coroutine, None if it would have to wait: authorisers decide from the watch caches, mostly."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    return None
