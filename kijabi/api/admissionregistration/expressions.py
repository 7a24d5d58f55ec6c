"""The expressions of webhooks and policies: what they may read, and how they are compiled.

`matching_rules.py` and `policy_rules.py` compile them to tell a writer what is wrong; the API server compiles the same
way what it evaluates. Source: k8s.io/apiserver `pkg/admission/plugin/cel`.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.cel.types import BOOL, Type


class ExpressionError(ValueError):
    """An expression that does not compile, in upstream's words."""


class Compiler:
    """Compiles expressions of one webhook or policy. params, authorizer, patches: what they may use besides
    `object`, `oldObject`, `request` and `namespaceObject`."""

    def __init__(self, *, params: bool = False, authorizer: bool = True, patches: bool = False) -> None:
        self.params = params
        self.authorizer = authorizer
        self.patches = patches

    def compile(self, expression: str, returns: tuple[Type, ...]) -> Any:
        """The program of an expression. Raises ExpressionError."""
        return None


__all__ = ("BOOL", "Compiler", "ExpressionError")
