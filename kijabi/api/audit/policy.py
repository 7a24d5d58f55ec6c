"""Which requests are recorded, and how fully: the file of `--audit-policy-file`.

`apiserver/audit/policy.py` reads one and asks it about every request. Types and rules: k8s.io/apiserver
`pkg/apis/audit/v1` and `pkg/apis/audit/validation`.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.formats import dns_subdomain
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import invalid, not_supported, required

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


class GroupResources(Struct):
    """Resources of one API group, `*` for any; no resources mean all of the group."""

    group: Annotated[str, Tag(1)] = ""
    resources: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    resourceNames: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class PolicyRule(Struct):
    """How fully the requests are recorded that all of its filled members match."""

    level: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    users: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    userGroups: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    verbs: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    resources: Annotated[tuple[GroupResources, ...], Tag(5, listType="atomic")] = ()
    namespaces: Annotated[tuple[str, ...], Tag(6, listType="atomic")] = ()
    nonResourceURLs: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()
    omitStages: Annotated[tuple[str, ...], Tag(8, listType="atomic")] = ()
    omitManagedFields: Annotated[bool | None, Tag(9)] = None


class Policy(Object):
    """Rules in order, of which the first that matches decides; no rule means that nothing is recorded."""

    rules: Annotated[tuple[PolicyRule, ...], Tag(2, listType="atomic", required=True)] = ()
    omitStages: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    omitManagedFields: Annotated[bool, Tag(4)] = False


def validate(policy: Policy) -> Sequence[FieldError]:
    """Everything that is wrong with a policy."""
    errors = list(_stages(policy.omitStages, "omitStages"))
    for index, rule in enumerate(policy.rules):
        errors += _rule(rule, f"rules[{index}]")
    return errors


def _rule(rule: PolicyRule, path: str) -> Iterator[FieldError]:
    if not rule.level:
        yield required(f"{path}.level")
    elif rule.level not in LEVELS:
        yield not_supported(f"{path}.level", rule.level, LEVELS)
    urls = f"{path}.nonResourceURLs"
    for index, url in enumerate(rule.nonResourceURLs):
        if url == "*":
            continue
        if not url.startswith("/"):
            text = "non-resource URL rules must begin with a '/' character"
            yield invalid(f"{urls}[{index}]", url, text)
        if "*" in url[:-1]:
            text = "non-resource URL wildcards '*' must be the final character of the rule"
            yield invalid(f"{urls}[{index}]", url, text)
    for each in rule.resources:
        problems = dns_subdomain(each.group) if each.group not in ("", "*") else ()
        if problems:
            yield invalid(f"{path}.resources.group", each.group, ",".join(problems))
        if each.resourceNames and not each.resources:
            text = "using resourceNames requires at least one resource"
            yield invalid(f"{path}.resources.resourceNames", list(each.resourceNames), text)
    yield from _stages(rule.omitStages, f"{path}.omitStages")
    if rule.nonResourceURLs and (rule.resources or rule.namespaces):
        text = "rules cannot apply to both regular resources and non-resource URLs"
        yield invalid(urls, list(rule.nonResourceURLs), text)


def _stages(stages: Sequence[str], path: str) -> Iterator[FieldError]:
    for index, stage in enumerate(stages):
        if stage not in STAGES:
            yield invalid(f"{path}[{index}]", stage, f"allowed stages are {','.join(STAGES)}")
