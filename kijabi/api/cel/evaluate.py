"""Turns a checked tree into closures: one call each, with the values in the slots of a frame and the cost counted.

Takes the checker's tree, gives what `environment.Program` runs. A variable is a slot; a chain of fields and indexes is
one closure (`attributes.py`); calls whose overload is known go straight to it. Errors are exceptions, which `&&`, `||`
and comprehensions absorb; `CostExceeded` passes through all of them. Costs are counted where cel-go counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Any

from kijabi.api import goregex
from kijabi.api.cel import attributes, runs
from kijabi.api.cel.ast import Call, Fold, Ident, ListNode, Literal, MapNode, Node, Select, StructNode
from kijabi.api.cel.costs import LIST_COST, MAP_COST, REGEX_FACTOR, STRING_FACTOR, STRUCT_COST, cost_of, match_cost
from kijabi.api.cel.errors import EXCEEDED, CelCompileError, CelError, CostExceeded
from kijabi.api.cel.frame import Frame, Later, Run
from kijabi.api.cel.functions import Function, Impl
from kijabi.api.cel.overloads import regexes
from kijabi.api.cel.overloads.standard import OPERANDS
from kijabi.api.cel.runs import always, bound, dynamic, fixed, junction, put
from kijabi.api.cel.types import Type, is_dyn
from kijabi.api.cel.values import (
    MISSING,
    PLAIN,
    Failed,
    Growing,
    GrowingMap,
    Optional,
    equal,
    is_list,
    is_map,
    map_key,
    shown,
    size_of,
    type_of,
)  # fmt: skip

Construct = Callable[[str, dict[str, Any]], Any]
_CONVERSIONS = frozenset(("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"))
_KNOWN = 64  # combinations of types that a call remembers
_PATTERNS = frozenset(("matches", "find", "findAll"))


class CelProgramError(CelCompileError):
    """The types fit, but a constant in the expression cannot work, such as `int('x')`."""


class Planner:
    """Makes the closures of one tree. slots: the number of each global variable; more are added for local ones."""

    def __init__(self, functions: Mapping[str, Function], slots: Mapping[str, int], construct: Construct) -> None:
        self.functions = functions
        self.size = len(slots)
        self.construct = construct
        self._globals = slots
        self._locals: list[tuple[str, int]] = []

    def plan(self, node: Node) -> Run:
        """What evaluates a node."""
        return _RULES[node.__class__](self, node)

    # Names and constants

    def slot(self, name: str) -> int:
        """Where a variable stands."""
        if not name.startswith("."):
            for local, slot in reversed(self._locals):
                if local == name:
                    return slot
        return self._globals[name.removeprefix(".")]

    def read(self, name: str) -> Run:
        """Reads a variable, without its cost."""
        slot = self.slot(name)

        def run(frame: Frame) -> Any:
            value = frame.slots[slot]
            if value.__class__ is Failed:
                raise value.error
            if value.__class__ is Later:
                frame.slots[slot] = Failed(CelError("operation interrupted"))
                try:
                    value = value.run(frame)
                except CelError as error:
                    frame.slots[slot] = Failed(error)
                    raise
                frame.slots[slot] = value
            return value

        return run

    def constant(self, node: Node) -> Any:
        """The value of a node that is known before anything runs, else `_UNKNOWN`."""
        match node:
            case Literal():
                return node.value
            case Ident(constant=Type()):
                return node.constant
            case Select(ident=Ident(constant=Type())):
                return node.ident.constant if node.ident is not None else _UNKNOWN
            case ListNode():
                values = [self.constant(element) for element in node.elements]
                return _UNKNOWN if node.optional or any(one is _UNKNOWN for one in values) else values
            case MapNode():
                return self._constant_map(node)
            case Call(function=name, args=[only], target=None) if name in _CONVERSIONS and node.overloads:
                value = self.constant(only)
                if value is _UNKNOWN:
                    return _UNKNOWN
                try:
                    return self.callable(node)[0](value)
                except CelError as error:
                    raise CelProgramError(error.message) from None
            case Call(function="@in", args=[_, within], overloads=("in_list",)) if self.constant(within) == []:
                return False
        return _UNKNOWN

    def _constant_map(self, node: MapNode) -> Any:
        found: dict[Any, Any] = {}
        for entry in node.entries:
            key, value = self.constant(entry.key), self.constant(entry.value)
            if entry.optional or key is _UNKNOWN or value is _UNKNOWN or is_list(key) or is_map(key):
                return _UNKNOWN
            found[map_key(key)] = value
        return found

    def _literal(self, node: Literal) -> Run:
        return always(node.value)

    def _ident(self, node: Ident) -> Run:
        if node.constant is not None:
            return always(node.constant)
        read = self.read(node.name)

        def run(frame: Frame) -> Any:
            frame.cost += 1
            return read(frame)

        return run

    def _select(self, node: Select) -> Run:
        if node.ident is not None:
            return self._ident(node.ident)
        return attributes.plan(self, node)

    # Calls

    def _call(self, node: Call) -> Run:
        known = self.constant(node)
        if known is not _UNKNOWN:
            return always(known)
        special = _SPECIAL.get(node.function)
        if special is not None:
            return special(self, node)
        nodes = [node.target, *node.args] if node.target is not None else node.args
        if node.function in _PATTERNS and len(nodes) > 1 and isinstance(pattern := self.constant(nodes[1]), str):
            try:
                compiled = goregex.compile(pattern)
            except goregex.RegexError as error:
                raise CelProgramError(str(error)) from None
            if node.function in regexes.FINDING:
                find = regexes.FINDING[node.function]
                return dynamic([self.plan(one) for one in nodes], find, find, match_cost)
            if node.function == "matches":
                return _matching(self.plan(nodes[0]), compiled, ceil(len(pattern) * REGEX_FACTOR))
        args = [self.plan(one) for one in nodes]
        call, slow = self.callable(node, nodes)
        cost = cost_of(node.function, node.overloads)
        if node.function == "_+_" and len(node.overloads) > 1:
            return runs.sum_of_any(args[0], args[1], call)
        if not isinstance(cost, int):
            return dynamic(args, call, slow, cost)
        return fixed(args, call, slow, cost)

    def callable(self, node: Call, nodes: Iterable[Node] | None = None) -> tuple[Impl, Impl]:
        """What computes a call: its overload where there is one and the types are sure, else by the values' types.

        The second is what computes it where an argument is null, which lists and maps of a schema may hold.
        """
        function = self.functions[node.function]
        nodes = node.args if nodes is None else nodes
        slow = self._by_values(node, function)
        if len(node.overloads) == 1:
            overload = function.by_id[node.overloads[0]]
            sure = not overload.guarded or not any(
                _unsure(one.type, wanted) for one, wanted in zip(nodes, overload.arguments, strict=True)
            )
            if sure and overload.call is not None:
                return overload.call, slow
        return slow, slow

    def _by_values(self, node: Call, function: Function) -> Callable[..., Any]:
        """What chooses the overload by the values, when they are there."""
        only = function.by_id[node.overloads[0]] if len(node.overloads) == 1 else None
        operands = OPERANDS.get(function.name)

        known: dict[tuple[type, ...], Callable[..., Any]] = {}

        def dispatch(*args: Any) -> Any:
            kinds = tuple([value.__class__ for value in args])
            call = known.get(kinds)
            if call is not None:
                return call(*args)
            if len(known) < _KNOWN and PLAIN.issuperset(kinds):
                fitting = function.fitting(args)
                if fitting is not None and (only is None or only is fitting):
                    known[kinds] = fitting.call  # type: ignore[assignment]
            if only is not None and only.call is not None and only.fits(args):
                return only.call(*args)
            try:
                return function.dispatch(args)
            except CelError:
                if operands is None or any(overload.fits(args) for overload in function.overloads):
                    raise
            applies = type_of(args[0]).name in operands
            raise CelError("no such overload" if applies else f"no such overload: {function.name}")

        return dispatch

    def _and(self, node: Call) -> Run:
        return junction(self.plan(node.args[0]), self.plan(node.args[1]), decisive=False)

    def _or(self, node: Call) -> Run:
        return junction(self.plan(node.args[0]), self.plan(node.args[1]), decisive=True)

    def _equals(self, node: Call) -> Run:
        left, right = self.plan(node.args[0]), self.plan(node.args[1])
        cost = cost_of(node.function, ("equals",))
        wanted = node.function == "_==_"
        assert not isinstance(cost, int)

        def run(frame: Frame) -> bool:
            try:
                one = left(frame)
            except CelError as error:
                frame.cost += cost((Failed(error), runs.attempt(right, frame)), None)
                raise
            try:
                other = right(frame)
            except CelError as error:
                frame.cost += cost((one, Failed(error)), None)
                raise
            kind = one.__class__
            if kind is other.__class__ and (kind is int or kind is bool):
                frame.cost += 1
                return bool(one == other) is wanted
            if kind is str and other.__class__ is str:
                size = len(one) if len(one) < len(other) else len(other)
                frame.cost += ceil(size * STRING_FACTOR)
                return bool(one == other) is wanted
            frame.cost += cost((one, other), None)
            return equal(one, other) is wanted

        return run

    def _in(self, node: Call) -> Run:
        """A list of constants is a set, whose lookup costs nothing; everything else is an ordinary call."""
        within = self.constant(node.args[1]) if node.overloads == ("in_list",) else _UNKNOWN
        simple = (str, int, bool, float)
        if isinstance(within, list) and all(isinstance(one, simple) for one in within):
            bools = {one for one in within if one.__class__ is bool}
            others = {one for one in within if one.__class__ is not bool}
            value = self.plan(node.args[0])

            def run(frame: Frame) -> bool:
                found = value(frame)
                try:
                    return found in (bools if found.__class__ is bool else others)
                except TypeError:
                    return False  # what Python cannot hash is no constant

            return run
        args = [self.plan(one) for one in node.args]
        cost = cost_of(node.function, node.overloads)
        call, slow = self.callable(node)
        return fixed(args, call, slow, cost) if isinstance(cost, int) else dynamic(args, call, slow, cost)

    def _not_strictly_false(self, node: Call) -> Run:
        inner = self.plan(node.args[0])

        def run(frame: Frame) -> bool:
            try:
                return inner(frame) is not False
            except CelError:
                return True
            finally:
                frame.cost += 1

        return run

    def _or_else(self, node: Call) -> Run:
        """`or` and `orValue`: the right side is asked only if the left is absent. They cost nothing themselves."""
        assert node.target is not None
        left, right = self.plan(node.target), self.plan(node.args[0])
        unwraps = node.function == "orValue"

        def run(frame: Frame) -> Any:
            value = left(frame)
            if not isinstance(value, Optional):
                raise CelError("no such overload")
            if value.value is MISSING:
                return right(frame)
            return value.get() if unwraps else value

        return run

    def _attribute(self, node: Call) -> Run:
        return attributes.plan(self, node)

    # Constructors

    def _list(self, node: ListNode) -> Run:
        known = self.constant(node)
        if known is not _UNKNOWN:
            return always(known)
        elements = [(self.plan(one), index in node.optional) for index, one in enumerate(node.elements)]
        plain = [run for run, _ in elements]
        optional = bool(node.optional)

        def run(frame: Frame) -> list[Any]:
            frame.cost += LIST_COST
            if not optional:
                return [one(frame) for one in plain]
            values = []
            for one, may_lack in elements:
                value = one(frame)
                if may_lack:
                    if not isinstance(value, Optional):
                        message = f"cannot initialize optional list element from non-optional value {shown(value)}"
                        raise CelError(message)
                    if value.value is MISSING:
                        continue
                    value = value.value
                values.append(value)
            return values

        return run

    def _map(self, node: MapNode) -> Run:
        known = self.constant(node)
        if known is not _UNKNOWN:
            return always(known)
        entries = [(self.plan(one.key), self.plan(one.value), one.optional) for one in node.entries]

        def run(frame: Frame) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            frame.cost += MAP_COST
            for key_run, value_run, may_lack in entries:
                key = map_key(key_run(frame))
                value = value_run(frame)
                if is_list(key) or is_map(key):
                    raise CelError("unsupported key type")
                if not may_lack:
                    found[key] = value
                else:
                    put(found, key, value)
            return found

        return run

    def _struct(self, node: StructNode) -> Run:
        fields = [(one.key, self.plan(one.value), one.optional) for one in node.entries]
        name, construct = node.name, self.construct

        def run(frame: Frame) -> Any:
            found: dict[str, Any] = {}
            frame.cost += STRUCT_COST
            for key, value_run, may_lack in fields:
                value = value_run(frame)
                if may_lack:
                    put(found, key, value)
                else:
                    found[key] = value
            return construct(name, found)

        return run

    # Comprehensions

    def _fold(self, node: Fold) -> Run:
        start, over = self.plan(node.start), self.plan(node.range)
        accumulator, first, second = self.size, self.size + 1, self.size + 2
        self.size += 3
        outer = len(self._locals)
        self._locals.append((node.accumulator, accumulator))
        if isinstance(node.range, ListNode) and not node.range.elements:
            body = self.plan(node.result)
            del self._locals[outer:]
            return bound(start, body, accumulator)
        self._locals.append((node.variable, first))
        if node.second:
            self._locals.append((node.second, second))
        condition = None if isinstance(node.condition, Literal) else self.plan(node.condition)
        step = self.plan(node.step)
        del self._locals[outer + 1 :]
        result = self.plan(node.result)
        del self._locals[outer:]
        absorbs = isinstance(node.step, Call) and node.step.function in ("_&&_", "_||_")
        pairs = bool(node.second)

        def run(frame: Frame) -> Any:
            items = over(frame)
            slots = frame.slots
            slots[accumulator] = runs.accumulator(start(frame))
            for item in runs.pairs(items) if pairs else runs.items(items):
                if pairs:
                    slots[first], slots[second] = item
                else:
                    slots[first] = item
                if condition is not None and condition(frame) is not True:
                    break
                try:
                    slots[accumulator] = step(frame)
                except CelError as error:
                    slots[accumulator] = Failed(error)
                    if not absorbs:
                        break
                if frame.cost > frame.limit:
                    raise CostExceeded(EXCEEDED)
            value = result(frame)
            if value.__class__ is Growing:
                return list(value)
            return dict(value) if value.__class__ is GrowingMap else value

        return run


class _Unknown:
    """Stands for a value that is known only when the expression runs."""


_UNKNOWN: Any = _Unknown()


def _matching(text: Run, compiled: Any, cost: int) -> Run:
    """`matches` with a constant pattern."""
    search = compiled.search

    def run(frame: Frame) -> bool:
        try:
            value = text(frame)
        except CelError:
            frame.cost += cost
            raise
        frame.cost += ceil((1.0 + size_of(value)) * STRING_FACTOR) * cost
        if frame.cost > frame.limit:
            raise CostExceeded(EXCEEDED)
        if value.__class__ is not str:
            raise CelError("no such overload")
        return search(value) is not None

    return run


def _unsure(found: Type | None, wanted: Type) -> bool:
    """Whether a value of a checked type may still be of another when it is there."""
    if wanted.kind in ("dyn", "any", "param"):
        return False
    if wanted.kind in ("list", "map") and any(one.kind not in ("dyn", "param") for one in wanted.parameters):
        return True
    if found is None or is_dyn(found.kind) or found.kind in ("param", "error", "null"):
        return True
    return any(_unsure(mine, theirs) for mine, theirs in zip(found.parameters, wanted.parameters, strict=False))


_RULES: dict[type, Callable[[Planner, Any], Run]] = {
    Literal: Planner._literal, Ident: Planner._ident, Select: Planner._select, Call: Planner._call,
    ListNode: Planner._list, MapNode: Planner._map, StructNode: Planner._struct, Fold: Planner._fold,
}  # fmt: skip
_SPECIAL: dict[str, Callable[[Planner, Call], Run]] = {
    "_&&_": Planner._and, "_||_": Planner._or, "_==_": Planner._equals, "_!=_": Planner._equals, "@in": Planner._in,
    "@not_strictly_false": Planner._not_strictly_false, "or": Planner._or_else, "orValue": Planner._or_else,
    "_?_:_": Planner._attribute, "_[_]": Planner._attribute, "_[?_]": Planner._attribute, "_?._": Planner._attribute,
}  # fmt: skip
