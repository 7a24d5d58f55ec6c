"""What a namespace uses of a quota, counted from its objects.

Pure. `controllers/resourcequota.py` brings the objects and writes the result into the quota's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from kijabi.api.core.resourcequota import ResourceQuota, ResourceQuotaStatus
from kijabi.api.core.resources import ResourceList
from kijabi.api.quantity import Quantity
from kijabi.api.quota.amounts import ZERO, add, equal, only
from kijabi.api.quota.check import requirements
from kijabi.api.quota.evaluators import ALIASES, EVALUATORS, Evaluator, named

COUNT = "count/"


def kinds(quota: ResourceQuota) -> list[str]:
    """The kinds that a quota counts, by their qualified names, whether they exist or not."""
    names = quota.spec.hard
    found = [qualified for qualified, evaluator in EVALUATORS.items() if any(map(evaluator.counts, names))]
    plain = {name.removeprefix(COUNT) for name in names if name in ALIASES or name.startswith(COUNT)}
    return found + sorted(plain - EVALUATORS.keys())


def used_by(quota: ResourceQuota, evaluator: Evaluator, objects: Iterable[Any], now: datetime) -> ResourceList:
    """What these objects of one kind take of a quota, under every name of it that the kind counts for."""
    names = [name for name in quota.spec.hard if evaluator.counts(name)]
    total: ResourceList = dict.fromkeys(names, ZERO)
    wanted = requirements(quota)
    for obj in objects:
        if all(evaluator.in_scope(each, obj) for each in wanted):
            add(total, evaluator.usage(obj, now))
    return only(total, names)


def counted(quota: ResourceQuota, qualified: str, number: int) -> ResourceList:
    """What so many objects of a kind take that is only counted: it falls into no scope."""
    found = Quantity.of(0 if requirements(quota) else number)
    return {name: found for name in named(qualified).names if name in quota.spec.hard}


def status(quota: ResourceQuota, found: Mapping[str, ResourceList]) -> ResourceQuotaStatus | None:
    """The quota's new status from what each kind uses; None if it has it already.

    Names that no kind is known for keep what is said of them.
    """
    used = dict(quota.status.used)
    for amounts in found.values():
        used.update(amounts)
    used = only(used, quota.spec.hard)
    if quota.status.hard == quota.spec.hard and equal(used, quota.status.used):
        return None
    return ResourceQuotaStatus(hard=dict(quota.spec.hard), used=used)
