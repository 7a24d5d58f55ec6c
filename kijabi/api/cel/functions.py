"""How functions are declared: a table of signatures, each with what computes it.

A library is a tuple of `Overload`s; `environment.py` gathers them into `Function`s by name, the checker resolves calls
against them, the planner calls them. A signature reads as in the language's documents:

    Overload("starts_with_string", "string.startsWith(string) -> bool", str.startswith)

A capital letter is a type parameter. Implementations take values (`values.py`) and raise CelError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kijabi.api.cel import types
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import find, is_list, is_map, keys, type_of

Impl = Callable[..., Any]

_SCALARS: dict[str, Type] = {
    "any": types.ANY, "bool": types.BOOL, "bytes": types.BYTES, "double": types.DOUBLE, "duration": types.DURATION,
    "dyn": types.DYN, "int": types.INT, "null": types.NULL, "string": types.STRING, "timestamp": types.TIMESTAMP,
    "uint": types.UINT,
}  # fmt: skip
# The types that libraries bring. Those of the network are opaque, the others structs without fields, as upstream.
NAMED: dict[str, Type] = {
    "IP": types.opaque("net.IP"), "CIDR": types.opaque("net.CIDR"), "URL": types.struct("kubernetes.URL"),
    "Quantity": types.struct("kubernetes.Quantity"), "Semver": types.struct("kubernetes.Semver"),
    "Format": types.struct("kubernetes.NamedFormat"), "Authorizer": types.struct("kubernetes.authorization.Authorizer"),
    "PathCheck": types.struct("kubernetes.authorization.PathCheck"),
    "GroupCheck": types.struct("kubernetes.authorization.GroupCheck"),
    "ResourceCheck": types.struct("kubernetes.authorization.ResourceCheck"),
    "Decision": types.struct("kubernetes.authorization.Decision"),
}  # fmt: skip
_WORDS = re.compile(r"[A-Za-z_@.]+|[(),]|->")


def read_type(text: str) -> Type:
    """A type as signatures write it: `map(string, list(A))`."""
    found, rest = _type(_WORDS.findall(text))
    assert not rest, text
    return found


def _type(words: list[str]) -> tuple[Type, list[str]]:
    name, rest = words[0], words[1:]
    parameters: list[Type] = []
    if rest and rest[0] == "(":
        while rest[0] != ")":
            inner, rest = _type(rest[1:])
            parameters.append(inner)
        rest = rest[1:]
    if name == "list":
        return types.list_of(parameters[0]), rest
    if name == "map":
        return types.map_of(*parameters), rest
    if name == "optional":
        return types.optional_of(parameters[0]), rest
    if name == "type":
        return types.type_of(parameters[0]), rest
    if len(name) == 1:
        return types.param(name), rest
    return _SCALARS.get(name) or NAMED[name], rest


def _split(text: str) -> list[str]:
    """The arguments of a signature: cut at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]] if text.strip() else []


class Overload:
    """One signature of a function. guarded: whether values are compared with it before the call (dyn arguments)."""

    def __init__(self, id: str, signature: str, call: Impl | None = None, *, guarded: bool = True) -> None:
        head, result = signature.rsplit(" -> ", 1)
        opening = head.index("(", head.index(").") if ")." in head else 0)
        path = head[:opening]
        self.id = id
        self.call = call
        self.guarded = guarded
        self.result = read_type(result)
        arguments = [read_type(one) for one in _split(head[opening + 1 : -1])]
        receiver, dot, name = path.rpartition(".")
        self.member = bool(dot) and not _is_namespace(receiver)
        self.name = name if self.member or not dot else path
        self.arguments = (read_type(receiver), *arguments) if self.member else tuple(arguments)
        self.parameters = sorted({one.name for argument in (self.result, *self.arguments) for one in _params(argument)})

    def fits(self, args: tuple[Any, ...]) -> bool:
        """Whether values are of the types that the signature wants."""
        return len(args) == len(self.arguments) and all(map(matches, self.arguments, args))


def _is_namespace(receiver: str) -> bool:
    return receiver in ("cel", "sets", "strings", "lists", "optional", "ip", "format", "jsonpatch")


def _params(one: Type) -> Iterable[Type]:
    if one.kind == "param":
        yield one
    for inner in one.parameters:
        yield from _params(inner)


def matches(wanted: Type, value: Any) -> bool:
    """Whether a value is of a type; of lists and maps the first entry decides."""
    kind = wanted.kind
    if kind in ("dyn", "any", "param"):
        return True
    if kind == "list":
        return is_list(value) and (not len(value) or _first_matches(wanted.parameters[0], value))
    if kind == "map":
        if not is_map(value):
            return False
        first = next(iter(keys(value)), None)
        if first is None:
            return True
        return matches(wanted.parameters[0], first) and matches(wanted.parameters[1], find(value, first))
    return type_of(value).name == wanted.name


def _first_matches(wanted: Type, items: Any) -> bool:
    if wanted.kind in ("dyn", "any", "param"):
        return True
    try:
        return matches(wanted, items[0])
    except CelError:
        return False  # an item that its schema cannot read is of no type


class Function:
    """A function with all its overloads, from whatever library."""

    def __init__(self, name: str, overloads: tuple[Overload, ...]) -> None:
        self.name = name
        self.overloads = overloads
        self.by_id = {overload.id: overload for overload in overloads}

    def fitting(self, args: tuple[Any, ...]) -> Overload | None:
        """The first overload that takes these values."""
        for overload in self.overloads:
            if overload.call is not None and (
                overload.fits(args) if overload.guarded else len(overload.arguments) == len(args)
            ):
                return overload
        return None

    def dispatch(self, args: tuple[Any, ...]) -> Any:
        """Call what fits the values: for arguments whose types are known only now."""
        overload = self.fitting(args)
        if overload is None or overload.call is None:
            raise self.no_overload(args)
        return overload.call(*args)

    def no_overload(self, args: tuple[Any, ...]) -> CelError:
        """The error for values that no overload takes."""
        return CelError(f"no such overload: {self.name}({', '.join(type_of(value).name for value in args)})")


def gather(libraries: Iterable[Iterable[Overload]]) -> Mapping[str, Function]:
    """All functions of some libraries by name."""
    found: dict[str, list[Overload]] = {}
    for library in libraries:
        for overload in library:
            found.setdefault(overload.name, []).append(overload)
    return {name: Function(name, tuple(overloads)) for name, overloads in found.items()}
