"""What an RBAC rule means: does it allow a request, and do some rules cover others. Pure.

`rbac.py` asks the first question of every request, `escalation.py` the second when somebody writes a role or
a binding. The semantics are those of k8s.io/kubernetes `pkg/apis/rbac/v1/evaluation_helpers.go` and
k8s.io/component-helpers `auth/rbac/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from kijabi.api.gotext import quote
from kijabi.api.rbac.role import PolicyRule
from kijabi.apiserver.attributes import RequestInfo, UserInfo

ALL = "*"
EVERYTHING = (
    PolicyRule(verbs=(ALL,), apiGroups=(ALL,), resources=(ALL,)),
    PolicyRule(verbs=(ALL,), nonResourceURLs=(ALL,)),
)


class Resolved(NamedTuple):
    """What a user may do in a namespace, as far as it can be listed."""

    rules: tuple[PolicyRule, ...] = ()
    incomplete: bool = False
    errors: tuple[str, ...] = ()


@runtime_checkable
class Resolver(Protocol):
    """An authorizer that can list what a user may do."""

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """All rules in a namespace."""
        ...


def allows(rule: PolicyRule, info: RequestInfo) -> bool:
    """Does this one rule permit the request?"""
    if info.verb not in rule.verbs and ALL not in rule.verbs:
        return False
    if not info.is_resource:
        return _url_matches(rule.nonResourceURLs, info.path)
    if info.group not in rule.apiGroups and ALL not in rule.apiGroups:
        return False
    if not _resource_matches(rule.resources, info.resource, info.subresource):
        return False
    return not rule.resourceNames or info.name in rule.resourceNames


def _resource_matches(resources: Sequence[str], resource: str, subresource: str) -> bool:
    if ALL in resources:
        return True
    if not subresource:
        return resource in resources
    return f"{resource}/{subresource}" in resources or f"*/{subresource}" in resources


def _url_matches(patterns: Sequence[str], path: str) -> bool:
    return any(
        pattern in (ALL, path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))
        for pattern in patterns
    )


def missing(held: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> list[PolicyRule]:
    """The parts of `wanted` that no single rule of `held` grants, each with one group, resource and verb."""
    return [atom for rule in wanted for atom in _atoms(rule) if not any(_covers(own, atom) for own in held)]


def _atoms(rule: PolicyRule) -> Iterator[PolicyRule]:
    for group in rule.apiGroups:
        for resource in rule.resources:
            for verb in rule.verbs:
                if not rule.resourceNames:
                    yield PolicyRule(apiGroups=(group,), resources=(resource,), verbs=(verb,))
                for name in rule.resourceNames:
                    yield PolicyRule(apiGroups=(group,), resources=(resource,), verbs=(verb,), resourceNames=(name,))
    for url in rule.nonResourceURLs:
        for verb in rule.verbs:
            yield PolicyRule(nonResourceURLs=(url,), verbs=(verb,))


def _covers(own: PolicyRule, atom: PolicyRule) -> bool:
    if ALL not in own.verbs and not set(atom.verbs) <= set(own.verbs):
        return False
    if atom.nonResourceURLs:
        return all(_url_covered(own.nonResourceURLs, url) for url in atom.nonResourceURLs)
    if ALL not in own.apiGroups and not set(atom.apiGroups) <= set(own.apiGroups):
        return False
    if not all(_resource_covered(own.resources, resource) for resource in atom.resources):
        return False
    if not own.resourceNames:
        return True
    return bool(atom.resourceNames) and set(atom.resourceNames) <= set(own.resourceNames)


def _resource_covered(resources: Sequence[str], wanted: str) -> bool:
    if ALL in resources or wanted in resources:
        return True
    _, slash, subresource = wanted.partition("/")
    return bool(slash) and f"*/{subresource}" in resources


def _url_covered(patterns: Sequence[str], wanted: str) -> bool:
    return any(
        pattern == wanted or (pattern.endswith("*") and wanted.startswith(pattern.rstrip("*"))) for pattern in patterns
    )


def describe(rules: Iterable[PolicyRule]) -> str:
    """Rules as the escalation message lists them: rules that differ by verb alone are one, lines are
    sorted."""
    lines: list[str] = []
    merged: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for rule in rules:
        if rule.nonResourceURLs:
            lines.append(_line(rule, rule.verbs))
        else:
            merged.setdefault((rule.apiGroups, rule.resources, rule.resourceNames), []).extend(rule.verbs)
    for (groups, resources, names), verbs in merged.items():
        rule = PolicyRule(apiGroups=groups, resources=resources, resourceNames=names)
        lines.append(_line(rule, verbs))
    return "\n".join(sorted(set(lines)))


def _line(rule: PolicyRule, verbs: Sequence[str]) -> str:
    parts = (
        ("APIGroups", rule.apiGroups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.nonResourceURLs),
        ("ResourceNames", rule.resourceNames),
        ("Verbs", verbs),
    )
    return "{" + ", ".join(f"{name}:{go_list(values)}" for name, values in parts if values) + "}"


def go_list(values: Iterable[str]) -> str:
    """Strings as Go's %q prints a slice of them: `["a" "b"]`."""
    return "[" + " ".join(quote(value) for value in values) + "]"
