"""Calls that are rewritten while parsing: `has`, `all`, `exists`, `exists_one`, `map`, `filter`, and what the libraries
add (two-variable forms, `optMap`, `sortBy`).

The parser hands over the call's place, target and arguments, and takes the nodes that stand for them. The shapes are
those of cel-go, because costs and error texts follow from them. A macro may not invent names that an expression could
write, so hidden ones begin with `@` or `#`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from kijabi.api.cel.ast import Call, Entry, Fold, Ident, ListNode, Literal, MapNode, Node, Select, StructNode

RESULT = "@result"
_OLD_RESULT = "__result__"
_UNUSED = "#unused"
_SORT_INPUT = "@__sortBy_input__"

Macro = Callable[[int, Node | None, list[Node]], Node | None]


class MacroError(Exception):
    """The arguments do not fit the macro. at: where to point, below zero for the call itself."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


def _has(at: int, target: Node | None, args: list[Node]) -> Node:
    selected = args[0]
    if not isinstance(selected, Select):
        raise MacroError(selected.at, "invalid argument to has() macro")
    return Select(at=at, operand=selected.operand, field=selected.field, test=True)


def _variable(node: Node, message: str) -> str:
    if not isinstance(node, Ident):
        raise MacroError(node.at, message)
    return node.name


def _variables(args: list[Node], count: int, message: str) -> list[str]:
    names = [_variable(arg, message) for arg in args[:count]]
    if count == 2 and names[0] == names[1]:
        raise MacroError(args[1].at, f"duplicate variable name: {names[0]}")
    for arg, name in zip(args, names, strict=False):
        if name in (RESULT, _OLD_RESULT):
            raise MacroError(arg.at, "iteration variable overwrites accumulator variable")
    return names


def _result(at: int) -> Ident:
    return Ident(at=at, name=RESULT)


def _call(at: int, function: str, *args: Node, target: Node | None = None) -> Call:
    return Call(at=at, function=function, args=list(args), target=target)


def _fold(
    at: int, target: Node | None, names: list[str], start: Node, condition: Node, step: Node, result: Node
) -> Fold:
    assert target is not None
    second = names[1] if len(names) == 2 else ""
    return Fold(
        at=at, range=target, variable=names[0], second=second, accumulator=RESULT,
        start=start, condition=condition, step=step, result=result,
    )  # fmt: skip


_SIMPLE = "argument must be a simple name"
_IDENTIFIER = "argument is not an identifier"


def _all(count: int) -> Macro:
    def expand(at: int, target: Node | None, args: list[Node]) -> Node:
        names = _variables(args, count, _SIMPLE)
        condition = _call(at, "@not_strictly_false", _result(at))
        step = _call(at, "_&&_", _result(at), args[count])
        return _fold(at, target, names, Literal(at=at, value=True), condition, step, _result(at))

    return expand


def _exists(count: int) -> Macro:
    def expand(at: int, target: Node | None, args: list[Node]) -> Node:
        names = _variables(args, count, _SIMPLE)
        condition = _call(at, "@not_strictly_false", _call(at, "!_", _result(at)))
        step = _call(at, "_||_", _result(at), args[count])
        return _fold(at, target, names, Literal(at=at, value=False), condition, step, _result(at))

    return expand


def _exists_one(count: int) -> Macro:
    def expand(at: int, target: Node | None, args: list[Node]) -> Node:
        names = _variables(args, count, _SIMPLE)
        more = _call(at, "_+_", _result(at), Literal(at=at, value=1))
        step = _call(at, "_?_:_", args[count], more, _result(at))
        result = _call(at, "_==_", _result(at), Literal(at=at, value=1))
        return _fold(at, target, names, Literal(at=at, value=0), Literal(at=at, value=True), step, result)

    return expand


def _collect(count: int, message: str) -> Macro:
    """`map` and `transformList`: with one argument more than the transformation needs, the first is a filter."""

    def expand(at: int, target: Node | None, args: list[Node]) -> Node:
        names = _variables(args, count, message)
        step: Node = _call(at, "_+_", _result(at), ListNode(at=at, elements=[args[-1]]))
        if len(args) == count + 2:
            step = _call(at, "_?_:_", args[count], step, _result(at))
        return _fold(at, target, names, ListNode(at=at, elements=[]), Literal(at=at, value=True), step, _result(at))

    return expand


def _filter(at: int, target: Node | None, args: list[Node]) -> Node:
    names = _variables(args, 1, _IDENTIFIER)
    kept = _call(at, "_+_", _result(at), ListNode(at=at, elements=[args[0]]))
    step = _call(at, "_?_:_", args[1], kept, _result(at))
    return _fold(at, target, names, ListNode(at=at, elements=[]), Literal(at=at, value=True), step, _result(at))


def _into_map(at: int, target: Node | None, args: list[Node], names: list[str], inserted: list[Node]) -> Node:
    step: Node = _call(at, "cel.@mapInsert", _result(at), *inserted)
    if len(args) == 4:
        step = _call(at, "_?_:_", args[2], step, _result(at))
    return _fold(at, target, names, MapNode(at=at, entries=[]), Literal(at=at, value=True), step, _result(at))


def _transform_map(at: int, target: Node | None, args: list[Node]) -> Node:
    names = _variables(args, 2, _SIMPLE)
    return _into_map(at, target, args, names, [Ident(at=at, name=names[0]), args[-1]])


def _transform_map_entry(at: int, target: Node | None, args: list[Node]) -> Node:
    return _into_map(at, target, args, _variables(args, 2, _SIMPLE), [args[-1]])


def _bind(at: int, name: str, value: Node, body: Node) -> Fold:
    """`body` with a name for a value: a fold over nothing."""
    return Fold(
        at=at, range=ListNode(at=at, elements=[]), variable=_UNUSED, second="", accumulator=name, start=value,
        condition=Literal(at=at, value=False), step=Ident(at=at, name=name), result=body,
    )  # fmt: skip


def _optional_map(name: str, *, wrap: bool) -> Macro:
    """`optMap` and `optFlatMap`: work on what an optional holds, if it holds anything."""

    def expand(at: int, target: Node | None, args: list[Node]) -> Node:
        assert target is not None
        variable = _variable(args[0], f"{name}() variable name must be a simple identifier")
        value = _call(at, "value", target=copy(target))
        body: Node = _bind(at, variable, value, args[1])
        if wrap:
            body = _call(at, "optional.of", body)
        return _call(at, "_?_:_", _call(at, "hasValue", target=target), body, _call(at, "optional.none"))

    return expand


def _sort_by(at: int, target: Node | None, args: list[Node]) -> Node:
    assert target is not None
    if not isinstance(target, ListNode | Select | Ident | Fold | Call):
        message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression"
        raise MacroError(target.at, message)
    keys = _collect(1, _IDENTIFIER)(at, Ident(at=at, name=_SORT_INPUT), args)
    assert keys is not None
    body = _call(at, "@sortByAssociatedKeys", keys, target=Ident(at=at, name=_SORT_INPUT))
    return _bind(at, _SORT_INPUT, target, body)


def _cel_bind(at: int, target: Node | None, args: list[Node]) -> Node | None:
    """`cel.bind(name, value, body)`; `bind` of anything else is a call like others."""
    if not isinstance(target, Ident) or target.name != "cel":
        return None
    return _bind(at, _variable(args[0], "cel.bind() variable names must be simple identifiers"), args[1], args[2])


def copy(node: Node) -> Node:
    """A deep copy, so that the checker may type each use on its own."""
    match node:
        case Select():
            return msgspec.structs.replace(node, operand=copy(node.operand))
        case Call():
            target = copy(node.target) if node.target is not None else None
            return msgspec.structs.replace(node, args=[copy(arg) for arg in node.args], target=target)
        case ListNode():
            return msgspec.structs.replace(node, elements=[copy(one) for one in node.elements])
        case MapNode():
            entries = [Entry(one.at, copy(one.key), copy(one.value), one.optional) for one in node.entries]
            return msgspec.structs.replace(node, entries=entries)
        case StructNode():
            entries = [Entry(one.at, one.key, copy(one.value), one.optional) for one in node.entries]
            return msgspec.structs.replace(node, entries=entries)
        case Fold():
            return msgspec.structs.replace(
                node, range=copy(node.range), start=copy(node.start), condition=copy(node.condition),
                step=copy(node.step), result=copy(node.result),
            )  # fmt: skip
        case _:
            return msgspec.structs.replace(node)


# By name, number of arguments and whether a target stands before the name.
STANDARD: Mapping[tuple[str, int, bool], Macro] = {
    ("has", 1, False): _has,
    ("all", 2, True): _all(1),
    ("exists", 2, True): _exists(1),
    ("exists_one", 2, True): _exists_one(1),
    ("map", 2, True): _collect(1, _IDENTIFIER),
    ("map", 3, True): _collect(1, _IDENTIFIER),
    ("filter", 2, True): _filter,
    # Optional values
    ("optMap", 2, True): _optional_map("optMap", wrap=True),
    ("optFlatMap", 2, True): _optional_map("optFlatMap", wrap=False),
    # Two-variable comprehensions
    ("all", 3, True): _all(2),
    ("exists", 3, True): _exists(2),
    ("exists_one", 3, True): _exists_one(2),
    ("existsOne", 3, True): _exists_one(2),
    ("transformList", 3, True): _collect(2, _SIMPLE),
    ("transformList", 4, True): _collect(2, _SIMPLE),
    ("transformMap", 3, True): _transform_map,
    ("transformMap", 4, True): _transform_map,
    ("transformMapEntry", 3, True): _transform_map_entry,
    ("transformMapEntry", 4, True): _transform_map_entry,
    # Lists
    ("sortBy", 2, True): _sort_by,
}
# With `cel.bind`, for selectors of devices.
BINDINGS: Mapping[tuple[str, int, bool], Macro] = {**STANDARD, ("bind", 3, True): _cel_bind}
