"""The closures that evaluation is made of, apart from the tree: calls, `&&`, what comprehensions go over.

`evaluate.Planner` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kijabi.api.cel.costs import MAX_TEXT, is_early
from kijabi.api.cel.errors import EXCEEDED, CelError, CostExceeded
from kijabi.api.cel.frame import Frame, Later, Run
from kijabi.api.cel.values import (
    MISSING,
    Failed,
    Growing,
    GrowingMap,
    Optional,
    find,
    go_type,
    is_list,
    is_map,
    keys,
    shown,
)  # fmt: skip


def always(value: Any) -> Run:
    """A constant."""
    return lambda _: value


def fixed(args: list[Run], call: Callable[..., Any], slow: Callable[..., Any], cost: int) -> Run:
    """A call whose cost is known before. It is counted also where an argument fails, as all arguments are evaluated.

    slow: what to call where an argument is null.
    """
    if len(args) == 1:
        return _unary(args[0], call, slow, cost)
    if len(args) == 2:
        return _binary(args[0], args[1], call, slow, cost)

    def run(frame: Frame) -> Any:
        values = [one(frame) for one in args]
        frame.cost += cost
        if frame.cost > frame.limit:
            raise CostExceeded(EXCEEDED)
        return (slow if _has_null(values) else call)(*values)

    return run


def _unary(only: Run, call: Callable[..., Any], slow: Callable[..., Any], cost: int) -> Run:
    def run(frame: Frame) -> Any:
        try:
            value = only(frame)
        except CelError:
            frame.cost += cost
            raise
        frame.cost += cost
        return call(value) if value is not None else slow(value)

    return run


def _binary(left: Run, right: Run, call: Callable[..., Any], slow: Callable[..., Any], cost: int) -> Run:
    def run(frame: Frame) -> Any:
        try:
            one = left(frame)
        except CelError:
            attempt(right, frame)
            frame.cost += cost
            raise
        try:
            other = right(frame)
        except CelError:
            frame.cost += cost
            raise
        frame.cost += cost
        return call(one, other) if one is not None and other is not None else slow(one, other)

    return run


def _has_null(values: list[Any]) -> bool:
    return any(value is None for value in values)


def attempt(run: Run, frame: Frame) -> Any:
    """The value of an argument whose neighbour has failed: only its cost and its size still count."""
    try:
        return run(frame)
    except CelError as error:
        return Failed(error)


def dynamic(
    args: list[Run], call: Callable[..., Any], slow: Callable[..., Any], cost: Callable[[Any, Any], int]
) -> Run:
    """A call whose cost follows from its arguments and its result."""
    few = len(args) <= 2
    early = is_early(cost)

    def run(frame: Frame) -> Any:
        values: list[Any] = []
        try:
            for one in args:
                values.append(one(frame))
            if early and frame.cost + cost(values, None) > frame.limit:
                raise CostExceeded(EXCEEDED)
            result = (slow if _has_null(values) else call)(*values)
        except CelError as error:
            if few or len(values) == len(args):
                if len(values) < len(args):
                    values += [Failed(error), *(attempt(one, frame) for one in args[len(values) + 1 :])]
                frame.cost += cost(values, Failed(error))
            raise
        frame.cost += cost(values, result)
        if frame.cost > frame.limit:
            raise CostExceeded(EXCEEDED)
        return result

    return run


def sum_of_any(left: Run, right: Run, call: Callable[..., Any]) -> Run:
    """`+` of values whose types are not known before: costs one, but what it makes of texts is bounded."""
    plain = _binary(left, right, call, call, 1)

    def run(frame: Frame) -> Any:
        result = plain(frame)
        if result.__class__ is str or result.__class__ is bytes:
            frame.weight += len(result)
            if frame.weight > MAX_TEXT:
                raise CostExceeded(EXCEEDED)
        return result

    return run


def junction(left: Run, right: Run, *, decisive: bool) -> Run:
    """`&&` or `||`: one decisive side is enough, whatever the other is; else an error of either side remains."""

    def run(frame: Frame) -> bool:
        failure: CelError | None = None
        for side in (left, right):
            try:
                value: Any = side(frame)
            except CelError as error:
                failure = failure or error
                continue
            if value is decisive:
                return bool(value)
            if value.__class__ is not bool:
                failure = failure or CelError("no such overload")
        if failure is not None:
            raise failure
        return not decisive

    return run


def put(found: dict[Any, Any], key: Any, value: Any) -> None:
    """Enter an optional value, or drop the key where there is none."""
    if not isinstance(value, Optional):
        raise CelError(f"cannot initialize optional entry '{shown(key)}' from non-optional value {shown(value)}")
    if value.value is MISSING:
        found.pop(key, None)
    else:
        found[key] = value.value


def accumulator(start: Any) -> Any:
    """What a fold starts with; an empty list or map is one that grows in place."""
    if start.__class__ is list and not start:
        return Growing()
    return GrowingMap() if start.__class__ is dict and not start else start


def items(items: Any) -> Iterable[Any]:
    """What a fold with one variable goes over."""
    if is_list(items):
        return items  # type: ignore[no-any-return]
    if is_map(items):
        return keys(items)
    raise CelError(f"got '{go_type(items)}', expected iterable type")


def pairs(items: Any) -> Iterable[tuple[Any, Any]]:
    """What a fold with two variables goes over."""
    if is_map(items):
        return [(key, find(items, key)) for key in keys(items)]
    if is_list(items):
        return enumerate(items)
    raise CelError(f"unsupported comprehension range type: {go_type(items)}")


def bound(start: Run, body: Run, slot: int) -> Run:
    """A body with a name for a value that is computed when the name is first read."""

    def run(frame: Frame) -> Any:
        frame.slots[slot] = Later(start)
        return body(frame)

    return run
