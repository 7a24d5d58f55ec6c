"""The nodes of an expression: made by the parser and its macros, given types and overloads by the checker, turned into
closures by the planner and summed up by the estimator.

Every node knows the character where errors about it point. The checker writes `type` (and, on calls, `overloads`);
nothing else is changed after parsing, except that a qualified name becomes an `Ident`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kijabi.api.cel.types import Type


class Node(msgspec.Struct, kw_only=True, eq=False):
    """A part of an expression. at: offset of its character. type: what the checker found it to be."""

    at: int
    type: Type | None = None


class Literal(Node):
    """A constant: bool, int, Uint, float, str, bytes or None."""

    value: Any


class Ident(Node):
    """A name: of a variable, or of a type (then `constant` is that type)."""

    name: str
    constant: Any = None


class Select(Node):
    """`operand.field`; test: only whether it is there (`has`)."""

    operand: Node
    field: str
    test: bool = False
    ident: Ident | None = None  # set by the checker where the whole is a qualified name


class Call(Node):
    """A function or operator applied: `_+_`, `size`, `target.startsWith`. overloads: the ids that fit the types."""

    function: str
    args: list[Node]
    target: Node | None = None
    overloads: tuple[str, ...] = ()


class ListNode(Node):
    """`[a, ?b]`; optional: the positions with a question mark."""

    elements: list[Node]
    optional: frozenset[int] = frozenset()


class Entry(msgspec.Struct, eq=False):
    """One `key: value` of a map or of an object, at its colon; of an object the key is the field's name."""

    at: int
    key: Any
    value: Node
    optional: bool = False


class MapNode(Node):
    """`{key: value}`."""

    entries: list[Entry]


class StructNode(Node):
    """`Name{field: value}`."""

    name: str
    entries: list[Entry]


class Fold(Node):
    """A comprehension: what `all`, `map` and their like become.

    For each item of `range`, as `variable` (and `second`: the value beside a key or an index), while `condition` holds,
    the accumulator becomes `step`; the value of the whole is `result`. `start` is evaluated when first asked for.
    """

    range: Node
    variable: str
    second: str
    accumulator: str
    start: Node
    condition: Node
    step: Node
    result: Node
