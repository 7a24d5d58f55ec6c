"""The rule for PodDisruptionBudgets."""

from __future__ import annotations

from kijabi.api.core.pod import Pod
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import from_label_selector
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import ready

EVICTED = "EvictionByEvictionAPI"


class BudgetsKept:
    """An eviction never leaves fewer healthy pods than the budget wants (policy/v1 PodDisruptionBudget, KEP-85).

    The promise begins when the status says of the present generation what is true; it ends when a pod stops being
    healthy in any other way, for of that the controller must hear first. `judged` counts the evictions that it covered.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._promised: set[str] = set()

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is PodDisruptionBudget:
            self._budget(change, ledger)
        elif change.resource.type is Pod and change.old is not None and ready(change.old):
            return self._pod(change, ledger)
        return None

    def _budget(self, change: Change, ledger: Ledger) -> None:
        old, new = change.old, change.new
        uid = change.obj.metadata.uid
        if new is None or old is None or old.spec != new.spec:
            self._promised.discard(uid)
            return
        seen = new.status.observedGeneration == new.metadata.generation and old.status != new.status
        if seen and not new.status.disruptedPods and new.status.currentHealthy == _healthy(new, ledger):
            self._promised.add(uid)

    def _pod(self, change: Change, ledger: Ledger) -> str | None:
        """A healthy pod changed; by whom, its conditions say."""
        new: Pod | None = change.new
        moved = new is not None and new.metadata.labels != change.old.metadata.labels
        if new is not None and ready(new) and not moved:
            return None
        asked = new is None or new.metadata.deletionTimestamp is not None
        evicted = asked and any(c.reason == EVICTED and c.status == "True" for c in change.obj.status.conditions)
        for budget in ledger.of(PodDisruptionBudget):
            if budget.metadata.uid not in self._promised or not _covers(budget, change.old):
                continue
            if not evicted:
                self._promised.discard(budget.metadata.uid)
                continue
            self.judged += 1
            left, least = _healthy(budget, ledger), budget.status.desiredHealthy
            if left < least:
                return f"evicted, though {budget.metadata.name} wants {least} healthy pods and is left with {left}"
        return None


def _covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    same = budget.metadata.namespace == pod.metadata.namespace
    return same and from_label_selector(budget.spec.selector).matches(pod.metadata.labels)


def _healthy(budget: PodDisruptionBudget, ledger: Ledger) -> int:
    return sum(ready(pod) for pod in ledger.of(Pod) if _covers(budget, pod))
