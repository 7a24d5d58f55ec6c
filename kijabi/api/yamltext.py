"""YAML bodies as JSON, read the way Kubernetes reads them; `codec.py` takes it from there.

PyYAML follows YAML 1.1 to the letter, where `22:22` is a number in base sixty and `2001-02-03` a date. Kubernetes
(sigs.k8s.io/yaml) knows neither; it takes `y` and `on` for booleans, `1e3` for a number and the digits after `0o` as
octal. Apart from the API server, which calls this for `application/yaml`, nothing loads PyYAML through here.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
import yaml

from kijabi.base.errors import BadRequest

_MAX_DEPTH = 1_000  # libyaml composes by recursion in C: a deep document would end the process
_MAX_VALUES = 400_000  # in the document with its aliases written out

_TAG = "tag:yaml.org,2002:"
_TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class _Loader(yaml.CSafeLoader):
    """Safe YAML with the scalars of Kubernetes, keys as text, and a list of keys that came twice."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.problems: list[str] = []


def _construct_bool(_: _Loader, node: yaml.ScalarNode) -> bool:
    return node.value in _TRUE


def _construct_int(_: _Loader, node: yaml.ScalarNode) -> int | float:
    text = node.value.replace("_", "")
    digits = text.lstrip("+-")
    old_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = int(digits, 8 if old_octal else 0)
    return -value if text.startswith("-") else value


def _construct_float(_: _Loader, node: yaml.ScalarNode) -> float | str:
    value = float(node.value)
    if math.isinf(value):
        return str(node.value)
    # Go writes a whole float without its point, so `replicas: 1e1` fits an integer.
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _construct_text(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    members: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(loader.construct_object(key_node, deep=True))
        if key in members:
            loader.problems.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
        members[key] = loader.construct_object(value_node, deep=True)
    return members


def _key(key: Any) -> str:
    """A member's name: JSON has only texts."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, str | int | float):
        return str(key)
    raise yaml.YAMLError("unsupported map key")


_Loader.add_implicit_resolver(_TAG + "bool", re.compile(f"({'|'.join(sorted(_TRUE | _FALSE))})$"), list("yYnNtTfFoO"))
_Loader.add_implicit_resolver(_TAG + "int", re.compile(f"({_INT.pattern})$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_TAG + "float", re.compile(f"({_FLOAT.pattern})$"), list("-+0123456789."))
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<$"), ["<"])
_Loader.add_constructor(_TAG + "bool", _construct_bool)
_Loader.add_constructor(_TAG + "int", _construct_int)
_Loader.add_constructor(_TAG + "float", _construct_float)
_Loader.add_constructor(_TAG + "merge", _construct_text)
_Loader.add_constructor(_TAG + "map", _construct_map)


def to_json(data: bytes) -> tuple[bytes, list[str]]:
    """The first document as JSON, and what a strict reader minds: keys set twice. BadRequest for anything else.

    A document whose aliases would unfold to very much is refused.
    """
    try:
        _check_depth(data)
        loader = _Loader(data)
        try:
            node = loader.get_node() if loader.check_node() else None
            if node is not None:
                _bound(node)
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
        text = msgspec.json.encode(value)
    except RecursionError:
        reason = "exceeded max depth"
    except yaml.MarkedYAMLError as error:
        reason = _line(error) + (error.problem or "")
    except (yaml.YAMLError, ValueError, TypeError, UnicodeError) as error:
        reason = " ".join(str(error).split())
    else:
        lines = "".join(f"\n  {problem}" for problem in loader.problems)
        return text, [f"yaml: unmarshal errors:{lines}"] if lines else []
    raise BadRequest(f"yaml: {reason}")


def _check_depth(data: bytes) -> None:
    """Refuse documents that nest too deep, by their events, which come without recursion."""
    depth = 0
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise yaml.YAMLError("exceeded max depth")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(error: yaml.MarkedYAMLError) -> str:
    """The place of an error as go-yaml tells it: one line early, except for errors of the scanner."""
    line = error.problem_mark.line if error.problem_mark else 0
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    if not line and error.context_mark:
        line = error.context_mark.line
    return f"line {line}: " if line else ""


def _bound(root: yaml.Node) -> None:
    """Refuse documents that are small on paper and huge unfolded; a shared node counts each time it is used."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        sizes[id(node)] = _MAX_VALUES + 1  # what contains itself is endless
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        total = sizes[id(node)] = 1 + sum(map(size, parts))
        return total

    if size(root) > _MAX_VALUES:
        raise yaml.YAMLError("document contains excessive aliasing")
