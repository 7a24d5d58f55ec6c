"""Flags of a component as `name=value` texts, read into a Struct that has a field for each.

`apiserver/flags.py` and `controllers/flags.py` each declare such a Struct; `cmd` keeps the texts in the cluster's
directory and hands the components what they say. The type of a field says how its text is read.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NewType, TypeVar

import msgspec

from kijabi.api import duration
from kijabi.base.errors import ConfigError

Seconds = NewType("Seconds", float)  # written as Go writes durations: 1h30m
Whole = NewType("Whole", str)  # a text in which commas mean nothing
MAX_ARGUMENTS = 200
STANDARD = "-"  # in place of a path: standard output

F = TypeVar("F", bound=msgspec.Struct)


class Reader(Generic[F]):
    """Reads arguments into `kind`. option: by which they are given on the command line; whose: for what goes wrong.

    A tuple is a flag that may come again, each time with one value or, of plain texts, several between commas.
    """

    def __init__(self, kind: type[F], option: str, whose: str) -> None:
        self._kind = kind
        self._option = option
        self._whose = whose
        hints = typing.get_type_hints(kind)
        self._readers = {name: _reader(hints[name]) for name in kind.__struct_fields__}

    def parse(self, arguments: Sequence[str]) -> F:
        """`name=value` texts, with or without leading dashes, a bare name for true. Raises ConfigError in words."""
        if len(arguments) > MAX_ARGUMENTS:
            raise ConfigError(f"more than {MAX_ARGUMENTS} times {self._option}")
        found: dict[str, Any] = {}
        for argument in arguments:
            name, given, text = _split(argument)
            reader = self._readers.get(name)
            if reader is None:
                problem = f"{self._whose} has no flag {name.replace('_', '-')!r}"
                raise ConfigError(f"{self._option} {argument!r}: {problem}")
            try:
                value = reader(text if given else "true")
            except ValueError as error:
                raise ConfigError(f"{self._option} {argument!r}: {error}") from None
            found[name] = (*found.get(name, ()), *value) if isinstance(value, tuple) else value
        return self._kind(**found)

    def absolute(self, arguments: Sequence[str], base: Path) -> tuple[str, ...]:
        """The same arguments, with relative paths made absolute, for a process that starts elsewhere."""
        made = []
        for argument in arguments:
            name, given, text = _split(argument)
            path = given and text not in ("", STANDARD) and self._readers.get(name) in (Path, _file)
            made.append(f"{name.replace('_', '-')}={base / text}" if path else argument)
        return tuple(made)


def _split(argument: str) -> tuple[str, bool, str]:
    name, given, text = argument.partition("=")
    return name.lstrip("-").replace("-", "_"), bool(given), text


def _reader(kind: Any) -> Callable[[str], Any]:
    """What reads a flag of this type from its text, raising ValueError."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    if typing.get_origin(kind) is tuple:
        several: dict[Any, Callable[[str], Any]] = {str: _listed, Whole: _single, Path: _file}
        return several[typing.get_args(kind)[0]]
    readers: dict[Any, Callable[[str], Any]] = {
        str: str, int: int, float: float, bool: _switch, Seconds: duration.parse, Path: Path,
    }  # fmt: skip
    return readers[kind]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _single(text: str) -> tuple[str, ...]:
    return (text,)


def _file(text: str) -> tuple[Path, ...]:
    return (Path(text),)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"
