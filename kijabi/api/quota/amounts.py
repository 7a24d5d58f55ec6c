"""Arithmetic over resource lists, exact: what quotas count with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from kijabi.api.core.container import Container
from kijabi.api.core.pod import PodSpec
from kijabi.api.core.requests import is_sidecar
from kijabi.api.core.resources import ResourceList
from kijabi.api.quantity import Quantity

ZERO = Quantity("0")
Amounts = Mapping[str, Quantity]


def add(total: ResourceList, more: Amounts) -> None:
    """Add amounts to a sum, in place."""
    for name, amount in more.items():
        total[name] = total[name].plus(amount) if name in total else amount


def at_least(total: ResourceList, other: Amounts) -> None:
    """Raise each amount to the other's, in place."""
    for name, amount in other.items():
        if name not in total or amount.cmp(total[name]) > 0:
            total[name] = amount


def highest(*lists: Amounts) -> ResourceList:
    """The largest amount of each name."""
    result: ResourceList = {}
    for each in lists:
        at_least(result, each)
    return result


def only(amounts: Amounts, names: Collection[str]) -> ResourceList:
    """The amounts of these names."""
    return {name: amount for name, amount in amounts.items() if name in names}


def growth(new: Amounts, old: Amounts) -> ResourceList:
    """By how much each amount has grown; what has not is left out."""
    grown = {name: amount.minus(old[name]) if name in old else amount for name, amount in new.items()}
    return {name: amount for name, amount in grown.items() if amount.cmp(ZERO) > 0}


def equal(a: Amounts, b: Amounts) -> bool:
    """Whether both name the same amounts, however they are written."""
    return a.keys() == b.keys() and all(amount.cmp(b[name]) == 0 for name, amount in a.items())


def exceeded(amounts: Amounts, most: Amounts) -> list[str]:
    """The names whose amount is more than the most there may be."""
    return [name for name, limit in most.items() if name in amounts and amounts[name].cmp(limit) > 0]


def shown(amounts: Amounts) -> str:
    """`cpu=1,pods=3`."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def over_containers(spec: PodSpec, own: Callable[[Container], Amounts]) -> ResourceList:
    """The sum over a pod's containers of what `own` gives for each.

    Containers and sidecars run together; each init container runs beside the sidecars started before it (KEP-753).
    """
    total: ResourceList = {}
    for container in spec.containers:
        add(total, own(container))
    sidecars: ResourceList = {}
    peak: ResourceList = {}
    for container in spec.initContainers:
        mine = own(container)
        if is_sidecar(container):
            add(total, mine)
            add(sidecars, mine)
            at_least(peak, sidecars)
        else:
            together = dict(mine)
            add(together, sidecars)
            at_least(peak, together)
    at_least(total, peak)
    return total


def sum_of(lists: Iterable[Amounts]) -> ResourceList:
    """The sum of resource lists."""
    total: ResourceList = {}
    for each in lists:
        add(total, each)
    return total
