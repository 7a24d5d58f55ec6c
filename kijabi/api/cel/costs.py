"""What a call costs when it has run: the rule of its function, in units of about fifty nanoseconds upstream.

The planner asks `cost_of` once per call and gets a number, or what computes it from the arguments and the result. The
numbers are part of the API, because limits are stated in them: cel-go's `interpreter/runtimecost.go`, its list and set
extensions, and k8s.io/apiserver `pkg/cel/library/cost.go`. `estimates.py` is the same before anything has run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from kijabi.api.cel.values import find, is_list, is_map, keys, size_of

PER_CALL_LIMIT = 1_000_000  # of one evaluation
OBJECT_BUDGET = 10_000_000  # of all evaluations for one object, or for one policy binding
MATCH_BUDGET = 2_500_000  # of all match conditions of one webhook or binding
MAX_MESSAGE = 5 * 1024  # bytes that a messageExpression may yield

MAX_TEXT = 32 * 1024 * 1024  # characters that one evaluation may make beyond what costs count: more than can be stored

STRING_FACTOR = 0.1
REGEX_FACTOR = 0.25
LIST_COST, MAP_COST, STRUCT_COST = 10, 30, 40
AUTHORIZER_CHECK = 350_000
_REQUIREMENT = 50.0
MOST = 2**64 - 1

Cost = int | Callable[[Sequence[Any], Any], int]


def scan(size: int, factor: float = STRING_FACTOR) -> int:
    """The cost of going over so many characters once."""
    return ceil(size * factor)


def _scan_first(args: Sequence[Any], _: Any) -> int:
    return ceil(size_of(args[0]) * STRING_FACTOR)


def _scan_second(args: Sequence[Any], _: Any) -> int:
    return ceil(size_of(args[1]) * STRING_FACTOR)


def _scan_first_twice(args: Sequence[Any], _: Any) -> int:
    return ceil(size_of(args[0]) * 2 * STRING_FACTOR)


def _scan_result_twice(_: Sequence[Any], result: Any) -> int:
    return ceil(size_of(result) * 2 * STRING_FACTOR)


def _scan_smaller(args: Sequence[Any], _: Any) -> int:
    return ceil(min(size_of(args[0]), size_of(args[1])) * STRING_FACTOR)


def _scan_both(args: Sequence[Any], _: Any) -> int:
    return ceil((size_of(args[0]) + size_of(args[1])) * STRING_FACTOR)


def _items_of_second(args: Sequence[Any], _: Any) -> int:
    return size_of(args[1])


def match_cost(args: Sequence[Any], _: Any) -> int:
    """The cost of matching the first argument with the pattern that is the second."""
    return ceil((1.0 + size_of(args[0])) * STRING_FACTOR) * ceil(size_of(args[1]) * REGEX_FACTOR)


def _contains(args: Sequence[Any], _: Any) -> int:
    return ceil(size_of(args[0]) * STRING_FACTOR) * ceil(size_of(args[1]) * STRING_FACTOR)


def traverse(value: Any) -> int:
    """The cost of looking at a value as a whole."""
    if isinstance(value, str):
        return int(len(value.encode(errors="replace")) * STRING_FACTOR)
    if isinstance(value, bytes):
        return int(len(value) * STRING_FACTOR)
    if is_list(value):
        return sum(map(traverse, value))
    if is_map(value):
        return sum(traverse(key) + traverse(find(value, key)) for key in keys(value))
    return 1


def _traverse_first(args: Sequence[Any], _: Any) -> int:
    return traverse(args[0])


def _selector(args: Sequence[Any], _: Any) -> int:
    size = size_of(args[1])
    return LIST_COST + ceil(size * STRING_FACTOR) + ceil(ceil(size * 0.5) * _REQUIREMENT)


def _format_check(args: Sequence[Any], _: Any) -> int:
    regex = getattr(args[0], "regex_size", 0)
    return ceil((1.0 + size_of(args[1])) * STRING_FACTOR) * ceil(regex * REGEX_FACTOR)


def _contains_ip(args: Sequence[Any], _: Any) -> int:
    size = size_of(args[0])
    parse = ceil(size_of(args[1]) * STRING_FACTOR) if isinstance(args[1], str) else 0
    return ceil((size + size) * STRING_FACTOR) + parse


def _contains_cidr(args: Sequence[Any], _: Any) -> int:
    return _contains_ip(args, None) + ceil(size_of(args[0]) * STRING_FACTOR) + 1


def _ip(args: Sequence[Any], _: Any) -> int:
    return ceil(size_of(args[0]) * STRING_FACTOR) if isinstance(args[0], str) else 1


def _equals(args: Sequence[Any], _: Any) -> int:
    if hasattr(args[0], "cel_equals"):
        return 1
    return ceil(min(size_of(args[0]), size_of(args[1])) * STRING_FACTOR)


def _allocated(factor: float, size: int) -> int:
    factor = 1.0 if factor < 0 else factor
    return min(int(size * factor), MOST) + 1 + LIST_COST


def _list_result(_: Sequence[Any], result: Any) -> int:
    return _allocated(1, size_of(result))


def _flatten(args: Sequence[Any], _: Any) -> int:
    depth = args[1] if len(args) == 2 and isinstance(args[1], int) else 1
    return _allocated(float(depth), size_of(args[0]))


def _compare_all(items: Any) -> int:
    size = size_of(items)
    texts = is_list(items) and size and isinstance(items[0], str | bytes)
    factor = 2.0 + (STRING_FACTOR if texts else 0)
    return _allocated(factor, size * size)


def _sets(factor: int) -> Cost:
    return lambda args, _: 1 + size_of(args[0]) * size_of(args[1]) * factor


# By overload: cel-go's list and set extensions, which come before everything else.
_BY_EXTENSION: dict[str, Cost] = {
    "list_slice": _list_result, "list_flatten": _flatten, "list_flatten_int": _flatten, "lists_range": _list_result,
    "list_reverse": _list_result, "list_distinct": lambda args, _: _compare_all(args[0]),
    "list_sets_contains_list": _sets(1), "list_sets_intersects_list": _sets(1), "list_sets_equivalent_list": _sets(2),
}  # fmt: skip
# By name: Kubernetes' libraries.
_BY_FUNCTION: dict[str, Cost] = {
    "check": AUTHORIZER_CHECK, "fieldSelector": _selector, "labelSelector": _selector, "url": _scan_first,
    "lowerAscii": _scan_first, "upperAscii": _scan_first, "substring": _scan_first, "trim": _scan_first,
    "jsonpatch.escapeKey": _scan_first, "replace": _scan_first_twice, "split": _scan_first_twice,
    "join": _scan_result_twice, "find": match_cost, "findAll": match_cost, "cidr": _scan_first, "isIP": _scan_first,
    "isCIDR": _scan_first, "ip": _ip, "ip.isCanonical": _scan_first_twice, "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr, "quantity": _scan_first, "isQuantity": _scan_first, "semver": _scan_first,
    "isSemver": _scan_first, "validate": _format_check, "_==_": _equals,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "includes"), _traverse_first),
}  # fmt: skip
# By overload: the language itself.
_BY_OVERLOAD: dict[str, Cost] = {
    "starts_with_string": _scan_second, "ends_with_string": _scan_second, "string_to_bytes": _scan_first,
    "bytes_to_string": _scan_first, "strings_quote": _scan_first, "string_format": _scan_first,
    "in_list": _items_of_second, "equals": _scan_smaller, "not_equals": _scan_smaller, "add_string": _scan_both,
    "add_bytes": _scan_both, "matches": match_cost, "matches_string": match_cost, "contains_string": _contains,
    **{f"{word}_{kind}": _scan_smaller for word in ("less", "less_equals", "greater", "greater_equals")
       for kind in ("string", "bytes")},
}  # fmt: skip


_FROM_RESULT = frozenset((_list_result, _scan_result_twice))


def is_early(cost: Cost) -> bool:
    """Whether a cost follows from the arguments alone, so that it can stop a call that has not begun."""
    return cost not in _FROM_RESULT


def cost_of(function: str, overloads: Sequence[str]) -> Cost:
    """The cost of a call whose overloads are known to be these; with more than one, only the name counts."""
    overload = overloads[0] if len(overloads) == 1 else ""
    if overload in _BY_EXTENSION:
        return _BY_EXTENSION[overload]
    if overload.endswith("_sort"):
        return lambda args, _: _compare_all(args[0])
    if overload.endswith("_sortByAssociatedKeys"):
        return lambda args, _: _compare_all(args[1])
    if function in _BY_FUNCTION:
        return _BY_FUNCTION[function]
    if function == "_!=_":
        return _scan_smaller
    return _BY_OVERLOAD.get(overload, 1)
