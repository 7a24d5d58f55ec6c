"""Chains of fields, keys and indexes (`self.spec.ports[0].?name`), `has`, and `c ? a : b`.

A chain is planned as one closure, because its cost is counted as cel-go counts an attribute: one for its root and one
for each step, a condition nothing of its own, `has` no root. An optional step (`.?`, `[?]`) makes the whole optional.
Steps work on whatever the value is when it is there, so one rule serves dicts, objects of a schema and dyn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kijabi.api.cel.ast import Call, Ident, Literal, Node, Select
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.frame import Frame, Run
from kijabi.api.cel.runs import always
from kijabi.api.cel.values import (
    MAX_INT,
    MIN_INT,
    MISSING,
    NONE,
    Mapper,
    Optional,
    Uint,
    find,
    is_list,
    is_map,
    shown,
    type_of,
)  # fmt: skip

if TYPE_CHECKING:
    from kijabi.api.cel.evaluate import Planner


class _Step:
    """One step. key: a constant, or `run` gives it. optional: absence is no error. test: only whether it is there."""

    __slots__ = ("key", "optional", "run", "test")

    def __init__(
        self, key: Any = MISSING, run: Run | None = None, *, optional: bool = False, test: bool = False
    ) -> None:
        self.key = key
        self.run = run
        self.optional = optional
        self.test = test


def plan(planner: Planner, node: Node) -> Run:
    """What evaluates a chain or a condition."""
    root, steps = _chain(planner, node)
    if isinstance(root, Call) and root.function == "_?_:_":
        return _condition(planner, root, steps)
    if isinstance(root, Ident) and root.constant is None:
        start = planner.read(root.name)
    else:
        start = planner.plan(root)
    own = 0 if steps and steps[-1].test else 1
    return _followed(start, own, steps)


def _chain(planner: Planner, node: Node) -> tuple[Node, list[_Step]]:
    """The root of a chain, and its steps in order."""
    steps: list[_Step] = []
    while True:
        if isinstance(node, Select) and node.ident is None:
            steps.append(_Step(node.field, test=node.test))
            node = node.operand
        elif isinstance(node, Call) and node.function in ("_[_]", "_[?_]", "_?._") and len(node.args) == 2:
            steps.append(_index(planner, node))
            node = node.args[0]
        else:
            break
    if isinstance(node, Select) and node.ident is not None:
        node = node.ident
    return node, steps[::-1]


def _index(planner: Planner, node: Call) -> _Step:
    optional = node.function != "_[_]"
    key = node.args[1]
    if isinstance(key, Literal):
        return _Step(key.value, optional=optional)
    return _Step(run=_key(planner, key), optional=optional)


def _key(planner: Planner, node: Node) -> Run:
    """The value of an index, without the cost of its root: a chain as index counts only its own steps."""
    root, steps = _chain(planner, node)
    if isinstance(root, Call) and root.function == "_?_:_":
        return _condition(planner, root, steps)
    if isinstance(root, Ident) and root.constant is None:
        return _followed(planner.read(root.name), 0, steps)
    return _followed(planner.plan(root), 0, steps) if steps else planner.plan(node)


def _condition(planner: Planner, node: Call, steps: list[_Step]) -> Run:
    """`c ? a : b`, with the steps behind it taken on either side."""
    test = planner.plan(node.args[0])
    sides = [_side(planner, side, steps) for side in node.args[1:]]
    yes, no = sides

    def run(frame: Frame) -> Any:
        value = test(frame)
        if value is True:
            return yes(frame)
        if value is False:
            return no(frame)
        raise CelError("no such overload")

    return run


def _side(planner: Planner, node: Node, steps: list[_Step]) -> Run:
    root, own = _chain(planner, node)
    if isinstance(root, Call) and root.function == "_?_:_":
        return _condition(planner, root, own + steps)
    if isinstance(root, Ident) and root.constant is None:
        return _followed(planner.read(root.name), 0, own + steps)
    if own:  # a chain on the value of a call: its root is evaluated as such
        return _followed(planner.plan(root), 0, own + steps)
    return _followed(planner.plan(node), 0, steps) if steps else planner.plan(node)


def _followed(start: Run, own: int, steps: list[_Step]) -> Run:
    """A value and the steps from it."""
    if not steps:

        def bare(frame: Frame) -> Any:
            frame.cost += own
            return start(frame)

        return bare
    if all(step.run is None and not step.optional and not step.test and step.key.__class__ is str for step in steps):
        return _fields(start, own, [step.key for step in steps])
    return _steps(start, own, steps)


def _fields(start: Run, own: int, names: list[str]) -> Run:
    """The common case: names of fields, one after the other."""
    total = own + len(names)

    def run(frame: Frame) -> Any:
        value = start(frame)
        frame.cost += total
        for index, name in enumerate(names):
            if value.__class__ is dict:
                found = value.get(name, MISSING)
            elif isinstance(value, Mapper):
                found = value.find(name)
            else:
                frame.cost += index - len(names)
                return _steps(always(value), 0, [_Step(one) for one in names[index:]])(frame)
            if found is MISSING:
                frame.cost += index + 1 - len(names)
                raise CelError(f"no such key: {name}")
            value = found
        return value

    return run


def _steps(start: Run, own: int, steps: list[_Step]) -> Run:
    def run(frame: Frame) -> Any:
        value = start(frame)
        frame.cost += own
        optional = isinstance(value, Optional)
        if optional:
            if value.value is MISSING:
                return value.value is not MISSING if steps[-1].test else value
            value = value.value
        for step in steps:
            key = step.key if step.run is None else step.run(frame)
            if step.test:
                frame.cost += 1
                return _take(value, key, presence=True) is not MISSING
            optional = optional or step.optional
            frame.cost += 1
            found = _take(value, key, presence=optional)
            if found is MISSING:
                frame.cost -= 1
                return False if steps[-1].test else NONE
            value = found
        return Optional(value) if optional else value

    return run


def _take(value: Any, key: Any, *, presence: bool) -> Any:
    """What a key or an index leads to. presence: MISSING where it leads nowhere, instead of an error."""
    if is_map(value):
        found = find(value, key)
        if found is MISSING and not presence:
            raise CelError(f"no such key: {shown(key)}")
        return found
    if is_list(value):
        index = _position(key)
        if 0 <= index < len(value):
            return value[index]
        if presence:
            return MISSING
        raise CelError(f"index out of bounds: {shown(key)}")
    indexer: Callable[[Any], Any] | None = getattr(value, "cel_get", None)
    if indexer is not None:
        return indexer(key)
    if presence:
        return MISSING
    raise CelError(f"no such key: {shown(key)}")


def _position(key: Any) -> int:
    """An index of a list: an int, or another number that is one."""
    kind = key.__class__
    if kind is int:
        return int(key)
    if kind is Uint:
        if key > MAX_INT:
            raise CelError(f"unsupported index value {shown(key)} in list")
        return int(key)
    if kind is float:
        if key == key and MIN_INT < key < MAX_INT and key == int(key):
            return int(key)
        raise CelError(f"unsupported index value {shown(key)} in list")
    raise CelError(f"unsupported index type '{type_of(key).name}' in list")
