"""Static costs of the libraries' functions: cel-go's lists and sets, and k8s.io/apiserver `pkg/cel/library/cost.go`.

`estimates.py` asks here first, then applies the language's own rules. A function without an estimate costs one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from kijabi.api.cel.ast import Literal
from kijabi.api.cel.costs import AUTHORIZER_CHECK, LIST_COST, REGEX_FACTOR, STRING_FACTOR
from kijabi.api.cel.ranges import MOST, ONE, Argument, Estimate, Range, fixed

_LONGEST_FORMAT, _LONGEST_PATTERN = 64, 128
_REQUIREMENT = 50.0
_ADDRESS = Range(4, 16)  # bytes
_STRUCTS = frozenset((
    "kubernetes.Quantity", "kubernetes.authorization.Authorizer", "kubernetes.authorization.PathCheck",
    "kubernetes.authorization.GroupCheck", "kubernetes.authorization.ResourceCheck",
    "kubernetes.authorization.Decision", "kubernetes.Semver",
))  # fmt: skip
_Estimator = Callable[[str, Argument | None, list[Argument]], Estimate | None]


def estimate(function: str, overload: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    """What a call may cost, without its arguments; None where the language's own rules apply."""
    found = _lists(overload, target, args)
    if found is not None:
        return found
    rule = _BY_FUNCTION.get(function)
    return rule(overload, target, args) if rule is not None else None


# cel-go's lists and sets


def _number(argument: Argument, default: int) -> int:
    """A constant number; the default where it is none."""
    node = argument.node
    if not isinstance(node, Literal) or node.value.__class__ is not int:
        return default
    return max(int(node.value), 0)


def _allocated(factor: float, size: Range) -> Estimate:
    return Estimate(size.scaled(factor).plus(ONE).plus(fixed(LIST_COST)), size)


def _squared(argument: Argument, factor: float) -> Estimate:
    size = argument.known()
    return _allocated(factor, size.times(size))


def _lists(overload: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    if overload.startswith("list_sets_"):
        product = args[0].known().times(args[1].known())
        return Estimate(product.scaled(2 if overload == "list_sets_equivalent_list" else 1).plus(ONE))
    if overload == "lists_range":
        return _allocated(1, fixed(_number(args[0], MOST)))
    if target is None:
        return None
    if overload == "list_slice":
        end = _number(args[1], target.known().max)
        return _allocated(1, fixed((end - _number(args[0], 0)) % (MOST + 1)))
    if overload in ("list_flatten", "list_flatten_int"):
        return _allocated(float(_number(args[0], MOST) if args else 1), target.known())
    if overload == "list_reverse":
        return _allocated(1, target.known())
    if overload == "list_distinct":
        return _squared(target, 2)
    if overload.endswith(("_sort", "_sortByAssociatedKeys")):
        texts = overload.startswith(("list_string_", "list_bytes_"))
        return _squared(args[0] if args else target, 2 + (STRING_FACTOR if texts else 0))
    return None


# Kubernetes


def _nominal(_: str, __: Argument | None, ___: list[Argument]) -> Estimate:
    return Estimate(ONE)


def _check(_: str, __: Argument | None, ___: list[Argument]) -> Estimate:
    return Estimate(fixed(AUTHORIZER_CHECK))


def _selector(_: str, __: Argument | None, args: list[Argument]) -> Estimate:
    size = args[0].known()
    return Estimate(fixed(LIST_COST).plus(size.scaled(STRING_FACTOR)).plus(size.scaled(0.5).scaled(_REQUIREMENT)))


def _traverse(overload: str, target: Argument | None, _: list[Argument]) -> Estimate | None:
    if target is None:
        return None
    item, size = target.item(), target.known()
    if item is not None:
        each = ONE
        if item.type.kind in ("string", "bytes"):
            each = each.plus(item.known().scaled(STRING_FACTOR))
        return Estimate(size.times(each))
    if overload == "list_includes_dyn_dyn":
        return Estimate(size.times(ONE))
    return Estimate(size.scaled(STRING_FACTOR))


def _scan_argument(_: str, __: Argument | None, args: list[Argument]) -> Estimate | None:
    return Estimate(args[0].known().scaled(STRING_FACTOR)) if args else None


def _scan_sized(_: str, __: Argument | None, args: list[Argument]) -> Estimate | None:
    return Estimate(args[0].known().scaled(STRING_FACTOR), args[0].known()) if len(args) == 1 else None


def _scan_target(_: str, target: Argument | None, __: list[Argument]) -> Estimate | None:
    return Estimate(target.known().scaled(STRING_FACTOR), target.known()) if target is not None else None


def _replace(_: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    if target is None or len(args) < 2:
        return None
    size, old, new = target.known(), args[0].known(), args[1].known()
    most_kept = most_count = least_kept = least_count = 0
    if old.min == 0:
        most_count, most_kept = min(size.max + 1, MOST), size.max
    elif new.max <= old.min:
        most_kept = size.max
    else:
        most_count = ceil(float(size.max) / float(old.min))
    if old.max == 0:
        least_count, least_kept = min(size.min + 1, MOST), size.min
    elif old.max <= new.min:
        least_kept = size.min
    else:
        least_count = ceil(float(size.min) / float(old.max))
    count = Range(least_count, min(most_count, MOST))
    result = count.times(new).plus(Range(least_kept, most_kept))
    return Estimate(size.scaled(2 * STRING_FACTOR), result)


def _split(_: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    if target is None:
        return None
    size = target.known()
    most = size.max
    if len(args) > 1 and isinstance(args[1].node, Literal) and args[1].node.value.__class__ is int:
        most = args[1].node.value % (MOST + 1)
    return Estimate(size.scaled(2 * STRING_FACTOR), Range(0, most))


def _join(_: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    if target is None:
        return None
    count, size, item = target.known(), Range(0, 0), target.item()
    if item is not None:
        size = count.times(item.known())
    if args:
        between = Range(max(count.min - 1, 0), max(count.max - 1, 0))
        size = size.plus(args[0].known().times(between))
    return Estimate(size.scaled(STRING_FACTOR), size)


def _find(_: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    if target is None or not args:
        return None
    size = target.known()
    text = size.plus(ONE).scaled(STRING_FACTOR)
    return Estimate(text.times(args[0].known().scaled(REGEX_FACTOR)), Range(0, size.max))


def _ip(overload: str, target: Argument | None, args: list[Argument]) -> Estimate | None:
    return Estimate(ONE) if overload == "cidr_ip" else _scan_argument(overload, target, args)


def _scan_twice(_: str, __: Argument | None, args: list[Argument]) -> Estimate | None:
    return Estimate(args[0].known().scaled(2 * STRING_FACTOR)) if args else None


def _contains_ip(overload: str, _: Argument | None, args: list[Argument]) -> Estimate | None:
    cost = _ADDRESS.plus(_ADDRESS).scaled(STRING_FACTOR)
    if overload == "cidr_contains_ip_string":
        cost = cost.plus(args[0].known().scaled(STRING_FACTOR))
    return Estimate(cost)


def _contains_cidr(overload: str, _: Argument | None, args: list[Argument]) -> Estimate | None:
    cost = _ADDRESS.plus(_ADDRESS).scaled(STRING_FACTOR).plus(_ADDRESS.scaled(STRING_FACTOR)).plus(ONE)
    if overload == "cidr_contains_cidr_string":
        cost = cost.plus(args[0].known().scaled(STRING_FACTOR))
    return Estimate(cost)


def _validate(_: str, __: Argument | None, args: list[Argument]) -> Estimate | None:
    return Estimate(args[0].known().scaled(STRING_FACTOR).scaled(_LONGEST_PATTERN * REGEX_FACTOR))


def _equals(_: str, __: Argument | None, args: list[Argument]) -> Estimate | None:
    if len(args) != 2 or args[0].type.name != args[1].type.name:
        return None
    name = args[0].type.name
    if name in ("net.IP", "net.CIDR") or name in _STRUCTS:
        return Estimate(ONE)
    if name == "kubernetes.NamedFormat":
        return Estimate(Range(1, _LONGEST_FORMAT).scaled(STRING_FACTOR))
    if name == "kubernetes.URL":
        size = args[1].size or ONE
        return Estimate(Range(1, size.max).scaled(STRING_FACTOR))
    return None


_BY_FUNCTION: dict[str, _Estimator] = {
    "check": _check, "fieldSelector": _selector, "labelSelector": _selector, "url": _scan_sized,
    "jsonpatch.escapeKey": _scan_sized, "replace": _replace, "split": _split, "join": _join, "find": _find,
    "findAll": _find, "cidr": _scan_argument, "isIP": _scan_argument, "isCIDR": _scan_argument, "ip": _ip,
    "ip.isCanonical": _scan_twice, "containsIP": _contains_ip, "containsCIDR": _contains_cidr,
    "quantity": _scan_argument, "isQuantity": _scan_argument, "semver": _scan_argument, "isSemver": _scan_argument,
    "validate": _validate, "_==_": _equals,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "includes"), _traverse),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _scan_target),
    **dict.fromkeys((
        "serviceAccount", "path", "group", "resource", "subresource", "namespace", "name", "allowed", "reason", "error",
        "errored", "masked", "prefixLength", "family", "isUnspecified", "isLoopback", "isLinkLocalMulticast",
        "isLinkLocalUnicast", "isGlobalUnicast", "format.named", "sign", "asInteger", "isInteger", "asApproximateFloat",
        "isGreaterThan", "isLessThan", "compareTo", "add", "sub", "major", "minor", "patch", "getScheme", "getHostname",
        "getHost", "getPort", "getEscapedPath", "getQuery",
    ), _nominal),
}  # fmt: skip
