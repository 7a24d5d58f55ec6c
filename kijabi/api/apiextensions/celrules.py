"""The validation rules of a custom resource's schema (`x-kubernetes-validations`): compiled once, run on every write.

`validation.py` calls `validate` for each object that is otherwise valid, `defaultrules.py` for defaults;
`celcontext.py` compiles the same rules with a `Compiler` when a definition is written. Rules, texts and order are those
of k8s.io/apiextensions-apiserver `pkg/apiserver/schema/cel` (KEP-2876): a rule with `oldSelf` runs only where there is
an old value, the sum of the costs of all rules is bounded, and a rule that only repeats what an update left alone is
not held against it (KEP-4008).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kijabi.api import validation
from kijabi.api.apiextensions import fieldpath
from kijabi.api.apiextensions.ratcheting import Ratchet, correlate
from kijabi.api.apiextensions.structural import MISSING, Rule, Structural
from kijabi.api.apiextensions.valuevalidation import ERROR_LIMIT
from kijabi.api.cel import types
from kijabi.api.cel.costs import MAX_MESSAGE, OBJECT_BUDGET
from kijabi.api.cel.environment import Budget, Environment, Program
from kijabi.api.cel.errors import CelCompileError, CelError, CostExceeded
from kijabi.api.cel.evaluate import CelProgramError
from kijabi.api.cel.types import Declared
from kijabi.api.cel.values import NONE, Optional
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError

# What the type of `self` is called in errors. It must be no name that an expression could say, such as `self.spec`.
SELF_TYPE = "selfType"
_TOO_EXPENSIVE = "no further validation rules will be run due to call cost exceeds limit"
_OUT_OF_BUDGET = "running out of cost budget, no further validation rules will be run"
LITTLE = 20_000  # units of cost that are spent in some ten milliseconds


class TooMuch(Exception):
    """In a hurry: the rules cost more than LITTLE."""


class Meter:
    """What the rules of one object may still cost together. hurry: whether more than LITTLE ends in TooMuch."""

    __slots__ = ("exhausted", "hurry", "left")

    def __init__(self, left: int = OBJECT_BUDGET, *, hurry: bool = False) -> None:
        self.left = LITTLE if hurry else left
        self.hurry = hurry
        self.exhausted = False


class CompiledRule(NamedTuple):
    """A rule with its programs. program is None where the rule is empty or does not compile; error says why then.

    path: where errors are reported, below the value. message_error: why messageExpression does not compile.
    """

    rule: Rule
    program: Program | None = None
    error: str = ""
    message: Program | None = None
    message_error: str = ""
    uses_old_self: bool = False
    path: str = ""


class Compiler:
    """Compiles the rules of one schema node, whose values are of the declared type."""

    def __init__(self, schema: Structural, declared: Declared) -> None:
        self._schema = schema
        self._declared = declared
        self._plain: Environment | None = None
        self._optional: Environment | None = None

    def _environment(self, optional: bool) -> Environment:
        """self and oldSelf; optional: the latter may be absent, and rules ask whether it is."""
        declared = self._declared
        if optional:
            if self._optional is None:
                self._optional = Environment({"self": declared, "oldSelf": types.optional_of(declared)})
            return self._optional
        if self._plain is None:
            self._plain = Environment({"self": declared, "oldSelf": declared})
        return self._plain

    def compile(self, rule: Rule) -> CompiledRule:
        """The compiled rule; what is wrong with it is in it."""
        found = CompiledRule(rule)
        if not rule.rule.strip():
            return found
        environment = self._environment(bool(rule.optionalOldSelf))
        try:
            program = environment.compile(rule.rule, result=None)
        except CelProgramError as error:
            return found._replace(error=f"program instantiation failed: {error.message}")
        except CelCompileError as error:
            return found._replace(error=f"compilation failed: {error.message}")
        if program.result != types.BOOL:
            return found._replace(error="cel expression must evaluate to a bool")
        found = found._replace(program=program, uses_old_self="oldSelf" in program.variables)
        if rule.messageExpression:
            found = self._compile_message(found, environment)
        return found._replace(path=self._path(rule.fieldPath)) if rule.fieldPath else found

    def _compile_message(self, found: CompiledRule, environment: Environment) -> CompiledRule:
        try:
            message = environment.compile(found.rule.messageExpression, result=None)
        except CelProgramError as error:
            return found._replace(message_error=f"messageExpression instantiation failed: {error.message}")
        except CelCompileError as error:
            return found._replace(message_error=f"messageExpression compilation failed: {error.message}")
        if message.result != types.STRING:
            return found._replace(message_error="messageExpression must evaluate to a string")
        return found._replace(message=message)

    def _path(self, text: str) -> str:
        try:
            return fieldpath.resolve(text, self._schema)[1]
        except fieldpath.PathError:
            return ""  # refused when the definition was written; errors are then reported at the value


class _Tree:
    """The compiled rules of a node and of those below that have some."""

    __slots__ = ("additional", "error", "items", "properties", "rules", "schema")

    def __init__(self, schema: Structural) -> None:
        self.schema = schema
        self.rules: tuple[CompiledRule, ...] = ()
        self.error = ""
        self.items: _Tree | None = None
        self.additional: _Tree | None = None
        self.properties: dict[str, _Tree] = {}


def _tree(schema: Structural | None, declared: Declared | None) -> _Tree | None:
    if schema is None or not schema.rules_below:
        return None
    tree = _Tree(schema)
    if schema.rules and declared is None:
        tree.error = "failed to convert to declType for CEL validation rules"
    elif schema.rules and declared is not None:
        compiler = Compiler(schema, declared)
        tree.rules = tuple([compiler.compile(rule) for rule in schema.rules])
    element = None if declared is None else declared.element
    tree.items = _tree(schema.items, element)
    tree.additional = _tree(schema.additional, element)
    for name, child in schema.properties.items():
        if child.rules_below:
            below, hidden = member_type(declared, name, child)
            found = None if hidden else _tree(child, below)
            if found is not None:
                tree.properties[name] = found
    return tree


def member_type(declared: Declared | None, name: str, child: Structural) -> tuple[Declared | None, bool]:
    """The declared type of a member, and whether its rules are left out because expressions cannot see it."""
    escaped = types.escape(name)
    if escaped is None:
        below = types.from_schema(child.props, name=SELF_TYPE, root=child.embedded)
        return below, below is None
    field = declared.fields.get(escaped) if declared is not None and declared.fields is not None else None
    return (None, True) if field is None else (field.type, False)


class _Pair(NamedTuple):
    """A value and its old self, with the schema that correlated them."""

    schema: Structural
    new: Any
    old: Any


class _Run:
    """The rules of one object."""

    def __init__(self, meter: Meter, ratchet: Ratchet | None) -> None:
        self.meter = meter
        self.ratchet = ratchet or Ratchet()
        self.budget = Budget(meter.left)
        self.errors: list[FieldError] = []

    def blame(self, error: FieldError, *, unchanged: bool) -> None:
        """Note an error, unless it is of something that the update left alone."""
        if not unchanged:
            self.errors.append(error)
            if len(self.errors) >= ERROR_LIMIT:
                raise _Stopped


def validate(
    value: Any, old: Any, schema: Structural, meter: Meter, *, path: str = "", ratchet: Ratchet | None = None
) -> list[FieldError]:
    """Errors of all rules for a value; old is None if there is no old one. Raises TooMuch if the meter says so.

    ratchet: comparisons of the two; without it nothing is forgiven for being unchanged.
    """
    if schema.checks is None:
        root = not path or schema.embedded
        schema.checks = _tree(schema, types.from_schema(schema.props, name=SELF_TYPE, root=root))
    tree: _Tree | None = schema.checks
    if tree is None or value is None:
        return []
    run = _Run(meter, ratchet)
    pair = _Pair(schema, value, old) if ratchet is not None else None
    try:
        _validate(tree, value, old, path, pair, None, run)
    except _Stopped:
        meter.exhausted = True
    meter.left = run.budget.remaining
    return run.errors


class _Stopped(Exception):
    """No further rules are run."""


def _validate(tree: _Tree, value: Any, old: Any, path: str, pair: _Pair | None, above: _Pair | None, run: _Run) -> None:
    """pair: the value with its old self, where they could be correlated. above: the closest such pair around it."""
    if value is None:
        return
    if tree.error:
        detail = f"rule compiler initialization error: {tree.error}"
        run.errors.append(validation.invalid(path or "<nil>", tree.schema.type, detail))
    elif tree.rules:
        _expressions(tree, value, old, path, pair, above, run)
    if type(value) is list:
        if tree.items is not None:
            before = correlate(tree.schema, value, old)
            for index, item in enumerate(value):
                last = before[index]
                inner = None if pair is None else _item(pair, item, last)
                _validate(
                    tree.items, item, None if last is MISSING else last, f"{path}[{index}]", inner, pair or above, run
                )
    elif type(value) is dict:
        _members(tree, value, old, path, pair, above, run)


def _members(
    tree: _Tree, value: dict[str, Any], old: Any, path: str, pair: _Pair | None, above: _Pair | None, run: _Run
) -> None:
    before = old if type(old) is dict else {}
    if tree.additional is not None:
        for name, item in value.items():
            inner, around = _correlate(pair, above, name)
            _validate(tree.additional, item, before.get(name), f"{path}[{name}]", inner, around, run)
    for name, below in tree.properties.items():
        if name in value:
            inner, around = _correlate(pair, above, name)
            at = f"{path}.{name}" if path else name
            _validate(below, value[name], before.get(name), at, inner, around, run)


def _correlate(pair: _Pair | None, above: _Pair | None, name: str) -> tuple[_Pair | None, _Pair | None]:
    """The pair of a member, and the closest around it."""
    if pair is None:
        return None, above
    if above is None and name in ("apiVersion", "kind"):
        return None, None  # both are converted to the same version, so a change is not seen
    child = pair.schema.below(name)
    if child is None or type(pair.old) is not dict or name not in pair.old:
        return None, pair
    return _Pair(child, pair.new[name], pair.old[name]), pair


def _item(pair: _Pair, item: Any, old: Any) -> _Pair | None:
    items = pair.schema.items
    return None if items is None or old is MISSING or old is None else _Pair(items, item, old)


def _expressions(
    tree: _Tree, value: Any, old: Any, path: str, pair: _Pair | None, above: _Pair | None, run: _Run
) -> None:
    kind = "object" if tree.schema.embedded or not path else tree.schema.type
    at = path or "<nil>"
    if run.budget.remaining <= 0:
        if run.meter.hurry:
            raise TooMuch
        run.errors.append(validation.invalid(at, kind, f"validation failed due to {_OUT_OF_BUDGET}"))
        raise _Stopped
    # As upstream, oldSelf is there, for messages too, if any of the rules compares with it.
    compares = old is not None and any(compiled.uses_old_self for compiled in tree.rules)
    plain = {"self": value, "oldSelf": old} if compares else {"self": value}
    for compiled in tree.rules:
        rule = compiled.rule
        if compiled.error:
            run.errors.append(validation.invalid(at, kind, f"rule compile error: {compiled.error}"))
            continue
        if compiled.program is None or (compiled.uses_old_self and old is None and not rule.optionalOldSelf):
            continue
        bindings = plain
        if rule.optionalOldSelf:
            bindings = {"self": value, "oldSelf": NONE if old is None else Optional(old)}
        if _holds(compiled, bindings, at, kind, run):
            continue
        unchanged = not compiled.uses_old_self and _unchanged(pair, above, run)
        where = compiled.path if not path else f"{path}.{compiled.path}" if compiled.path else path
        detail = _detail(compiled, plain, where or "<nil>", kind, unchanged, run)
        shown = value if kind not in ("object", "array") else MISSING
        run.blame(_failed(where or "<nil>", shown, detail, rule.reason), unchanged=unchanged)


def _unchanged(pair: _Pair | None, above: _Pair | None, run: _Run) -> bool:
    nearest = pair or above
    return nearest is not None and run.ratchet.same(*nearest)


def _holds(compiled: CompiledRule, bindings: dict[str, Any], path: str, kind: str, run: _Run) -> bool:
    """Whether the rule is satisfied; an error counts as noted, and so as if it were."""
    text = (compiled.rule.message or compiled.rule.rule).strip()
    assert compiled.program is not None  # the caller looked
    try:
        return compiled.program.evaluate(bindings, run.budget) is True
    except CostExceeded as error:
        if run.meter.hurry:
            raise TooMuch from None
        detail = f"'{error.message}': {_TOO_EXPENSIVE} for rule: {text}"
        if error.budget:
            detail = f"validation failed due to {_OUT_OF_BUDGET}"
        run.errors.append(validation.invalid(path, kind, detail))
        raise _Stopped from None
    except CelError as error:
        detail = f"{error.message} evaluating rule: {text}"
        if error.message.startswith("no such overload"):
            mismatch = "call arguments did not match a supported operator, function or macro signature for rule"
            detail = f"'{error.message}': {mismatch}: {text}"
        run.errors.append(validation.invalid(path, kind, detail))
        return True


def _detail(compiled: CompiledRule, bindings: dict[str, Any], path: str, kind: str, unchanged: bool, run: _Run) -> str:
    """What is said of a rule that does not hold: messageExpression if it works, else message, else the rule."""
    rule = compiled.rule
    if compiled.message is not None:
        try:
            text = compiled.message.evaluate(bindings, run.budget)
        except CostExceeded as error:
            if run.meter.hurry:
                raise TooMuch from None
            problem = (
                f"messageExpression evaluation failed due to {_OUT_OF_BUDGET}"
                if error.budget
                else f"{_TOO_EXPENSIVE} for messageExpression: {quote(rule.messageExpression)}"
            )
            run.blame(validation.invalid(path, kind, problem), unchanged=unchanged)
            raise _Stopped from None
        except CelError:
            text = ""  # upstream logs it and falls back to the message
        text = text.strip() if isinstance(text, str) else ""
        if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE:
            return text
    return rule.message.strip() if rule.message else f"failed rule: {rule.rule.strip()}"


def _failed(path: str, value: Any, detail: str, reason: str | None) -> FieldError:
    """value is MISSING where errors do not show it."""
    if reason == "FieldValueForbidden":
        return validation.forbidden(path, detail)
    if reason == "FieldValueRequired":
        return validation.required(path, detail)
    if reason == "FieldValueDuplicate":
        return FieldError(path, reason, "Duplicate value") if value is MISSING else validation.duplicate(path, value)
    if value is MISSING:
        return FieldError(path, "FieldValueInvalid", f"Invalid value: {detail}")
    return validation.invalid(path, value, detail)
