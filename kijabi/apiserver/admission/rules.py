"""Which writes a rule of a webhook or policy is about: groups, versions, resources, operations, scope, wildcards.

Pure. `matching.py` asks for the resource as requested and for its equivalents in other versions. Source:
k8s.io/apiserver `pkg/admission/plugin/webhook/predicates/rules`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kijabi.api.admissionregistration.policyrules import RuleWithOperations
from kijabi.api.resource import Resource

ANY = "*"
_CONFIGURATION = frozenset((
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies",
    "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
))  # fmt: skip
_REVIEWS = frozenset((
    "selfsubjectreviews.authentication.k8s.io", "tokenreviews.authentication.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io", "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io", "subjectaccessreviews.authorization.k8s.io",
))  # fmt: skip


def exempt(resource: Resource) -> bool:
    """Whether no webhook or policy has a say: their own configuration, so that a bad one can be mended, and reviews,
    without which the cluster's own authentication and authorisation would stand still."""
    if resource.group == "admissionregistration.k8s.io":
        return resource.plural in _CONFIGURATION
    return resource.qualified in _REVIEWS


def matches(rule: RuleWithOperations, resource: Resource, subresource: str, operation: str) -> bool:
    """Whether a rule names this kind of write."""
    return (
        _named(rule.operations, operation)
        and _named(rule.apiGroups, resource.group)
        and _named(rule.apiVersions, resource.version)
        and any(_resource(each, resource.plural, subresource) for each in rule.resources)
        and _scope(rule.scope, resource)
    )


def _named(names: Iterable[str], name: str) -> bool:
    return any(each in (ANY, name) for each in names)


def _resource(pattern: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `pods/*`, `*/scale`, `*/*`, or `*` for all without subresources."""
    name, _, sub = pattern.partition("/")
    return name in (ANY, plural) and sub in (ANY, subresource)


def _scope(scope: str | None, resource: Resource) -> bool:
    match scope:
        case None | "*":
            return True
        case "Namespaced":
            return resource.namespaced
        case "Cluster":
            return not resource.namespaced
        case _:
            return False
