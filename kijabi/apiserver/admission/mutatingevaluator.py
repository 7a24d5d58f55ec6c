"""A compiled MutatingAdmissionPolicy, and what it makes of an object.

`mutatingpolicy.py` makes one of each policy when it is bound, so the expression language is loaded with the first one,
and takes the changed documents. An apply configuration is merged in as server-side apply merges (`api/apply`), a JSON
patch is applied; an object is never changed in place. Nothing here waits. Source: k8s.io/apiserver
`pkg/admission/plugin/policy/mutating`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kijabi.api import patch
from kijabi.api.admissionregistration.expressions import APPLY_RESULT, PATCH_RESULT, Compiler
from kijabi.api.admissionregistration.mutatingadmissionpolicy import MutatingAdmissionPolicy
from kijabi.api.apply import typed
from kijabi.api.apply.schema import Schema
from kijabi.api.cel.costs import OBJECT_BUDGET
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.overloads import mutations
from kijabi.api.cel.values import MISSING
from kijabi.apiserver.admission.conditions import Conditions
from kijabi.apiserver.admission.evaluation import Compiled, EvaluationError, Scope
from kijabi.apiserver.admission.validatingevaluator import declare, program
from kijabi.base.errors import ApiError

Document = dict[str, Any]


class Change:
    """One mutation of a policy."""

    def __init__(self, expression: str, compiled: Compiled, *, applies: bool) -> None:
        self._expression = expression
        self._program = compiled
        self._applies = applies

    def make(self, scope: Scope, document: Document, schema: Schema) -> Document:
        """The changed document. Raises EvaluationError with upstream's text."""
        value = scope.batch(OBJECT_BUDGET).evaluate(self._program, self._expression)
        return _applied(document, value, schema) if self._applies else _patched(document, value)


class Evaluator:
    """A compiled policy."""

    def __init__(self, policy: MutatingAdmissionPolicy) -> None:
        spec = policy.spec
        compiler = Compiler(params=spec.paramKind is not None, composed=True)
        declare(compiler, spec.variables)
        self.variables = compiler.programs
        self._conditions = Conditions(spec.matchConditions, spec.failurePolicy, compiler)
        self.changes: list[Change] = []
        for each in spec.mutations:
            applies = each.patchType == "ApplyConfiguration"
            found = each.applyConfiguration if applies else each.jsonPatch
            if found is not None:
                wanted = APPLY_RESULT if applies else PATCH_RESULT
                compiled = program(compiler, found.expression, wanted, patches=True)
                self.changes.append(Change(found.expression, compiled, applies=applies))

    def wanted(self, scope: Scope) -> bool:
        """Whether its match conditions hold. Raises ConditionError."""
        return self._conditions.match(scope)


def _applied(document: Document, value: Any, schema: Schema) -> Document:
    """A document with an apply configuration merged in."""
    problems = mutations.check_names(value)
    if problems:
        raise EvaluationError("type mismatch: " + "\n".join(problems))
    try:
        wanted = mutations.to_json(value)
    except CelError as problem:
        raise EvaluationError(f"invalid return type: {problem.message}") from None
    wanted = {**wanted, "apiVersion": document["apiVersion"], "kind": document["kind"]}
    lead = "error applying patch"
    try:
        typed.check(schema, wanted)
    except typed.Mismatch as problem:
        raise EvaluationError(f"{lead}: failed to convert patch object to typed object: {problem}") from None
    atomic = list(_atomics(schema, wanted, ""))
    if atomic:
        text = f"may not mutate atomic arrays, maps or structs: {', '.join(atomic)}"
        raise EvaluationError(f"{lead}: invalid ApplyConfiguration: {text}")
    try:
        merged: Document = typed.merge(schema, document, wanted)
    except typed.Mismatch as problem:
        raise EvaluationError(f"{lead}: failed to merge patch: {problem}") from None
    return merged


def _atomics(schema: Schema, value: Any, path: str) -> Iterator[str]:
    """What a configuration would replace as a whole, and so take away what it does not mention."""
    if isinstance(value, dict) and schema.map is not None:
        if schema.map.atomic:
            yield path
        for name, inner in value.items():
            below = schema.map.fields.get(name)
            if below is not None:
                yield from _atomics(below, inner, f"{path}.{name}")
    elif isinstance(value, list) and schema.list is not None:
        if schema.list.atomic:
            yield path
        for index, inner in enumerate(value):
            yield from _atomics(schema.list.item, inner, f"{path}[{index}]")


def _patched(document: Document, value: Any) -> Document:
    """A document with a list of JSON patch operations applied; a failed test leaves it as it is."""
    operations = [_operation(each) for each in value]
    try:
        found = patch.json_patch(document, operations)
    except patch.Inapplicable as problem:
        if problem.tested:
            return document
        raise EvaluationError(f"JSON Patch: {problem.problem}") from None
    except ApiError as problem:
        raise EvaluationError(f"JSON Patch: {problem.message}") from None
    if not isinstance(found, dict):
        raise EvaluationError("JSON Patch: the result is no object")
    return found


def _operation(value: Any) -> Document:
    if not isinstance(value, mutations.JsonPatch):
        raise EvaluationError("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch")
    found: Document = {"op": value.op, "path": value.path}
    if value.from_:
        found["from"] = value.from_
    if value.value is not MISSING:
        if isinstance(value.value, mutations.ObjectPatch):
            problems = mutations.check_names(value.value, value.value.name)
            if problems:
                raise EvaluationError("type mismatch: " + "\n".join(problems))
        try:
            found["value"] = mutations.to_json(value.value)
        except CelError as problem:
            lead = "JSONPath valueExpression evaluated to a type that could not marshal to JSON"
            raise EvaluationError(f"{lead}: {problem.message}") from None
    return found
