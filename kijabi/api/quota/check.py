"""A write against the quotas of its namespace: what it costs each of them, or why it may not be.

Pure. `apiserver/admission/resourcequota.py` gives the quotas as they are and writes down the charges. Texts are from
k8s.io/apiserver `pkg/admission/plugin/resourcequota`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kijabi.api.core.resourcequota import ResourceQuota, ScopedResourceSelectorRequirement
from kijabi.api.core.resources import ResourceList
from kijabi.api.quota.amounts import ZERO, add, exceeded, growth, only, shown
from kijabi.api.quota.evaluators import Evaluator

Requirement = ScopedResourceSelectorRequirement


class Refused(Exception):
    """The write may not be; the text says why."""


class Charge(NamedTuple):
    """What a quota has used once the write is done.

    Of a quota that is not counted yet, nothing more: but it is written all the same, so that a count that is under way
    and does not know of this object cannot be written any more.
    """

    quota: ResourceQuota
    used: ResourceList


class Limited(NamedTuple):
    """What may only be used where a quota covers it (apiserver.config.k8s.io LimitedResource).

    resource: `pods`, or `widgets.example.com`. contains: parts of names of what is used. scopes: of the objects.
    """

    resource: str
    contains: tuple[str, ...] = ()
    scopes: tuple[Requirement, ...] = ()


class Write(NamedTuple):
    """One write as quotas see it. old: None on a creation; bounded: whether it may not exceed what there is."""

    new: Any
    old: Any
    now: datetime
    bounded: bool = True


def requirements(quota: ResourceQuota) -> list[Requirement]:
    """Everything that an object must fulfil to be counted by a quota."""
    spec = quota.spec
    scopes = [Requirement(scopeName=scope, operator="Exists") for scope in spec.scopes]
    return scopes + list(spec.scopeSelector.matchExpressions if spec.scopeSelector is not None else ())


def concerns(quota: ResourceQuota, evaluator: Evaluator, obj: Any) -> bool:
    """Whether a quota counts an object."""
    return any(map(evaluator.counts, quota.status.hard)) and all(
        evaluator.in_scope(each, obj) for each in requirements(quota)
    )


def check(
    quotas: Iterable[ResourceQuota], evaluator: Evaluator, write: Write, limited: Sequence[Limited] = ()
) -> list[Charge]:
    """What the write costs each quota; nothing where it costs nothing. Raises Refused."""
    found = list(quotas)
    matching = [quota for quota in found if concerns(quota, evaluator, write.new)]
    covered: set[str] = set()
    for quota in matching:
        covered |= _demand(quota, evaluator, write.new)
    usage = evaluator.usage(write.new, write.now)
    negative = sorted(name for name, amount in usage.items() if amount.cmp(ZERO) < 0)
    if negative:
        raise Refused(f"quota usage is negative for resource(s): {','.join(negative)}")
    grown = growth(usage, evaluator.usage(write.old, write.now) if write.old is not None else {})
    costs = [(quota, _cost(quota, evaluator, write, usage, grown)) for quota in matching]
    if limited and (any(cost for _, cost in costs) if matching else grown):
        _refuse_uncovered(found, evaluator, write.new, usage, covered, limited)
    charges = [_charge(quota, cost, write.bounded) for quota, cost in costs if cost]
    touched = [quota for quota in found if grown and _awaits(quota, evaluator, write.new)]
    return charges + [Charge(each, each.status.used) for each in touched if all(c.quota is not each for c in charges)]


def _awaits(quota: ResourceQuota, evaluator: Evaluator, obj: Any) -> bool:
    """Whether a quota will count an object under names that its status does not have yet."""
    awaited = (name for name in quota.spec.hard if name not in quota.status.hard)
    return any(map(evaluator.counts, awaited)) and all(evaluator.in_scope(each, obj) for each in requirements(quota))


def _demand(quota: ResourceQuota, evaluator: Evaluator, obj: Any) -> set[str]:
    """The names that the quota counts of this kind; raises Refused if the object or the quota does not state them."""
    names = {name for name in quota.status.hard if evaluator.counts(name)}
    missing = evaluator.missing(obj, names)
    if missing:
        raise Refused(f"failed quota: {quota.metadata.name}: {missing}")
    if not names <= quota.status.used.keys():
        raise Refused(f"status unknown for quota: {quota.metadata.name}, resources: {','.join(sorted(names))}")
    return names


def _cost(
    quota: ResourceQuota, evaluator: Evaluator, write: Write, usage: ResourceList, grown: ResourceList
) -> ResourceList:
    """Only the growth, if the quota counted the object before."""
    before = write.old is not None and concerns(quota, evaluator, write.old)
    cost = grown if before else {name: amount for name, amount in usage.items() if not amount.is_zero()}
    return only(cost, quota.status.hard)


def _charge(quota: ResourceQuota, cost: ResourceList, bounded: bool) -> Charge:
    used = dict(quota.status.used)
    add(used, cost)
    over = exceeded(only(used, cost), quota.status.hard)
    if bounded and over:
        state = quota.status
        asked, taken, most = (shown(only(each, over)) for each in (cost, state.used, state.hard))
        raise Refused(f"exceeded quota: {quota.metadata.name}, requested: {asked}, used: {taken}, limited: {most}")
    return Charge(quota, used)


def _refuse_uncovered(
    quotas: Iterable[ResourceQuota],
    evaluator: Evaluator,
    obj: Any,
    usage: ResourceList,
    covered: set[str],
    limited: Sequence[Limited],
) -> None:
    """Raises Refused for what may only be used under a quota where there is none for it."""
    mine = [each for each in limited if each.resource == evaluator.qualified]
    wanted = {
        name
        for name, amount in usage.items()
        if amount.cmp(ZERO) > 0 and any(part in name for each in mine for part in each.contains)
    }
    if wanted - covered:
        raise Refused(f"insufficient quota to consume: {','.join(sorted(wanted - covered))}")
    there = {each.scopeName for quota in quotas for each in requirements(quota) if evaluator.in_scope(each, obj)}
    scopes = [each for item in limited for each in item.scopes if evaluator.in_scope(each, obj)]
    bare = [each for each in scopes if each.scopeName not in there]
    if bare:
        text = " ".join(f"{{{each.scopeName} {each.operator} [{' '.join(each.values)}]}}" for each in bare)
        raise Refused(f"insufficient quota to match these scopes: [{text}]")
