"""Which FlowSchema a request falls under: the first, by precedence, one of whose rules names its user and what it does.

`gate.py` asks once for each kind of request of each user. Pure (KEP-1040; k8s.io/apiserver
`pkg/util/flowcontrol/rule.go`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kijabi.api.flowcontrol.flowschema import (
    FlowSchema,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    ResourcePolicyRule,
    Subject,
)
from kijabi.apiserver.attributes import RequestInfo, UserInfo

_ACCOUNT = "system:serviceaccount:"


def in_order(schemas: Iterable[FlowSchema]) -> list[FlowSchema]:
    """As they are asked: by precedence, then by name."""
    return sorted(schemas, key=lambda schema: (schema.spec.matchingPrecedence, schema.metadata.name))


def find(schemas: Sequence[FlowSchema], user: UserInfo, info: RequestInfo) -> FlowSchema | None:
    """The first schema that matches."""
    return next((each for each in schemas if any(_rule(rule, user, info) for rule in each.spec.rules)), None)


def distinguisher(schema: FlowSchema, user: UserInfo, info: RequestInfo) -> str:
    """What tells a request's flow from others of the same schema."""
    method = schema.spec.distinguisherMethod
    if method is None:
        return ""
    return user.name if method.type == "ByUser" else info.namespace


def _rule(rule: PolicyRulesWithSubjects, user: UserInfo, info: RequestInfo) -> bool:
    if not any(_subject(subject, user) for subject in rule.subjects):
        return False
    if info.is_resource:
        return any(_resource(each, info) for each in rule.resourceRules)
    return any(_url(each, info) for each in rule.nonResourceRules)


def _subject(subject: Subject, user: UserInfo) -> bool:
    match subject.kind:
        case "User":
            return subject.user is not None and subject.user.name in ("*", user.name)
        case "Group":
            return subject.group is not None and (subject.group.name == "*" or subject.group.name in user.groups)
        case "ServiceAccount":
            account = subject.serviceAccount
            if account is None:
                return False
            prefix = f"{_ACCOUNT}{account.namespace}:"
            return user.name.startswith(prefix) if account.name == "*" else user.name == prefix + account.name
        case _:
            return False


def _among(value: str, listed: Sequence[str]) -> bool:
    return value in listed or (len(listed) == 1 and listed[0] == "*")


def _resource(rule: ResourcePolicyRule, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    if not (_among(info.verb, rule.verbs) and _among(resource, rule.resources) and _among(info.group, rule.apiGroups)):
        return False
    return _among(info.namespace, rule.namespaces) if info.namespace else rule.clusterScope


def _url(rule: NonResourcePolicyRule, info: RequestInfo) -> bool:
    if not _among(info.verb, rule.verbs):
        return False
    for url in rule.nonResourceURLs:
        if url in ("*", info.path):
            return True
        prefix = url.removesuffix("*")
        if info.path.startswith(prefix if prefix.endswith("/") else f"{prefix}/"):
            return True
    return False
