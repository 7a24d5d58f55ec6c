"""How many pods each ReplicaSet of a Deployment may have now. Exact integer arithmetic, pure functions.

Three situations: a rollout in progress (`rolling`), recreation (`recreate`), and a Deployment that was
resized or paused in the middle (`proportional`). Each gives new sizes by set name, for the sets whose size
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet

Sizes = Mapping[str, int]


def desired(d: Deployment) -> int:
    """`spec.replicas`, 1 where it is absent."""
    return 1 if d.spec.replicas is None else d.spec.replicas


def replicas_of(rs: ReplicaSet) -> int:
    """`spec.replicas`, 1 where it is absent."""
    return 1 if rs.spec.replicas is None else rs.spec.replicas


def age(rs: ReplicaSet) -> tuple[float, str]:
    """Sort key: older first, then by name."""
    created = rs.metadata.creationTimestamp
    return (created.timestamp() if created else 0.0, rs.metadata.name)


def total(sets: Iterable[ReplicaSet]) -> int:
    """The pods that the sets are to have."""
    return sum(replicas_of(rs) for rs in sets)


def is_rolling(d: Deployment) -> bool:
    """Its strategy is RollingUpdate."""
    return d.spec.strategy.type == "RollingUpdate"


def scaled(value: int | str | None, of: int, *, up: bool) -> int:
    """A number, or a percentage `of` something, rounded up or down; None is 0."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    product = int(value.removesuffix("%")) * of
    return -(-product // 100) if up else product // 100


def _fenceposts(d: Deployment) -> tuple[int, int]:
    """maxSurge (rounded up) and maxUnavailable (rounded down); both zero would never move, so then one may be
    off.
    """
    rolling = d.spec.strategy.rollingUpdate
    surge = scaled(rolling.maxSurge if rolling else None, desired(d), up=True)
    unavailable = scaled(rolling.maxUnavailable if rolling else None, desired(d), up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def max_surge(d: Deployment) -> int:
    """Pods above `spec.replicas` that a rollout may have."""
    return _fenceposts(d)[0] if is_rolling(d) else 0


def max_unavailable(d: Deployment) -> int:
    """Pods of `spec.replicas` that a rollout may be short of."""
    if not is_rolling(d) or desired(d) == 0:
        return 0
    return min(_fenceposts(d)[1], desired(d))


def new_size(d: Deployment, new: ReplicaSet, everything: Iterable[ReplicaSet]) -> int:
    """How far the new set may grow (or must shrink) while the others are as they are."""
    want, have = desired(d), replicas_of(new)
    if not is_rolling(d) or have >= want:
        return want
    room = want + max_surge(d) - total(everything)
    return have + max(0, min(room, want - have))


def rolling(d: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> Sizes:
    """The next step of a rolling update: grow the new set if there is room, else shrink old ones as far as is
    safe.
    """
    grown = new_size(d, new, (*old, new))
    if grown != replicas_of(new):
        return {new.metadata.name: grown}
    live = [rs for rs in old if replicas_of(rs) > 0]
    # Never under minAvailable, even when the pods that the new set lacks count as down.
    floor = desired(d) - max_unavailable(d)
    missing = replicas_of(new) - new.status.availableReplicas
    budget = total((*old, new)) - floor - missing
    if not live or budget <= 0:
        return {}
    sizes = _drop_unhealthy(live, budget)
    # A set that was made smaller may still count the pods that it is about to lose: they are not to be spared twice.
    spare = sum(min(rs.status.availableReplicas, replicas_of(rs)) for rs in (*live, new)) - floor
    for rs in live:
        size = sizes.get(rs.metadata.name, replicas_of(rs))
        taken = min(size, max(0, spare))
        if taken:
            sizes[rs.metadata.name] = size - taken
            spare -= taken
    return sizes


def _drop_unhealthy(live: Iterable[ReplicaSet], budget: int) -> dict[str, int]:
    """Take away old pods that are not available first, oldest set first: they only hold the rollout up."""
    sizes = {}
    for rs in live:
        taken = min(budget, replicas_of(rs) - rs.status.availableReplicas)
        if taken > 0:
            sizes[rs.metadata.name] = replicas_of(rs) - taken
            budget -= taken
    return sizes


def recreate_down(old: Iterable[ReplicaSet]) -> Sizes:
    """Recreate, first half: no old pod may remain."""
    return {rs.metadata.name: 0 for rs in old if replicas_of(rs) != 0}


def proportional(
    d: Deployment,
    new: ReplicaSet | None,
    old: Sequence[ReplicaSet],
    maximum: Callable[[ReplicaSet], int | None],
    saturated: bool,
) -> Sizes:
    """Sizes after the Deployment was resized, or while it is paused: every live set keeps its share.

    old: oldest first. maximum: how large the Deployment could be when a set was last sized, if that is known.
    saturated: the new set has all pods and all are available. A set that is named keeps its size when the
    number is the same, but its annotations want renewing.
    """
    live = [rs for rs in (*old, new) if rs is not None and replicas_of(rs) > 0]
    if len(live) <= 1:
        one = live[0] if live else new if new is not None else old[-1] if old else None
        # Not paused, a size that is right already is told to the annotations, or it would look resized for ever.
        done = one is not None and (replicas_of(one) == desired(d) and (d.spec.paused or not live))
        return {} if one is None or done else {one.metadata.name: desired(d)}
    if saturated:
        return {rs.metadata.name: 0 for rs in live if rs is not new}
    if not is_rolling(d):
        return {}
    allowed = desired(d) + max_surge(d) if desired(d) > 0 else 0
    to_add = allowed - total(live)
    if to_add:  # Larger sets first; among equals the newer grow first and the older shrink first.
        live.sort(key=age, reverse=to_add > 0)
        live.sort(key=replicas_of, reverse=True)
    sizes, added = {}, 0
    for rs in live:
        share = _share(d, rs, to_add, added, maximum(rs))
        sizes[rs.metadata.name] = replicas_of(rs) + share
        added += share
    if to_add:  # What rounding left over goes to the largest.
        largest = live[0].metadata.name
        sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(d: Deployment, rs: ReplicaSet, to_add: int, added: int, before: int | None) -> int:
    """What one set gets (or gives up) of `to_add`, of which `added` are spoken for."""
    if to_add in (0, added):
        return 0
    size = replicas_of(rs)
    if desired(d) == 0:
        fraction = -size
    else:
        base = before or d.status.replicas
        product = size * (desired(d) + max_surge(d))
        fraction = (2 * product + base) // (2 * base) - size if base else 0
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)
