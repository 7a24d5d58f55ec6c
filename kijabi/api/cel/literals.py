"""Checks of constants in a checked tree: durations, timestamps, patterns, formats, and mixed lists and maps.

Run after the checker, because they need its types; what they find are `Issues` like its own. The checks are those that
Kubernetes turns on (k8s.io/apiserver `pkg/cel/environment`, since 1.29).
"""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api import goregex
from kijabi.api.cel import times
from kijabi.api.cel.ast import Call, Entry, Fold, ListNode, Literal, MapNode, Node, Select, StructNode
from kijabi.api.cel.errors import CelError, Issues
from kijabi.api.cel.overloads.textformat import WRONG, clauses
from kijabi.api.cel.types import Type, unwrap_optional
from kijabi.api.cel.values import MAX_SECONDS, MIN_SECONDS

_FORMATTABLE = frozenset((
    "list", "map", "int", "uint", "double", "bool", "string", "timestamp", "bytes", "duration", "type", "null",
))  # fmt: skip
_CLAUSES = {
    "s": _FORMATTABLE, "d": frozenset(("int", "uint")), "f": frozenset(("double", "string")),
    "e": frozenset(("double", "string")), "b": frozenset(("int", "uint", "bool")),
    "x": frozenset(("int", "uint", "string", "bytes")), "o": frozenset(("int", "uint")),
}  # fmt: skip


def check(tree: Node, issues: Issues) -> None:
    """Note what is wrong with the constants of a tree."""
    for node, formatted in _walk(tree):
        if isinstance(node, Call):
            _arguments(node, issues)
        elif isinstance(node, ListNode) and not formatted:
            _mixed_list(node, issues)
        elif isinstance(node, MapNode) and not formatted:
            _mixed_map(node, issues)


def _walk(tree: Node) -> Iterator[tuple[Node, bool]]:
    """All nodes, with whether they stand inside a call of `format`, where lists may be mixed."""
    waiting: list[tuple[Node, bool]] = [(tree, False)]
    while waiting:
        node, formatted = waiting.pop()
        yield node, formatted
        inside = formatted or (isinstance(node, Call) and node.function == "format")
        waiting.extend((child, inside) for child in reversed(children(node)))


def children(node: Node) -> list[Node]:
    """The nodes directly in a node."""
    match node:
        case Select():
            return [] if node.ident is not None else [node.operand]
        case Call():
            return [node.target, *node.args] if node.target is not None else list(node.args)
        case ListNode():
            return list(node.elements)
        case MapNode():
            return [part for entry in node.entries for part in (entry.key, entry.value)]
        case StructNode():
            return [entry.value for entry in node.entries]
        case Fold():
            return [node.range, node.start, node.condition, node.step, node.result]
        case _:
            return []


def _arguments(node: Call, issues: Issues) -> None:
    name = node.function
    if name == "format" and node.target is not None and node.overloads == ("string_format",):
        _format(node, issues)
    if name not in ("duration", "timestamp", "matches") or not node.args or not isinstance(node.args[0], Literal):
        return
    value = node.args[0].value
    early_or_late = name == "timestamp" and value.__class__ is int and not MIN_SECONDS <= value <= MAX_SECONDS
    if early_or_late or (isinstance(value, str) and not _good(name, value)):
        issues.add(node.args[0].at, f"invalid {name} argument")


def _good(name: str, text: str) -> bool:
    try:
        if name == "duration":
            return times.parse_duration(text) is not None
        if name == "timestamp":
            return times.parse_timestamp(text) is not None
        goregex.compile(text)
    except (CelError, goregex.RegexError):
        return False
    return True


def _equivalent(one: Type, other: Type) -> bool:
    """Whether two types are the same but for the names inside."""
    if one.kind != other.kind or (one.kind != "param" and one.name != other.name):
        return False
    return len(one.parameters) == len(other.parameters) and all(map(_equivalent, one.parameters, other.parameters))


def _mixed_list(node: ListNode, issues: Issues) -> None:
    expected: Type | None = None
    for index, element in enumerate(node.elements):
        assert element.type is not None
        found = unwrap_optional(element.type)[0] if index in node.optional else element.type
        if expected is None:
            expected = found
        elif not _equivalent(expected, found):
            issues.add(element.at, f"expected type '{expected}' but found '{found}'")
            return


def _mixed_map(node: MapNode, issues: Issues) -> None:
    if not node.entries:
        return
    key, value = _types(node.entries[0])
    for entry in node.entries[1:]:
        other_key, other_value = _types(entry)
        if not _equivalent(key, other_key):
            issues.add(entry.key.at, f"expected type '{key}' but found '{other_key}'")
        if not _equivalent(value, other_value):
            issues.add(entry.value.at, f"expected type '{value}' but found '{other_value}'")


def _types(entry: Entry) -> tuple[Type, Type]:
    key, value = entry.key.type, entry.value.type
    assert key is not None
    assert value is not None
    return key, unwrap_optional(value)[0] if entry.optional else value


def _format(node: Call, issues: Issues) -> None:
    """A constant format with a list written in place."""
    target, args = node.target, node.args[0]
    if not isinstance(target, Literal) or not isinstance(args, ListNode):
        return
    used = 0
    try:
        for clause in clauses(target.value, len(args.elements)):
            if clause.letter:
                wrong = _unformattable(clause.letter.lower(), args.elements[used])
                if wrong is not None:
                    assert wrong.type is not None
                    problem = f"error during formatting: {WRONG[clause.letter.lower()]}{wrong.type.name}"
                    issues.add(wrong.at, problem)
                    return
                used += 1
    except CelError as error:
        issues.add(node.at, error.message)
        return
    if len(args.elements) > used:
        expected = f"(expected {used}, got {len(args.elements)})"
        issues.add(node.at, f"too many arguments supplied to string.format {expected}")


def _unformattable(letter: str, node: Node) -> Node | None:
    """The node that a clause cannot format, if there is one."""
    assert node.type is not None
    if node.type.kind != "dyn" and node.type.kind not in _CLAUSES[letter]:
        return node
    if letter == "s" and isinstance(node, ListNode | MapNode):
        return next((wrong for child in children(node) if (wrong := _unformattable(letter, child)) is not None), None)
    return None
