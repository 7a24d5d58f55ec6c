"""How fast the number of replicas may follow what the metrics call for. Pure.

Two things hold it back: stabilisation, which takes the most careful of the recent proposals, and limits, which are
minReplicas, maxReplicas and the rates of `spec.behavior`. What was proposed and done before is a History, which the
controller keeps in memory. `plan.py` asks. Source: autoscaling/v2 HPAScalingRules (KEP-853); k8s.io/kubernetes
`pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from kijabi.api.autoscaling.horizontalpodautoscaler import HPAScalingPolicy, HPAScalingRules

MOST = 4096  # of anything remembered for one autoscaler; 3600 s of proposals are some 240
# Without behavior, replicas may at most double, or become so many.
FACTOR, AT_LEAST = 2, 4
TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")

Moments = tuple[tuple[float, int], ...]
Limited = tuple[int, tuple[str, str]]
"""A number of replicas, and the reason and message of what limits it."""


class History(NamedTuple):
    """What was proposed and what was done lately: when (seconds since the epoch), and replicas or their change."""

    proposals: Moments
    ups: Moments = ()
    downs: Moments = ()

    def proposed(self, replicas: int, now: float, window: float) -> History:
        """With one more proposal."""
        return self._replace(proposals=_more(self.proposals, replicas, now, window))

    def scaled(self, before: int, after: int, now: float, up: HPAScalingRules, down: HPAScalingRules) -> History:
        """With one more change."""
        if after > before:
            return self._replace(ups=_more(self.ups, after - before, now, _longest(up)))
        return self._replace(downs=_more(self.downs, before - after, now, _longest(down)))


def _more(moments: Moments, value: int, now: float, seconds: float) -> Moments:
    """One that is out of date makes room. Others may stay: they count again if the window or the period grows."""
    old = [index for index, (at, _) in enumerate(moments) if at < now - seconds]
    if old:
        return (*moments[: old[-1]], (now, value), *moments[old[-1] + 1 :])
    return (*moments, (now, value))[-MOST:]


def _longest(rules: HPAScalingRules) -> int:
    return max((policy.periodSeconds for policy in rules.policies), default=0)


def highest(history: History, proposed: int, now: float, window: float) -> int:
    """The highest proposal of the window, this one included: to shrink, all must have called for it."""
    return max((proposed, *(replicas for at, replicas in history.proposals if at >= now - window)))


def steady(history: History, current: int, proposed: int, now: float, up: float, down: float) -> int:
    """The proposal nearest to what is: to grow by what the window `up` agrees on, to shrink by what `down` does."""
    least = min((proposed, *(replicas for at, replicas in history.proposals if at > now - up)))
    most = max((proposed, *(replicas for at, replicas in history.proposals if at > now - down)))
    return min(max(current, least), most)


def limited(current: int, desired: int, least: int, most: int) -> Limited:
    """Between the bounds, and not too much at once: for autoscalers without behavior."""
    fastest = max(FACTOR * current, AT_LEAST)
    if desired < least:
        return least, TOO_FEW
    if desired > min(fastest, most):
        return (fastest, TOO_FAST_UP) if most > fastest else (most, TOO_MANY)
    return desired, WITHIN


def paced(history: History, current: int, desired: int, bounds: tuple[int, int], now: float, rules: Rules) -> Limited:
    """Between the bounds (least, most), and no faster than the policies allow."""
    least, most = bounds
    if desired > current:
        fastest = max(_limit(history, current, now, rules.up, 1), current)
        allowed = min(fastest, most)
        if desired > allowed:
            return allowed, TOO_FAST_UP if most > fastest else TOO_MANY
    elif desired < current:
        fastest = min(_limit(history, current, now, rules.down, -1), current)
        allowed = max(fastest, least)
        if desired < allowed:
            return allowed, TOO_FAST_DOWN if least < fastest else TOO_FEW
    return desired, WITHIN


class Rules(NamedTuple):
    """The two halves of `spec.behavior`."""

    up: HPAScalingRules
    down: HPAScalingRules


def _limit(history: History, current: int, now: float, rules: HPAScalingRules, sign: int) -> int:
    """How far the policies let it go: sign 1 for up, -1 for down."""
    if rules.selectPolicy == "Disabled":
        return current
    found = [_allowed(history, current, now, policy, sign) for policy in rules.policies]
    # "Max" is the policy of the greatest change: upwards the highest number, downwards the lowest.
    furthest = (sign > 0) == (rules.selectPolicy != "Min")
    return max(found) if furthest else min(found)


def _allowed(history: History, current: int, now: float, policy: HPAScalingPolicy, sign: int) -> int:
    """The policy counts from the number of replicas with which its period began."""
    since = now - policy.periodSeconds
    begin = current - sum(change for at, change in history.ups if at > since)
    begin += sum(change for at, change in history.downs if at > since)
    if policy.type == "Pods":
        return begin + sign * policy.value
    share = float(begin) * (1 + sign * (policy.value / 100))
    return math.ceil(share) if sign > 0 else math.trunc(share)
