"""What Kubernetes answers to some 3,700 expressions: error texts, estimates, values, costs.

The tables in `facts/` were made with upstream's own compiler (cel-go 0.29 with the libraries of k8s.io/apiserver 0.37)
from expressions of ours, from random ones and from the rules that upstream tests schemas with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kijabi.api.cel.environment import Budget, Environment
from kijabi.api.cel.errors import CelCompileError, CelError
from kijabi.api.cel.estimates import estimate_cost
from kijabi.api.cel.evaluate import CelProgramError
from kijabi.api.cel.types import DYN, Declared, Type, from_schema
from kijabi.api.cel.values import (
    MISSING,
    Duration,
    Optional,
    Timestamp,
    Uint,
    find,
    go_float,
    is_list,
    is_map,
    keys,
)  # fmt: skip

FACTS = Path(__file__).parent / "facts"
ENOUGH = 10**15


def groups() -> list[Any]:
    found = []
    for path in sorted(FACTS.glob("*.json")):
        for index, group in enumerate(json.loads(path.read_text())):
            found.append(pytest.param(group, id=f"{path.stem}-{index}"))
    return found


@pytest.mark.parametrize("group", groups())
def test_expressions_give_what_upstream_gives(group: dict[str, Any]) -> None:
    declared: Type | None = DYN
    if group["schema"] is not None:
        declared = from_schema(group["schema"], name="selfType.x", root=group.get("root", False))
    assert declared is not None
    environment = Environment({"self": declared})
    for fact in group["facts"]:
        given = answer(environment, declared, fact["expression"], group["self"])
        if "error" in fact:
            given.pop("cost", None)  # not counted the same where it is of no use
        assert given == {key: value for key, value in fact.items() if key != "expression"}, fact["expression"]


def answer(environment: Environment, declared: Type, expression: str, self: Any) -> dict[str, Any]:
    try:
        program = environment.compile(expression)
    except CelProgramError as error:
        return {"program": error.message}
    except CelCompileError as error:
        return {"compile": error.message}
    estimate = estimate_cost(program, declared if isinstance(declared, Declared) else None)
    given: dict[str, Any] = {"estimate": [estimate.min, estimate.max]}
    budget = Budget(ENOUGH)
    try:
        given["value"] = written(program.evaluate({"self": self}, budget))
    except CelError as error:
        given["error"] = error.message
    return given | {"cost": ENOUGH - budget.remaining}


def written(value: Any) -> str:
    """A value with its type, as the tables have it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Uint():
            return f"{int(value)}u"
        case int():
            return str(value)
        case float():
            return f"d{go_float(value)}"
        case str():
            return quoted(value)
        case bytes():
            return f"b{value.hex()}"
        case Timestamp():
            return f"ts({value.nanos})"
        case Duration():
            return f"dur({value.nanos})"
        case Optional():
            return "none" if value.value is MISSING else f"opt({written(value.value)})"
        case Type():
            return f"type({value.name})"
    if is_list(value):
        return f"[{','.join(map(written, value))}]"
    if is_map(value):
        return f"{{{','.join(sorted(f'{written(key)}:{written(find(value, key))}' for key in keys(value)))}}}"
    return f"<{value.cel_type.name}>"


def quoted(text: str) -> str:
    """A text as Go quotes it in ASCII."""
    simple = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    parts = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            parts.append(f"\\{char}")
        elif char in simple:
            parts.append(simple[char])
        elif 32 <= code < 127:
            parts.append(char)
        else:
            parts.append(f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}")
    return f'"{"".join(parts)}"'
