"""What can be wrong with an expression, and how the text of it is drawn: cel-go's words, its caret lines included.

The parser and the checker collect `Issue`s in an `Issues`; `environment.py` raises them as one `CelCompileError`.
Evaluation raises `CelError` for what depends on the data and `CostExceeded` for what was cut off.

    KijabiError
    └── CelFailure
        ├── CelCompileError      .message is cel-go's text, one `ERROR: <input>:line:column: …` per issue
        │   ├── CelSyntaxError   it is no expression
        │   └── CelTypeError     it is one, but its names or types do not fit
        ├── CelError             the data made it fail: `no such key: x`
        └── CostExceeded         it did too much work; never absorbed by `||` or `&&`
"""

from __future__ import annotations

from bisect import bisect_right

from kijabi.base.errors import KijabiError

EXCEEDED = "operation cancelled: actual cost limit exceeded"
_LONGEST_SNIPPET = 16384
_MOST_ISSUES = 100


class CelFailure(KijabiError):
    """Whatever went wrong with an expression. message: the text that Kubernetes shows."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class CelCompileError(CelFailure):
    """The expression cannot be compiled."""


class CelSyntaxError(CelCompileError):
    """It is no expression of the language."""


class CelTypeError(CelCompileError):
    """Its names or its types do not fit."""


class CelError(CelFailure):
    """Evaluation failed because of the data; `||`, `&&`, `all` and `exists` absorb it as the language says."""


class CostExceeded(CelFailure):
    """Evaluation was stopped. budget: the sum over several expressions ran out, not the limit of this one."""

    def __init__(self, message: str, *, budget: bool = False) -> None:
        super().__init__(message)
        self.budget = budget


class Source:
    """The text of one expression, with the places where its lines begin (lines from 1, columns from 0)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(index + 1 for index, char in enumerate(text) if char == "\n")]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character; the end of an empty text is in front of its first column, as upstream."""
        if not self.text:
            return 1, -1
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1]

    def line(self, number: int) -> str:
        """The text of a line, without its end; empty where there is no such line."""
        if not 0 < number <= len(self._starts):
            return ""
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end]


class Issues:
    """What was found wrong so far, in the order of the text; everything beyond a hundred is only counted."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: list[tuple[tuple[int, int], str]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, offset: int, message: str) -> None:
        """Note an issue at a character. An offset below zero: about the whole, drawn as `-1:0`."""
        self._count += 1
        if self._count <= _MOST_ISSUES:
            self._found.append((self.source.place(offset) if offset >= 0 else (-1, -1), message))

    def text(self) -> str:
        """All of them as cel-go prints them."""
        drawn = [self._draw(line, column, message) for (line, column), message in sorted(self._found, key=_place)]
        if self._count > _MOST_ISSUES:
            drawn.append(f"{self._count - _MOST_ISSUES} more errors were truncated")
        return "\n".join(drawn)

    def _draw(self, line: int, column: int, message: str) -> str:
        text = f"ERROR: <input>:{line}:{column + 1}: {message}"
        snippet = self.source.line(line)
        if line < 1 or not self.source.text or len(snippet.encode(errors="replace")) > _LONGEST_SNIPPET:
            return text
        snippet = snippet.replace("\t", " ")
        dots = "".join("\uff0e" if ord(char) > 127 else "." for char in snippet[:column])
        caret = "\uff3e" if ord(snippet[column : column + 1] or "^") > 127 else "^"
        return f"{text}\n | {snippet}\n | {dots}{caret}"


def _place(entry: tuple[tuple[int, int], str]) -> tuple[int, int]:
    return entry[0]
