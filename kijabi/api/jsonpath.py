"""JSONPath as kubectl and custom resources write it: `.status.conditions[?(@.type=="Ready")].status`.

Printer columns, selectable fields and the scale of custom resources name places in an object by it (`compile`,
`find`). The dialect and its errors are those of k8s.io/client-go `util/jsonpath`, without its templates (range, end).
Members that are missing are no error.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec

_MAX_RESULTS = 10_000  # values that one step may find, so that `..` on a large object stays bounded
_MAX_TEXT = 4_096  # characters of a path
_TERMINATORS = frozenset(" \t\r\n.,[]$@{}")
_KEY = re.compile(r"'([^']*)'")
_SLICE = re.compile(r"(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?")
_NUMBER = re.compile(r"[+-]?[0-9.]*")
_FILTER = re.compile(r"([^!<>=]+)([!<>=]+)(.+)", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip

Step = Callable[[list[Any]], list[Any]]


class PathError(ValueError):
    """The path cannot be read, or does not fit the object that it is asked of."""


class Path:
    """A path that has been read."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: list[Step]) -> None:
        self.text = text
        self._steps = steps

    def find(self, value: Any) -> list[Any]:
        """What is there: nothing, one value, or several. Raises PathError."""
        found = [value]
        for step in self._steps:
            found = step(found)
            if len(found) > _MAX_RESULTS:
                raise PathError(f"{self.text} finds too much")
        return found


def compile(text: str) -> Path:
    """Read a path. Raises PathError."""
    if len(text) > _MAX_TEXT:
        raise PathError("the path is too long")
    return Path(text, _Parser(text).steps())


def fields(text: str) -> tuple[str, ...]:
    """The members that a plain path (`.spec.replicas`) leads through."""
    return tuple(text.removeprefix(".").split("."))


def printed(value: Any) -> str:
    """A value as kubectl prints it: texts as they are, objects and lists as JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted").decode()
    if isinstance(value, float):
        return _go_float(value)
    return str(value)


def _go_float(value: float) -> str:
    """A float in Go's %v: exponents from 1e21 on and below 1e-4, no point if it is whole."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text) if "e" in text else text


class _Parser:
    """Reads a path from left to right into the steps that follow it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def steps(self) -> list[Step]:
        """All steps to the end of the text."""
        found: list[Step] = []
        recursive = False
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith("[?(", self.at):
                found.append(self._filter())
            elif self.text.startswith("..", self.at):
                if recursive:
                    raise PathError("invalid multiple recursive descent")
                self.at += 2
                found.append(_descend)
                recursive = True
                if self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] == "_"):
                    found.append(self._field())
                continue
            elif char in " @$":
                self.at += 1
            elif char == "[":
                found.append(self._brackets())
            elif char in "\"'":
                found.append(_constant(self._quoted(char)))
            elif char == ".":
                self.at += 1
                found.append(self._field())
            elif char in "+-" or char.isdigit():
                found.append(_constant(self._number()))
            else:
                found.append(self._word())
            recursive = False
        return found

    def _until_terminator(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _TERMINATORS:
            self.at += 2 if self.text[self.at] == "\\" else 1
        return self.text[start : self.at]

    def _field(self) -> Step:
        name = self._until_terminator()
        return _each if name == "*" else _member(name.replace("\\", ""))

    def _word(self) -> Step:
        start = self.at
        word = self._until_terminator()
        if not word or not (word[0].isalpha() or word[0] == "_"):
            char = self.text[start]
            raise PathError(f"unrecognized character in action: U+{ord(char):04X} '{char}'")
        if word in ("true", "false"):
            return _constant(word == "true")
        raise PathError(f"unrecognized identifier {word}")

    def _number(self) -> int | float:
        found = _NUMBER.match(self.text, self.at)
        text = found[0] if found is not None else ""
        self.at += len(text)
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            raise PathError(f"cannot parse number {text}") from None

    def _quoted(self, quote: str) -> str:
        start = self.at + 1
        end = start
        while end < len(self.text) and (self.text[end] != quote or self.text[end - 1] == "\\"):
            end += 1
        if end >= len(self.text):
            raise PathError("unterminated quoted string")
        self.at = end + 1
        return re.sub(r"\\(.)", r"\1", self.text[start:end])

    def _brackets(self) -> Step:
        end = self.text.find("]", self.at)
        if end < 0:
            raise PathError("unterminated array")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        if "," in inner:
            return _union([compile(f"[{part.strip(' ')}]") for part in inner.split(",")])
        key = _KEY.fullmatch(inner)
        if key is not None:
            return _chain(compile(f".{key[1]}"))
        return _slice(":" if inner == "*" else inner)

    def _filter(self) -> Step:
        start = self.at + 3
        end, quote = start, ""
        while end < len(self.text) and (quote or self.text[end] != ")"):
            char = self.text[end]
            if char in "\"'" and self.text[end - 1] != "\\" and quote in ("", char):
                quote = "" if quote else char
            end += 1
        if end >= len(self.text):
            raise PathError("unterminated filter")
        if self.text[end + 1 : end + 2] != "]":
            raise PathError("unclosed array expect ]")
        self.at = end + 2
        inner = self.text[start:end]
        found = _FILTER.fullmatch(inner)
        if found is None:
            return _having(compile(inner))
        if found[2] not in _OPERATORS:
            raise PathError(f"unrecognized filter operator {found[2]}")
        return _comparing(compile(found[1]), _OPERATORS[found[2]], compile(found[3]))


def _constant(value: Any) -> Step:
    return lambda found: [value] * len(found)


def _chain(path: Path) -> Step:
    return lambda found: [value for each in found for value in path.find(each)]


def _union(paths: list[Path]) -> Step:
    return lambda found: [value for path in paths for each in found for value in path.find(each)]


def _member(name: str) -> Step:
    return lambda found: [value[name] for value in found if isinstance(value, dict) and name in value]


def _each(found: list[Any]) -> list[Any]:
    return [part for value in found for part in _parts(value)]


def _descend(found: list[Any]) -> list[Any]:
    """Every object and list below, itself included, outermost first."""
    result: list[Any] = []
    waiting = list(reversed(found))
    while waiting:
        value = waiting.pop()
        parts = _parts(value)
        if parts:
            result.append(value)
            waiting.extend(reversed(parts))
        if len(result) > _MAX_RESULTS:
            raise PathError("the path finds too much")
    return result


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _lists(found: list[Any], problem: str) -> list[list[Any]]:
    lists = [value for value in found if value is not None]
    for value in lists:
        if not isinstance(value, list):
            raise PathError(f"{printed(value)} {problem}")
    return lists


def _slice(text: str) -> Step:
    """`[2]`, `[-1]`, `[1:3]`, `[::2]`; an index that a list does not have is an error."""
    found = _SLICE.fullmatch(text)
    if found is None:
        raise PathError(f"invalid array index {text}")
    first, last, step = (part.removeprefix(":") if part else part for part in found.groups())
    if found[2] is None and not first:
        raise PathError(f"invalid array index {text}")
    stride = int(step) if step else 1
    if stride <= 0:
        raise PathError("step must be > 0")

    def cut(value: list[Any]) -> list[Any]:
        size = len(value)
        start = int(first) if first else 0
        start += size if start < 0 else 0
        if found[2] is None:
            end = start + 1
        else:
            end = int(last) if last else size
            end += size if end < 0 else 0
        if start == end:
            return []
        if not 0 <= start < size:
            raise PathError(f"array index out of bounds: index {start}, length {size}")
        if not 0 <= end <= size:
            raise PathError(f"array index out of bounds: index {end - 1}, length {size}")
        if start > end:
            raise PathError(f"starting index {start} is greater than ending index {end}")
        return value[start:end:stride]

    return lambda values: [part for value in _lists(values, "is not array or slice") for part in cut(value)]


def _having(path: Path) -> Step:
    def step(found: list[Any]) -> list[Any]:
        lists = _lists(found, "is not array or slice and cannot be filtered")
        return [item for value in lists for item in value if path.find(item)]

    return step


def _comparing(left: Path, compare: Callable[[Any, Any], bool], right: Path) -> Step:
    def holds(item: Any) -> bool:
        one, other = left.find(item), right.find(item)
        if not one or not other:
            return False
        if len(one) > 1 or len(other) > 1:
            raise PathError("can only compare one element at a time")
        if isinstance(one[0], str) != isinstance(other[0], str):
            raise PathError("incompatible types for comparison")
        try:
            return compare(one[0], other[0])
        except TypeError:
            raise PathError("incompatible types for comparison") from None

    def step(found: list[Any]) -> list[Any]:
        lists = _lists(found, "is not array or slice and cannot be filtered")
        return [item for value in lists for item in value if holds(item)]

    return step
