"""The rule for HorizontalPodAutoscalers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from kijabi.api.apps.deployment import Deployment
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import CONTROLLERS, STALE

Bounds = tuple[float, int, int]
"""Until when they held, the fewest and the most."""


class ScaledWithinBounds:
    """Controllers change how many pods a Deployment is to have only where an autoscaler is for it, only to a number
    within its minReplicas and maxReplicas, and never from 0, which turns it off (autoscaling/v2). Bounds that held a
    while ago count, for caches lag. `judged` counts changes.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._before: defaultdict[str, list[Bounds]] = defaultdict(list)  # of a Deployment's key: what held once

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is HorizontalPodAutoscaler and change.old is not None:
            one = change.old.spec
            self._before[_target(change.old)].append((change.time, one.minReplicas or 1, one.maxReplicas))
        elif change.resource.type is Deployment and change.actor == CONTROLLERS:
            return self._scaled(change, ledger)
        return None

    def _scaled(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        if old is None or new is None or old.spec.replicas == new.spec.replicas:
            return None
        self.judged += 1
        was, many = old.spec.replicas or 0, new.spec.replicas or 0
        known = list(self._known(change, ledger))
        if not known:
            return f"scaled from {was} to {many}, and there is no autoscaler for it"
        if not was:
            return f"scaled to {many}, though 0 turns its autoscaler off"
        if not any(least <= many <= most for least, most in known):
            return f"scaled from {was} to {many}, with bounds {known}"
        return None

    def _known(self, change: Change, ledger: Ledger) -> Iterable[tuple[int, int]]:
        for one in ledger.of(HorizontalPodAutoscaler):
            if _target(one) == change.key:
                yield one.spec.minReplicas or 1, one.spec.maxReplicas
        for until, least, most in self._before[change.key]:
            if until > change.time - STALE:
                yield least, most


def _target(hpa: HorizontalPodAutoscaler) -> str:
    """The key of what it is for."""
    return f"{hpa.metadata.namespace}/{hpa.spec.scaleTargetRef.name}"
