"""What the administrator may set of the API server: kube-apiserver's own flags, as far as they mean something here.

`kijabi up --apiserver-arg audit-policy-file=/etc/audit.yaml` keeps them in the cluster's directory; `cmd/apiserver.py`
parses them and gives `Flags` to the parts. A new flag is one line in `Flags`: its type says how its text is read.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NewType

import msgspec

from kijabi.apiserver import duration
from kijabi.base.errors import ConfigError

Seconds = NewType("Seconds", float)  # written as Go writes durations: 1h30m
MAX_ARGUMENTS = 200
STANDARD = "-"  # in place of a path: standard output


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, by upstream's names with underscores (reference page "kube-apiserver"). None: not given.

    A tuple is a flag that may come again, each time with one value or several between commas.
    """

    # Authentication and authorisation
    # Flow control and limits
    max_requests_inflight: int = 400  # seats; with the next one, what the priority levels share
    max_mutating_requests_inflight: int = 200
    enable_priority_and_fairness: bool = True  # false: the two limits above, of reads and of writes, and no queues
    request_timeout: Seconds = Seconds(60.0)  # that any request but a watch or a stream may take
    min_request_timeout: int = 1800  # seconds; a watch without timeoutSeconds lasts up to twice this
    max_watches_per_user: int = 5000  # at once; 0 for no limit. Not upstream's
    max_connections: int = 20_000  # at once; more are closed as they come, 0 for no limit. Not upstream's
    # Audit and events


def parse(arguments: Sequence[str]) -> Flags:
    """`name=value` texts, with or without leading dashes, a bare name for true. Raises ConfigError in words."""
    if len(arguments) > MAX_ARGUMENTS:
        raise ConfigError(f"more than {MAX_ARGUMENTS} API server arguments")
    readers = _readers()
    found: dict[str, Any] = {}
    for argument in arguments:
        name, given, text = _split(argument)
        reader = readers.get(name)
        if reader is None:
            raise ConfigError(f"--apiserver-arg {argument!r}: the API server has no flag {name.replace('_', '-')!r}")
        try:
            value = reader(text if given else "true")
        except ValueError as problem:
            raise ConfigError(f"--apiserver-arg {argument!r}: {problem}") from None
        found[name] = (*found.get(name, ()), *value) if isinstance(value, tuple) else value
    return Flags(**found)


def absolute(arguments: Sequence[str], base: Path) -> tuple[str, ...]:
    """The same arguments, with relative paths made absolute, for a process that starts elsewhere."""
    readers = _readers()
    made = []
    for argument in arguments:
        name, given, text = _split(argument)
        path = given and text not in ("", STANDARD) and readers.get(name) is Path
        made.append(f"{name.replace('_', '-')}={base / text}" if path else argument)
    return tuple(made)


def _split(argument: str) -> tuple[str, bool, str]:
    name, given, text = argument.partition("=")
    return name.lstrip("-").replace("-", "_"), bool(given), text


@cache
def _readers() -> dict[str, Callable[[str], Any]]:
    hints = typing.get_type_hints(Flags)
    return {name: _reader(hints[name]) for name in Flags.__struct_fields__}


def _reader(kind: Any) -> Callable[[str], Any]:
    """What reads a flag of this type from its text, raising ValueError."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    if typing.get_origin(kind) is tuple:
        return _listed
    readers: dict[Any, Callable[[str], Any]] = {
        str: str, int: int, float: float, bool: _switch, Seconds: duration.parse, Path: Path,
    }  # fmt: skip
    return readers[kind]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"
