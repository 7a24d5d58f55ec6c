"""What an expression may cost at worst, before it runs: the limit on rules of CRDs is stated in these numbers.

`estimate_cost` walks a checked tree with the sizes that a schema allows (`maxLength`, `maxItems`, `maxProperties`) and
sums up least and most; comprehensions multiply. It is cel-go's `checker/cost.go`, whose every quirk is part of the API;
`libraryestimates.py` has the functions of the libraries. Numbers saturate at 2^64-1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kijabi.api.cel import libraryestimates
from kijabi.api.cel.ast import Call, Fold, Ident, ListNode, Literal, MapNode, Node, Select, StructNode
from kijabi.api.cel.costs import LIST_COST, MAP_COST, REGEX_FACTOR, STRING_FACTOR, STRUCT_COST
from kijabi.api.cel.environment import Program
from kijabi.api.cel.ranges import MOST, NOTHING, ONE, UNKNOWN, Argument, Estimate, Range, fixed
from kijabi.api.cel.types import Declared, Type

_SCALARS = frozenset(("bool", "double", "duration", "int", "timestamp", "uint"))
_OLD_RESULT = "__result__"
Entries = tuple[str, Range, Range]  # list or map, sizes of its keys, sizes of its values
CostEstimate = Range


def estimate_cost(program: Program, sizes: Declared | None = None) -> CostEstimate:
    """The least and the most that one evaluation may cost. sizes: the declared type of `self` (and `oldSelf`)."""
    return _Coster(sizes).cost(program.tree)


class _Variable:
    """A name inside a comprehension: where its values come from, and how large they are."""

    __slots__ = ("entries", "path", "size")

    def __init__(self, path: list[str], size: Range | None, entries: Entries | None) -> None:
        self.path = path
        self.size = size
        self.entries = entries


class _Coster:
    def __init__(self, root: Declared | None) -> None:
        self.root = root
        self.paths: dict[int, list[str]] = {}
        self.sizes: dict[int, Range] = {}
        self.entries: dict[int, Entries] = {}
        self.variables: dict[str, list[_Variable]] = {}

    def cost(self, node: Node) -> Range:
        return _RULES[node.__class__](self, node)

    # Sizes

    def declared_size(self, path: Sequence[str]) -> Range | None:
        """The size of what a path from `self` leads to, as its schema limits it."""
        found = self.root
        if not path or found is None:
            return None
        for name in path[1:]:
            following: Declared | None
            if name in ("@items", "@values"):
                following = found.element
            elif name == "@keys":
                following = found.key
            else:
                field = found.fields.get(name) if found.fields is not None else None
                following = field.type if field is not None else None
            if following is None:
                return None
            found = following
        return Range(0, found.max_elements)

    def variable(self, name: str) -> _Variable | None:
        known = self.variables.get(name)
        return known[-1] if known else None

    def path(self, node: Node) -> list[str]:
        if isinstance(node, Ident) and (variable := self.variable(node.name)) is not None:
            return variable.path
        return self.paths.get(id(node), [])

    def size(self, node: Node) -> Range | None:
        known = self.sizes.get(id(node)) or _literal_size(node)
        if known is not None:
            return known
        declared = self.declared_size(self.path(node))
        if declared is not None:
            self.sizes[id(node)] = declared
            return declared
        if node.type is not None and _is_scalar(node.type):
            return ONE
        if isinstance(node, Ident) and (variable := self.variable(node.name)) is not None:
            return variable.size
        return None

    def size_or_unknown(self, node: Node) -> Range:
        found = self.size(node)
        return UNKNOWN if found is None else found

    def entry_sizes(self, node: Node) -> Entries | None:
        known = self.entries.get(id(node))
        if known is None and isinstance(node, Ident) and (variable := self.variable(node.name)) is not None:
            return variable.entries
        return known

    def remember(self, node: Node, size: Range | None, entries: Entries | None = None) -> None:
        if size is not None:
            self.sizes[id(node)] = size
        if entries is not None:
            self.entries[id(node)] = entries

    def argument(self, node: Node) -> Argument:
        path = self.path(node)
        if path and path[0] in (_OLD_RESULT, "@result"):
            path = []
        assert node.type is not None
        return Argument(node, node.type, path, self.size(node), self.declared_size)

    # Nodes

    def literal(self, _: Literal) -> Range:
        return NOTHING

    def ident(self, node: Ident) -> Range:
        variable = self.variable(node.name)
        self.paths[id(node)] = [node.name.removeprefix(".")] if variable is None else variable.path
        return ONE

    def select(self, node: Select) -> Range:
        if node.ident is not None:
            self.paths[id(node)] = [node.ident.name]
            return ONE
        total = self.cost(node.operand)
        if node.test:
            return total
        kind = node.operand.type.kind if node.operand.type is not None else "dyn"
        if kind in ("map", "struct", "param"):
            total = total.plus(ONE)
        self.paths[id(node)] = [*self.path(node.operand), node.field]
        return total

    def call(self, node: Call) -> Range:
        if node.function == "dyn" and node.target is None:
            total = ONE.plus(self.cost(node.args[0]))
            self.remember(node, self.size(node.args[0]), self.entry_sizes(node.args[0]))
            return total
        costs: list[Range] = []
        args: list[Argument] = []
        for arg in node.args:
            costs.append(self.cost(arg))
            args.append(self.argument(arg))
        if not node.overloads:
            return NOTHING
        total, target = NOTHING, None
        if node.target is not None:
            total = self.cost(node.target)
            target = self.argument(node.target)
        spread = Range(MOST, 0)
        size: Range | None = None
        for overload in node.overloads:
            estimate = self.function(node, overload, target, args, costs)
            spread = spread.union(estimate.cost)
            if estimate.size is not None:
                size = estimate.size if size is None else size.union(estimate.size)
            if overload in ("index_list", "index_map"):
                within = self.entry_sizes(node.args[0])
                size = within[2] if within is not None else None
                part = "@items" if overload == "index_list" else "@values"
                self.paths[id(node)] = [*self.path(node.args[0]), part]
            if size is None:
                size = self.size(node)
        self.remember(node, size)
        return total.plus(spread)

    def function(
        self, node: Call, overload: str, target: Argument | None, args: list[Argument], costs: list[Range]
    ) -> Estimate:
        of_args = NOTHING
        for cost in costs:
            of_args = of_args.plus(cost)
        found = libraryestimates.estimate(node.function, overload, target, args)
        if found is None:
            special = _FUNCTIONS.get(overload)
            found = special(self, node, target, args, costs) if special is not None else None
            if found is not None and overload in _OWN_ARGUMENTS:
                return found
        if found is None:
            return Estimate(ONE.plus(of_args))
        return Estimate(found.cost.plus(of_args), found.size)

    def list_(self, node: ListNode) -> Range:
        total, item = NOTHING, Range(MOST if node.elements else 0, 0)
        for element in node.elements:
            total = total.plus(self.cost(element))
            item = item.union(self.size_or_unknown(element))
        self.entries[id(node)] = ("list", ONE, item)
        return total.plus(fixed(LIST_COST))

    def map_(self, node: MapNode) -> Range:
        total = NOTHING
        key = value = Range(MOST if node.entries else 0, 0)
        for entry in node.entries:
            total = total.plus(self.cost(entry.key)).plus(self.cost(entry.value))
            key = key.union(self.size_or_unknown(entry.key))
            value = value.union(self.size_or_unknown(entry.value))
        self.entries[id(node)] = ("map", key, value)
        return total.plus(fixed(MAP_COST))

    def struct(self, node: StructNode) -> Range:
        total = fixed(STRUCT_COST)
        for entry in node.entries:
            total = total.plus(self.cost(entry.value))
        return total

    def push(self, name: str, path: list[str], size: Range | None, entries: Entries | None = None) -> None:
        self.variables.setdefault(name, []).append(_Variable(path, size, entries))

    def fold(self, node: Fold) -> Range:
        over, start = node.range, node.start
        total = self.cost(over).plus(self.cost(start))
        self.push(node.accumulator, self.path(start), self.size(start), self.entry_sizes(start))
        empty = isinstance(over, ListNode) and not over.elements
        if empty and isinstance(node.condition, Literal) and node.condition.value is False:
            total = total.plus(self.cost(node.result))  # a name for a value, not a loop
            self.variables[node.accumulator].pop()
            self.remember(node, self.size(node.result), self.entry_sizes(node.result))
            return total
        self.push_items(node)
        each = self.cost(node.condition)
        each = self.cost(node.step).plus(each)
        self.variables[node.variable].pop()
        if node.second:
            self.variables[node.second].pop()
        total = total.plus(self.cost(node.result))
        self.variables[node.accumulator].pop()
        count = self.size_or_unknown(over)
        if isinstance(start, Literal):
            self.remember(node, self.size(start))
        elif isinstance(start, ListNode | MapNode):
            self.remember(node, count, self.entry_sizes(node.step))
        return total.plus(count.times(each))

    def push_items(self, node: Fold) -> None:
        over = node.range
        within = self.entry_sizes(over)
        kind = within[0] if within is not None else over.type.kind if over.type is not None else "dyn"
        path = self.path(over)
        keys, values = (within[1], within[2]) if within is not None else (None, None)
        if node.second:
            self.push(node.variable, [*path, "@indices" if kind == "list" else "@keys"], keys)
            self.push(node.second, [*path, "@items" if kind == "list" else "@values"], values)
        elif kind == "list":
            self.push(node.variable, [*path, "@items"], values)
        else:
            self.push(node.variable, [*path, "@keys"], keys)


def _literal_size(node: Node) -> Range | None:
    if isinstance(node, Literal):
        return fixed(len(node.value)) if isinstance(node.value, str | bytes) else ONE
    if isinstance(node, ListNode):
        return fixed(len(node.elements))
    return fixed(len(node.entries)) if isinstance(node, MapNode) else None


def _is_scalar(one: Type) -> bool:
    if one.kind in _SCALARS:
        return True
    return one.kind == "opaque" and one.name == "optional_type" and _is_scalar(one.parameters[0])


# The language's own functions: coster, node, target, arguments and their costs to an estimate without those costs.

_Special = Callable[[_Coster, Call, Argument | None, list[Argument], list[Range]], Estimate | None]


def _known(argument: Argument) -> Range:
    return UNKNOWN if argument.size is None else argument.size


def _scan(argument: Argument) -> Range:
    return _known(argument).scaled(STRING_FACTOR)


def _scan_target(_: _Coster, __: Call, target: Argument | None, ___: Any, ____: Any) -> Estimate | None:
    return Estimate(_scan(target)) if target is not None else None


def _scan_first(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    return Estimate(_scan(args[0])) if len(args) == 1 else None


def _to_bytes(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    size = _known(args[0])
    return Estimate(_scan(args[0]), Range(size.min, size.max * 4 % (MOST + 1)))


def _to_text(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    size = _known(args[0])
    return Estimate(_scan(args[0]), Range(size.min // 4, size.max))


def _quoted(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    size = _known(args[0])
    return Estimate(_scan(args[0]), Range((size.min + 2) % (MOST + 1), (size.max * 2 + 2) % (MOST + 1)))


def _in_list(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    return Estimate(_known(args[1]).scaled(1))


def _matches(_: _Coster, __: Call, target: Argument | None, args: list[Argument], ____: Any) -> Estimate | None:
    text, pattern = (target, args[0]) if target is not None else (args[0], args[1])
    return Estimate(_known(text).plus(ONE).scaled(STRING_FACTOR).times(_known(pattern).scaled(REGEX_FACTOR)))


def _contains(_: _Coster, __: Call, target: Argument | None, args: list[Argument], ____: Any) -> Estimate | None:
    return Estimate(_scan(target).times(_scan(args[0]))) if target is not None else None


def _logic(_: _Coster, __: Call, ___: Any, ____: Any, costs: list[Range]) -> Estimate | None:
    return Estimate(Range(costs[0].min, costs[0].plus(costs[1]).max))


def _conditional(coster: _Coster, node: Call, _: Any, args: list[Argument], costs: list[Range]) -> Estimate | None:
    size = _known(args[1]).union(_known(args[2]))
    coster.remember(node, None, _united(coster.entry_sizes(node.args[1]), coster.entry_sizes(node.args[2])))
    return Estimate(costs[0].plus(costs[1].union(costs[2])), size)


def _united(one: Entries | None, other: Entries | None) -> Entries | None:
    if one is None or other is None:
        return None
    return one[0], one[1].union(other[1]), one[2].union(other[2])


def _sum(coster: _Coster, node: Call, args: list[Argument]) -> Range:
    coster.remember(node, None, _united(coster.entry_sizes(node.args[0]), coster.entry_sizes(node.args[1])))
    return _known(args[0]).plus(_known(args[1]))


def _add(coster: _Coster, node: Call, _: Any, args: list[Argument], __: Any) -> Estimate | None:
    size = _sum(coster, node, args)
    return Estimate(size.scaled(STRING_FACTOR), size)


def _add_list(coster: _Coster, node: Call, _: Any, args: list[Argument], __: Any) -> Estimate | None:
    return Estimate(ONE, _sum(coster, node, args))


def _compare(_: _Coster, __: Call, ___: Any, args: list[Argument], ____: Any) -> Estimate | None:
    most = min(_known(args[0]).max, _known(args[1]).max)
    return Estimate(Range(1 if most > 0 else 0, most).scaled(STRING_FACTOR))


_OWN_ARGUMENTS = frozenset(("logical_or", "logical_and", "conditional"))
_FUNCTIONS: dict[str, _Special] = {
    "string_format": _scan_target, "string_to_bytes": _to_bytes, "bytes_to_string": _to_text, "strings_quote": _quoted,
    "starts_with_string": _scan_first, "ends_with_string": _scan_first, "in_list": _in_list, "matches": _matches,
    "matches_string": _matches, "contains_string": _contains, "logical_or": _logic, "logical_and": _logic,
    "conditional": _conditional, "add_string": _add, "add_bytes": _add, "add_list": _add_list, "equals": _compare,
    "not_equals": _compare,
    **{f"{word}_{kind}": _compare for word in ("less", "less_equals", "greater", "greater_equals")
       for kind in ("string", "bytes")},
}  # fmt: skip
_RULES: dict[type, Callable[[_Coster, Any], Range]] = {
    Literal: _Coster.literal, Ident: _Coster.ident, Select: _Coster.select, Call: _Coster.call, ListNode: _Coster.list_,
    MapNode: _Coster.map_, StructNode: _Coster.struct, Fold: _Coster.fold,
}  # fmt: skip
