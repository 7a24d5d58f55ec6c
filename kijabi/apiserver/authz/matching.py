"""Match conditions: expressions over a request that must hold before a webhook of authorisation is asked.

`config.py` checks them, `webhook.py` evaluates them. They see the spec of a SubjectAccessReview as `request`. Source:
k8s.io/apiserver `pkg/authorization/cel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from kijabi.api.authorization.subjectaccessreview import SubjectAccessReviewSpec
from kijabi.api.cel.environment import Environment, Program
from kijabi.api.cel.types import BOOL, STRING, declare, list_of, map_of
from kijabi.api.gotext import aggregate
from kijabi.api.resource import FieldError
from kijabi.apiserver import expressions

_TEXTS = list_of(STRING)
_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


@cache
def environment() -> Environment:
    """What the expressions may read."""
    requirement = declare("kubernetes.SelectorRequirement", {"key": STRING, "operator": STRING, "values": _TEXTS})
    selector = {"rawSelector": STRING, "requirements": list_of(requirement)}
    resource = {
        **dict.fromkeys(_ATTRIBUTES, STRING),
        "fieldSelector": declare("kubernetes.FieldSelectorAttributes", selector),
        "labelSelector": declare("kubernetes.LabelSelectorAttributes", selector),
    }
    spec = {
        "resourceAttributes": declare("kubernetes.ResourceAttributes", resource),
        "nonResourceAttributes": declare("kubernetes.NonResourceAttributes", {"path": STRING, "verb": STRING}),
        "user": STRING, "groups": _TEXTS, "extra": map_of(STRING, _TEXTS), "uid": STRING,
    }  # fmt: skip
    return Environment({"request": declare("kubernetes.SubjectAccessReviewSpec", spec)})


def compiled(expression: str, path: str) -> tuple[Program | None, list[FieldError]]:
    """The program of a condition, or what is wrong with it."""
    program, problems = expressions.compiled(environment(), expression, path)
    if program is not None:
        problems = expressions.wrong_result(program, BOOL, path, told=True)
    return program, problems


class MatchError(Exception):
    """No condition is false, and some have no value; the text is upstream's."""


class Matcher:
    """The conditions of one webhook."""

    def __init__(self, conditions: Sequence[str]) -> None:
        self._programs = [program for text in conditions if (program := compiled(text, "")[0]) is not None]

    async def matches(self, spec: SubjectAccessReviewSpec) -> bool:
        """Whether all hold; one that is false outweighs errors. Raises MatchError."""
        if not self._programs:
            return True
        bindings = {"request": _shown(spec)}
        errors: list[str] = []
        for program in self._programs:
            try:
                if await expressions.evaluate(program, bindings) is False:
                    return False
            except expressions.EvaluationError as error:
                errors.append(f"cel evaluation error: {error}")
        if errors:
            raise MatchError(aggregate(errors))
        return True


def _shown(spec: SubjectAccessReviewSpec) -> dict[str, Any]:
    """A spec as expressions see it: every text, also an empty one."""
    shown: dict[str, Any] = {"user": spec.user, "groups": spec.groups, "uid": spec.uid, "extra": spec.extra}
    resource, other = spec.resourceAttributes, spec.nonResourceAttributes
    if resource is not None:
        attributes: dict[str, Any] = {name: getattr(resource, name) for name in _ATTRIBUTES}
        for name in ("fieldSelector", "labelSelector"):
            selector = getattr(resource, name)
            if selector is not None:
                terms = [
                    {"key": term.key, "operator": term.operator, "values": term.values}
                    for term in selector.requirements
                ]
                attributes[name] = {"requirements": terms}
        shown["resourceAttributes"] = attributes
    if other is not None:
        shown["nonResourceAttributes"] = {"verb": other.verb, "path": other.path}
    return shown
