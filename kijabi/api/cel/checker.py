"""Finds the type of every node, the overloads of every call and the names that an expression refers to.

Takes the parser's tree and the environment's declarations, writes into the tree, and collects what does not fit as
`Issue`s in upstream's words. After it the planner and the estimator know all they need. The rules are those of cel-go's
checker; `literals.py` adds the checks of constant arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kijabi.api.cel import types
from kijabi.api.cel.ast import Call, Fold, Ident, ListNode, Literal, MapNode, Node, Select, StructNode
from kijabi.api.cel.errors import Issues
from kijabi.api.cel.functions import Function
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import Uint


class Declarations(Protocol):
    """What the environment knows: names of variables, types and functions, and the fields of objects."""

    functions: Mapping[str, Function]

    def variable(self, name: str) -> Type | None:
        """The type of a variable."""
        ...

    def named_type(self, name: str) -> Type | None:
        """The type that a name stands for."""
        ...

    def has_struct(self, name: str) -> bool:
        """Whether there is an object type of this name."""
        ...

    def field(self, struct: str, name: str) -> Type | None:
        """The type of an object's field."""
        ...


_LITERALS: dict[type, Type] = {
    bool: types.BOOL, int: types.INT, Uint: types.UINT, float: types.DOUBLE, str: types.STRING, bytes: types.BYTES,
    type(None): types.NULL,
}  # fmt: skip


class Checker:
    """One run over one tree. names: the variables that it refers to."""

    def __init__(self, declarations: Declarations, issues: Issues) -> None:
        self.names: set[str] = set()
        self._declared = declarations
        self._issues = issues
        self._bindings: types.Bindings = {}
        self._scopes: list[dict[str, Type]] = []
        self._free = 0
        self._nodes: list[Node] = []

    def run(self, tree: Node) -> Type:
        """Check a tree and return its type."""
        self._check(tree)
        for node in self._nodes:
            assert node.type is not None
            node.type = types.substitute(self._bindings, node.type, to_dyn=True)
        assert tree.type is not None
        return tree.type

    def _check(self, node: Node) -> None:
        _RULES[node.__class__](self, node)

    def _typed(self, node: Node, found: Type) -> None:
        node.type = found
        self._nodes.append(node)

    def _type(self, node: Node) -> Type:
        assert node.type is not None
        return node.type

    def _resolved(self, node: Node) -> Type:
        return types.substitute(self._bindings, self._type(node))

    def _assignable(self, given: Type, wanted: Type) -> bool:
        bindings = types.assignable(self._bindings, (given,), (wanted,))
        if bindings is None:
            return False
        self._bindings = bindings
        return True

    def _fresh(self) -> Type:
        self._free += 1
        return types.param(f"_var{self._free - 1}")

    # Names

    def _local(self, name: str) -> Type | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _global(self, name: str, node: Ident) -> Type | None:
        """A variable, or a type by its name."""
        found = self._declared.variable(name)
        if found is not None:
            self.names.add(name)
            return found
        named = self._declared.named_type(name)
        if named is not None:
            node.constant = named
            return types.type_of(named)
        return None

    def _undeclared(self, at: int, name: str) -> None:
        self._issues.add(at, f"undeclared reference to '{name}' (in container '')")

    def _ident(self, node: Ident) -> None:
        name = node.name
        found = None if name.startswith(".") else self._local(name)
        if found is None:
            found = self._global(name.removeprefix("."), node)
            node.name = name.removeprefix(".")
            if found is not None and self._local(node.name) is not None:
                node.name = name  # keeps its dot, because a variable of the expression has the same name
        if found is None:
            self._undeclared(node.at, name)
            found = types.ERROR
        self._typed(node, found)

    def _qualified(self, node: Select) -> str | None:
        """`a.b.c` where a node is nothing but that."""
        names: list[str] = []
        part: Node = node
        while isinstance(part, Select):
            if part.test:
                return None
            names.append(part.field)
            part = part.operand
        if not isinstance(part, Ident):
            return None
        return ".".join((part.name, *reversed(names)))

    def _select(self, node: Select) -> None:
        name = self._qualified(node)
        if name is not None:
            first = name.split(".")[0] if not name.startswith(".") else ""
            if not first or self._local(first) is None:
                ident = Ident(at=node.at, name=name.removeprefix("."))
                found = self._global(ident.name, ident)
                if found is not None:
                    ident.type = found
                    node.ident = ident
                    self._typed(node, found)
                    return
        result = self._field(node.at, node.operand, node.field, optional=False)
        self._typed(node, types.substitute(self._bindings, types.BOOL if node.test else result))

    def _field(self, at: int, operand: Node, field: str, *, optional: bool) -> Type:
        """The type of a field of what an operand is."""
        self._check(operand)
        target, was_optional = types.unwrap_optional(self._resolved(operand))
        kind = target.kind
        result = types.DYN
        if kind == "map":
            result = target.parameters[1]
        elif kind == "struct":
            result = self._field_of(at, target.name, field)
        elif kind == "param":
            self._assignable(types.DYN, target)
        elif kind not in ("dyn", "any", "error"):
            self._issues.add(at, f"type '{target}' does not support field selection")
        return types.optional_of(result) if was_optional or optional else result

    def _field_of(self, at: int, struct: str, field: str) -> Type:
        if not self._declared.has_struct(struct) and self._declared.named_type(struct) is None:
            self._issues.add(at, f"unexpected failed resolution of '{struct}'")
            return types.ERROR
        found = self._declared.field(struct, field)
        if found is None:
            self._issues.add(at, f"undefined field '{field}'")
            return types.ERROR
        return found

    # Calls

    def _call(self, node: Call) -> None:
        if node.function == "_?._":
            self._optional_select(node)
            return
        for arg in node.args:
            self._check(arg)
        if node.target is not None:
            qualified = _qualified_name(node.target)
            if qualified is not None:
                function = self._declared.functions.get(f"{qualified}.{node.function}".removeprefix("."))
                if function is not None:
                    node.function, node.target = function.name, None
                    self._resolve(node, function)
                    return
            self._check(node.target)
        name = node.function.removeprefix(".") if node.target is None else node.function
        function = self._declared.functions.get(name)
        if function is None:
            self._typed(node, types.ERROR)
            self._undeclared(node.at, node.function)
            return
        node.function = function.name
        self._resolve(node, function)

    def _optional_select(self, node: Call) -> None:
        operand, field = node.args
        assert isinstance(field, Literal)
        result = self._field(node.at, operand, field.value, optional=True)
        node.overloads = ("select_optional_field",)
        field.type = types.STRING
        self._typed(node, types.substitute(self._bindings, result))

    def _resolve(self, node: Call, function: Function) -> None:
        """Find the overloads that fit; where several do, the result is what they agree on, or dyn."""
        given = [self._type(part) for part in ([node.target] if node.target is not None else []) + node.args]
        if function.name in ("_&&_", "_||_"):
            self._logic(node, given, function)
            return
        result: Type | None = None
        fitting: list[str] = []
        for overload in function.overloads:
            if overload.member != (node.target is not None):
                continue
            wanted, returned = overload.arguments, overload.result
            if not types.plausible(given, wanted):
                continue
            if overload.parameters:
                fresh = {types.param(name): self._fresh() for name in overload.parameters}
                wanted = tuple(types.substitute(fresh, one) for one in wanted)
                returned = types.substitute(fresh, returned)
            bindings = types.assignable(self._bindings, given, wanted)
            if bindings is None:
                continue
            self._bindings = bindings
            fitting.append(overload.id)
            returned = types.substitute(bindings, returned)
            if result is None:
                result = returned
            elif not types.is_dyn(result.kind) and returned != result:
                result = types.DYN
        if result is None:
            shown = [str(types.substitute(self._bindings, one, to_dyn=True)) for one in given]
            receiver = f"{shown.pop(0)}." if node.target is not None else ""
            signature = f"{receiver}({', '.join(shown)})"
            self._issues.add(node.at, f"found no matching overload for '{function.name}' applied to '{signature}'")
            result = types.ERROR
        node.overloads = tuple(fitting)
        self._typed(node, result)

    def _logic(self, node: Call, given: list[Type], function: Function) -> None:
        wrong = False
        for arg, one in zip(node.args, given, strict=True):
            if not self._assignable(one, types.BOOL):
                self._issues.add(arg.at, f"expected type 'bool' but found '{one}'")
                wrong = True
        node.overloads = () if wrong else (function.overloads[0].id,)
        self._typed(node, types.ERROR if wrong else types.BOOL)

    # Literals and comprehensions

    def _literal(self, node: Literal) -> None:
        self._typed(node, _LITERALS[node.value.__class__])

    def _join(self, before: Type | None, now: Type) -> Type:
        """The common type of the entries of a literal; whether they may differ, `literals.py` says."""
        if before is None:
            return now
        if self._assignable(before, now):
            return types.most_general(before, now)
        return types.DYN

    def _mismatch(self, at: int, expected: Type, found: Type) -> None:
        self._issues.add(at, f"expected type '{expected}' but found '{found}'")

    def _optional_entry(self, node: Node) -> Type:
        inner, is_optional = types.unwrap_optional(self._type(node))
        if not is_optional and not types.is_dyn(inner.kind):
            self._mismatch(node.at, types.optional_of(inner), inner)
        return inner

    def _list(self, node: ListNode) -> None:
        item: Type | None = None
        for index, element in enumerate(node.elements):
            self._check(element)
            found = self._optional_entry(element) if index in node.optional else self._type(element)
            item = self._join(item, found)
        self._typed(node, types.list_of(item or self._fresh()))

    def _map(self, node: MapNode) -> None:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            self._check(entry.key)
            key = self._join(key, self._type(entry.key))
            self._check(entry.value)
            found = self._optional_entry(entry.value) if entry.optional else self._type(entry.value)
            value = self._join(value, found)
        self._typed(node, types.map_of(key or self._fresh(), value or self._fresh()))

    def _struct(self, node: StructNode) -> None:
        name = node.name.removeprefix(".")
        found: Type = types.ERROR
        if self._declared.has_struct(name):
            found = types.struct(name)
            node.name = name
        elif (named := self._declared.named_type(name)) is None:
            self._undeclared(node.at, node.name)
            self._typed(node, types.ERROR)
            return
        else:
            self._issues.add(node.at, f"'{named.name}' is not a message type")
        self._typed(node, found)
        for entry in node.entries:
            self._check(entry.value)
            wanted = self._field_of(entry.at, name, entry.key)
            given = self._optional_entry(entry.value) if entry.optional else self._type(entry.value)
            if not self._assignable(wanted, given):
                message = f"expected type of field '{entry.key}' is '{wanted}' but provided type is '{given}'"
                self._issues.add(entry.at, message)

    def _fold(self, node: Fold) -> None:
        self._check(node.range)
        self._check(node.start)
        over = self._resolved(node.range)
        accumulated = self._type(node.start)
        self._scopes.append({node.accumulator: accumulated})
        first: Type = types.DYN
        second: Type = types.DYN
        if over.kind == "list":
            first = over.parameters[0]
            if node.second:
                first, second = types.INT, first
        elif over.kind == "map":
            first, second = over.parameters
        elif over.kind in ("dyn", "error", "param"):
            self._assignable(types.DYN, over)
        else:
            message = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
            self._issues.add(node.range.at, message)
            first = second = types.ERROR
        self._scopes.append({node.variable: first} | ({node.second: second} if node.second else {}))
        self._check(node.condition)
        self._expect(node.condition, types.BOOL)
        self._check(node.step)
        self._expect(node.step, accumulated)
        self._scopes.pop()
        self._check(node.result)
        self._scopes.pop()
        self._typed(node, self._resolved(node.result))

    def _expect(self, node: Node, wanted: Type) -> None:
        if not self._assignable(wanted, self._type(node)):
            self._mismatch(node.at, wanted, self._type(node))


def _qualified_name(node: Node) -> str | None:
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.test:
        operand = _qualified_name(node.operand)
        return None if operand is None else f"{operand}.{node.field}"
    return None


_RULES: dict[type, Callable[[Checker, Any], None]] = {
    Literal: Checker._literal, Ident: Checker._ident, Select: Checker._select, Call: Checker._call,
    ListNode: Checker._list, MapNode: Checker._map, StructNode: Checker._struct, Fold: Checker._fold,
}  # fmt: skip
