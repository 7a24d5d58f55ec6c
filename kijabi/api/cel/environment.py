"""Compiles expressions and runs them: the one door to this package.

An `Environment` is made once per set of variables (the rules of a CRD, an admission policy) and compiles any number of
expressions; a `Program` is evaluated with a binding for each variable, as often as needed, at a cost that a `Budget`
counts down. `estimates.estimate_cost` says what a program may cost at worst before it has run.

    environment = Environment({"self": from_schema(schema)})
    program = environment.compile("self.replicas <= self.maxReplicas", result=BOOL)
    program.evaluate({"self": {"replicas": 1, "maxReplicas": 3}}, Budget(OBJECT_BUDGET))

Libraries and language options are those of Kubernetes 1.37 (k8s.io/apiserver `pkg/cel/environment`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from kijabi.api.cel import literals, types
from kijabi.api.cel.ast import Node
from kijabi.api.cel.checker import Checker
from kijabi.api.cel.costs import OBJECT_BUDGET, PER_CALL_LIMIT
from kijabi.api.cel.errors import EXCEEDED, CelError, CelTypeError, CostExceeded, Issues, Source
from kijabi.api.cel.evaluate import Planner
from kijabi.api.cel.frame import Frame, Run
from kijabi.api.cel.functions import NAMED, Function, Overload, gather
from kijabi.api.cel.macros import STANDARD, Macro
from kijabi.api.cel.overloads import (
    authorizer,
    collections,
    formats,
    lists,
    mutations,
    network,
    quantities,
    regexes,
    semvers,
    standard,
    strings,
    urls,
)  # fmt: skip
from kijabi.api.cel.parser import MAX_DEPTH, parse
from kijabi.api.cel.typed import read
from kijabi.api.cel.types import Declared, Type
from kijabi.api.cel.values import MISSING, Failed, Optional

Library = Sequence[Overload]
KUBERNETES: tuple[Library, ...] = (
    standard.LIBRARY, strings.LIBRARY, collections.LIBRARY, lists.LIBRARY, regexes.LIBRARY, urls.LIBRARY,
    quantities.LIBRARY, network.LIBRARY, formats.LIBRARY, semvers.LIBRARY, authorizer.LIBRARY,
)  # fmt: skip
# With `jsonpatch.escapeKey`, `Object{…}` and `JSONPatch{…}`, for MutatingAdmissionPolicy.
MUTATION: tuple[Library, ...] = (*KUBERNETES, mutations.LIBRARY)
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_TOO_DEEP = f"expression recursion limit exceeded: {MAX_DEPTH}"

_NAMED_TYPES: dict[str, Type] = {
    "bool": types.BOOL, "bytes": types.BYTES, "double": types.DOUBLE, "google.protobuf.Duration": types.DURATION,
    "int": types.INT, "list": types.LIST, "map": types.MAP, "null_type": types.NULL, "string": types.STRING,
    "google.protobuf.Timestamp": types.TIMESTAMP, "type": types.TYPE, "uint": types.UINT,
    "optional_type": types.optional_of(types.DYN), "net.IP": NAMED["IP"], "net.CIDR": NAMED["CIDR"],
}  # fmt: skip


class Budget:
    """What may still be spent, over several evaluations: of one object's rules, or of one policy."""

    __slots__ = ("remaining",)

    def __init__(self, limit: int = OBJECT_BUDGET) -> None:
        self.remaining = limit

    def spend(self, cost: int) -> None:
        """Count a cost down. CostExceeded, with `budget`, where less is left."""
        self.remaining -= cost
        if self.remaining < 0:
            raise CostExceeded(EXCEEDED, budget=True)


@cache
def _functions(libraries: tuple[Library, ...]) -> Mapping[str, Function]:
    return gather(libraries)


class Environment:
    """The names that expressions may use.

    variables: their types; the object types in them are known by their names. libraries: `KUBERNETES`, or `MUTATION`.
    macros: of `macros.py`.
    """

    def __init__(
        self,
        variables: Mapping[str, Type],
        *,
        libraries: tuple[Library, ...] = KUBERNETES,
        macros: Mapping[tuple[str, int, bool], Macro] = STANDARD,
    ) -> None:
        self.variables = dict(variables)
        self._macros = macros
        self.functions = _functions(libraries)
        self._mutates = any(library is mutations.LIBRARY for library in libraries)
        self._structs: dict[str, Declared] = {}
        for declared in self.variables.values():
            for inner in (declared, *declared.parameters):
                if isinstance(inner, Declared):
                    self._structs.update((one.name, one) for one in inner.structs())

    def compile(self, expression: str, *, result: Type | tuple[Type, ...] | None = None) -> Program:
        """Parse, check and plan an expression.

        result: the type, or the types, that it must have. CelSyntaxError and CelTypeError, both CelCompileError, carry
        cel-go's text; for a wrong result it is Kubernetes' (`must evaluate to bool but got string`); CelProgramError
        for a constant that cannot work.
        """
        issues = Issues(Source(expression))
        tree = parse(expression, self._macros, issues)
        checker = Checker(self, issues)
        try:
            found = checker.run(tree)
            if not len(issues):
                literals.check(tree, issues)
            if len(issues):
                raise CelTypeError(issues.text())
            wanted = (result,) if isinstance(result, Type) else result
            if wanted and found not in wanted:
                names = " ".join(map(types.full_name, wanted))
                names = names if len(wanted) == 1 else f"one of [{names}]"
                raise CelTypeError(f"must evaluate to {names} but got {types.full_name(found)}")
            return Program(self, expression, tree, found, frozenset(checker.names))
        except RecursionError:
            raise CelTypeError(f"ERROR: <input>:-1:0: {_TOO_DEEP}") from None

    # What the checker asks

    def variable(self, name: str) -> Type | None:
        """The type of a variable."""
        return self.variables.get(name)

    def named_type(self, name: str) -> Type | None:
        """The type that a name stands for."""
        found = _NAMED_TYPES.get(name)
        if found is None and self.has_struct(name):
            return types.struct(name)
        return found

    def has_struct(self, name: str) -> bool:
        """Whether there is an object type of this name."""
        return name in self._structs or (self._mutates and mutations.has_struct(name))

    def field(self, struct: str, name: str) -> Type | None:
        """The type of an object's field."""
        declared = self._structs.get(struct)
        if declared is None:
            return mutations.field(struct, name) if self._mutates else None
        found = declared.field(name)
        return None if found is None else found.type


class Program:
    """A compiled expression. result: its type; variables: the names of variables that it refers to."""

    def __init__(
        self, environment: Environment, text: str, tree: Node, result: Type, variables: frozenset[str]
    ) -> None:
        self.text = text
        self.tree = tree
        self.result = result
        self.variables = variables
        self.environment = environment
        slots = {name: index for index, name in enumerate(sorted(variables))}
        planner = Planner(environment.functions, slots, mutations.construct)
        self._run: Run = planner.plan(tree)
        self._size = planner.size
        self._inputs = [(slots[name], name, environment.variables[name]) for name in slots]

    @property
    def uses_old_self(self) -> bool:
        """Whether it compares with the stored value: a transition rule."""
        return "oldSelf" in self.variables

    def evaluate(self, bindings: Mapping[str, Any], budget: Budget, *, limit: int = PER_CALL_LIMIT) -> Any:
        """The value of the expression.

        bindings: JSON values (`{"self": {…}}`), read as the variables' types say; an `Optional` for an optional one;
        what a library or the caller brings for the others. Its cost is taken from the budget also when it fails.
        limit: what it may cost by itself. CelError: the data made it fail. CostExceeded: this expression's limit, or
        with `.budget` the budget.
        """
        slots: list[Any] = [None] * self._size
        frame = Frame(slots, limit)
        try:
            for slot, name, declared in self._inputs:
                if name not in bindings:
                    raise CelError(f"no such attribute(s): {name}")
                slots[slot] = _bound(bindings[name], declared)
            value = self._run(frame)
            frame.check()
        except RecursionError:
            budget.spend(frame.cost)
            raise CelError(_TOO_DEEP) from None
        except (CelError, CostExceeded):
            budget.spend(frame.cost)
            raise
        except _UNFORESEEN as error:  # upstream answers a panic in a function in the same way
            budget.spend(frame.cost)
            raise CelError(f"internal error: {error}") from error
        budget.spend(frame.cost)
        return value


def _bound(value: Any, declared: Type) -> Any:
    """A binding as a value of its variable's type; one that its schema cannot read fails where it is used."""
    if isinstance(declared, Declared):
        try:
            return read(value, declared)
        except CelError as error:
            return Failed(error)
    if isinstance(value, Optional) and value.value is not MISSING and declared.parameters:
        return Optional(_bound(value.value, declared.parameters[0]))
    return value
