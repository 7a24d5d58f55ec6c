"""The safety of quotas: nothing is taken that is not charged, and nothing beyond what there is.

`checkers.standard()` has the checker; it counts with `api/quota`, from the objects that the ledger shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.quota import evaluators
from kijabi.api.quota.amounts import exceeded, growth, only, shown
from kijabi.api.quota.count import counted, kinds, used_by
from kijabi.base import clock
from kijabi.testing.history import Change, Ledger


class QuotasKept:
    """What a quota says is used is never less than what its namespace uses, and who creates something does not go
    beyond the hard limits in force (core/v1 ResourceQuota). A transaction writes the object before its charge, so a
    creation is looked at without the charge of its own.
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        evaluator = evaluators.of(change.resource)
        if evaluator is None or change.new is None or isinstance(change.new, ResourceQuota):
            return None
        for quota in ledger.of(ResourceQuota):
            if quota.metadata.namespace != change.new.metadata.namespace:
                continue
            names = {name for name in quota.status.hard if name in quota.status.used and evaluator.counts(name)}
            before = only(_used(quota, evaluator, list(_others(change, ledger))), names)
            if growth(before, quota.status.used):
                wrong = shown(growth(before, quota.status.used))
                return f"{quota.metadata.name} was not charged for {wrong}: {shown(quota.status.used)}"
            after = only(_used(quota, evaluator, _present(change, ledger)), names)
            more = growth(after, before)
            over = exceeded(only(after, more), quota.status.hard)
            if over:
                return f"{quota.metadata.name} is exceeded: {shown(after)} of {shown(quota.status.hard)}"
        return None


def _present(change: Change, ledger: Ledger) -> list[Any]:
    namespace = change.obj.metadata.namespace
    objects: Iterable[Any] = ledger.of(change.resource.type)
    return [obj for obj in objects if obj.metadata.namespace == namespace]


def _others(change: Change, ledger: Ledger) -> Iterator[Any]:
    """The objects as they were before the change."""
    for obj in _present(change, ledger):
        if obj is not change.new:
            yield obj
        elif change.old is not None:
            yield change.old


def _used(quota: ResourceQuota, evaluator: evaluators.Evaluator, objects: list[Any]) -> Any:
    if evaluator.qualified in evaluators.TYPES:
        return used_by(quota, evaluator, objects, clock.now())
    return counted(quota, evaluator.qualified, len(objects)) if evaluator.qualified in kinds(quota) else {}
