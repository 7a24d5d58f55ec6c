"""What becomes of an autoscaler and its target now: the number of replicas, the status, the events. Pure.

`controller.py` looks (a View), calls `plan`, writes the scale if the plan says so, and calls `rescaled` or
`not_rescaled`, which give the plan's end. Source: autoscaling/v2 HorizontalPodAutoscaler; reasons, texts and order are
those of k8s.io/kubernetes `pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.autoscaling.horizontalpodautoscaler import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerStatus,
    HPAScalingRules,
    MetricStatus,
)
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Time
from kijabi.api.quantity import Quantity
from kijabi.api.selector import Selector, parse_labels
from kijabi.base.errors import BadRequest
from kijabi.controllers.horizontalpodautoscaler import pace
from kijabi.controllers.horizontalpodautoscaler.pace import History, Rules
from kijabi.controllers.horizontalpodautoscaler.proposals import NoProposal, Proposal, propose
from kijabi.controllers.horizontalpodautoscaler.readings import Reading
from kijabi.controllers.horizontalpodautoscaler.replicas import Asked, Tolerance

ABLE, ACTIVE, LIMITED, TO_ZERO = "AbleToScale", "ScalingActive", "ScalingLimited", "ScaledToZero"
_READY = ("ReadyForNewScale", "recommended size matches current size")
_HIGHER = "recent recommendations were higher than current one, applying the highest recent recommendation"
_LOWER = "recent recommendations were lower than current one, applying the lowest recent recommendation"
_BELOW = "Current number of replicas below Spec.MinReplicas"

Events = tuple[tuple[str, str, str], ...]


class Settings(NamedTuple):
    """Upstream's `--horizontal-pod-autoscaler-…`, with its defaults; in seconds, but for the tolerance."""

    tolerance: float = 0.1
    downscale_stabilization: float = 300.0
    cpu_initialization_period: float = 300.0
    initial_readiness_delay: float = 30.0


class View(NamedTuple):
    """What is planned from. readings: of each metric of the spec, none where `measured` says that none are needed.

    history: what was proposed and done before. selecting: keys of the autoscalers whose selector matches these pods.
    """

    hpa: HorizontalPodAutoscaler
    scale: Scale
    history: History
    now: datetime
    pods: Sequence[Pod] = ()
    readings: Sequence[Reading] = ()
    selecting: Sequence[str] = ()
    settings: Settings = Settings()


class Plan(NamedTuple):
    """replicas: what to set, None to leave it, for the reason `why`. events: (type, reason, text)."""

    status: HorizontalPodAutoscalerStatus
    history: History
    replicas: int | None = None
    why: str = ""
    events: Events = ()


def begin(scale: Scale, now: datetime) -> History:
    """The history of an autoscaler of which nothing is known yet: what is there counts as proposed."""
    return History(((now.timestamp(), scale.spec.replicas),))


def measured(hpa: HorizontalPodAutoscaler, scale: Scale) -> bool:
    """Whether the metrics decide; else the bounds do, or the target was stopped by hand."""
    current = scale.spec.replicas
    if current == 0:
        return _scaled_to_zero(hpa) and (_least(hpa) != 0 or _serves_zero(hpa))
    return _least(hpa) <= current <= hpa.spec.maxReplicas


def selector_of(scale: Scale) -> Selector:
    """The selector of the target's pods. Raises BadRequest."""
    return parse_labels(scale.status.selector)


def unreachable(hpa: HorizontalPodAutoscaler, text: str, now: datetime) -> tuple[HorizontalPodAutoscalerStatus, Events]:
    """The status and the events when the scale of the target cannot be read."""
    message = f"the HPA controller was unable to get the target's current scale: {text}"
    status = replace(hpa.status, conditions=_with(hpa.status.conditions, now, ABLE, False, "FailedGetScale", message))
    return status, (("Warning", "FailedGetScale", text),)


def plan(view: View) -> Plan:
    """What to do now."""
    return _Step(view).plan()


def rescaled(view: View, todo: Plan) -> Plan:
    """The end of a plan whose replicas were set."""
    hpa, before, after = view.hpa, view.scale.spec.replicas, todo.replicas or 0
    message = f"the HPA controller was able to update the target scale to {after}"
    conditions = _with(todo.status.conditions, view.now, ABLE, True, "SucceededRescale", message)
    if before > 0 and after == 0 and _least(hpa) == 0 and _serves_zero(hpa):
        zero = (True, "ScaledToZero", "the HPA controller scaled the workload to zero")
    else:
        zero = (False, "NotScaledToZero", "the HPA controller did not scale the workload to zero")
    status = replace(
        todo.status,
        desiredReplicas=after,
        lastScaleTime=Time.of(view.now),
        conditions=_with(conditions, view.now, TO_ZERO, *zero),
    )
    history, rules = todo.history, _rules(view)
    if rules is not None:
        history = history.scaled(before, after, view.now.timestamp(), *rules)
    events = (("Normal", "SuccessfulRescale", f"New size: {after}; reason: {todo.why}"),)
    return todo._replace(status=status, history=history, events=events)


def not_rescaled(view: View, todo: Plan, error: str) -> Plan:
    """The end of a plan whose replicas could not be set."""
    message = f"the HPA controller was unable to update the target scale: {error}"
    conditions = _with(todo.status.conditions, view.now, ABLE, False, "FailedUpdateScale", message)
    events = (("Warning", "FailedRescale", f"New size: {todo.replicas}; reason: {todo.why}; error: {error}"),)
    return todo._replace(status=replace(todo.status, conditions=conditions), events=events)


class _Undecided(Exception):
    """No number can be had: scaling stops, and this is why."""


class _Step:
    """One plan in the making."""

    def __init__(self, view: View) -> None:
        self.view, self.hpa, self.now = view, view.hpa, view.now
        self.current = view.scale.spec.replicas
        self.least, self.most = _least(view.hpa), view.hpa.spec.maxReplicas
        self.conditions = view.hpa.status.conditions
        self.events: list[tuple[str, str, str]] = []
        self.metrics: tuple[MetricStatus, ...] = ()
        self.history = view.history

    def set(self, kind: str, status: bool, reason: str, message: str) -> None:
        self.conditions = _with(self.conditions, self.now, kind, status, reason, message)

    def plan(self) -> Plan:
        self.set(ABLE, True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        if not measured(self.hpa, self.view.scale):
            return self._unmeasured()
        try:
            best = self._propose()
        except _Undecided as error:
            self.events.append(("Warning", "FailedComputeMetricsReplicas", str(error)))
            return self._end(None, "")
        desired, why = max(best.replicas, 0), ""
        if desired > self.current:
            why = f"{best.name} above target"
        elif desired < self.current:
            why = "All metrics below target"
        desired = self._hold_back(desired)
        if self.current == 0 and desired < self.least:  # minReplicas was raised after it had scaled to zero
            desired, why = self.least, why or _BELOW
        return self._end(desired, why)

    def _unmeasured(self) -> Plan:
        if self.current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self.set(ACTIVE, False, "ScalingDisabled", text)
            return self._end(0, "")
        if self.current > self.most:
            return self._end(self.most, "Current number of replicas above Spec.MaxReplicas")
        return self._end(self.least, _BELOW)

    def _end(self, desired: int | None, why: str) -> Plan:
        """desired: None if nobody knows, and the status keeps the number of before."""
        changes = desired is not None and desired != self.current
        keeps = self.hpa.status.desiredReplicas
        status = HorizontalPodAutoscalerStatus(
            observedGeneration=self.hpa.metadata.generation,
            lastScaleTime=self.hpa.status.lastScaleTime,
            currentReplicas=self.current,
            desiredReplicas=keeps if changes or desired is None else desired,
            currentMetrics=self.metrics,
            conditions=self.conditions,
        )
        return Plan(status, self.history, desired if changes else None, why, tuple(self.events))

    # What the metrics call for

    def _propose(self) -> Proposal:
        """The highest of the proposals. Raises _Undecided if there is none, or some are missing and it would shrink."""
        self._check_selector()
        asked = self._asked()
        best: Proposal | None = None
        failures: list[NoProposal] = []
        statuses: list[MetricStatus] = []
        for metric, reading in zip(self.hpa.spec.metrics, self.view.readings, strict=True):
            try:
                proposal = propose(asked, metric, reading)
            except NoProposal as error:
                failures.append(error)
                statuses.append(MetricStatus())
                self.events.append(("Warning", error.reason, error.cause))
                continue
            statuses.append(proposal.status)
            if best is None or best.replicas == 0 or proposal.replicas > best.replicas:
                best = proposal
        self.metrics = tuple(statuses)
        if best is None or (failures and best.replicas < self.current):
            first = failures[0]
            text = f"the HPA was unable to compute the replica count: {first.cause}"
            self.set(ACTIVE, False, first.reason, text)
            count = f"{len(failures)} invalid out of {len(statuses)}"
            raise _Undecided(f"invalid metrics ({count}), first error is: {first}")
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self.set(ACTIVE, True, "ValidMetricFound", text)
        return best

    def _asked(self) -> Asked:
        settings = self.view.settings
        down = up = settings.tolerance
        rules = _rules(self.view)
        if rules is not None:
            up = _number(rules.up.tolerance, up)
            down = _number(rules.down.tolerance, down)
        return Asked(
            wanted=self.current,
            existing=self.view.scale.status.replicas,
            pods=self.view.pods,
            tolerance=Tolerance(down, up),
            now=self.now,
            starting=settings.cpu_initialization_period,
            first_ready=settings.initial_readiness_delay,
        )

    def _check_selector(self) -> None:
        """Raises _Undecided for a selector that is none, or that shares pods with another autoscaler's."""
        text = self.view.scale.status.selector
        if not text:
            self._refuse("SelectorRequired", "selector is required", "InvalidSelector",
                         "the HPA target's scale is missing a selector")  # fmt: skip
        try:
            selector_of(self.view.scale)
        except BadRequest as error:
            words = f"couldn't convert selector into a corresponding internal selector object: {error}"
            self._refuse("InvalidSelector", words, "InvalidSelector", words)
        if len(self.view.selecting) > 1:
            some = " ".join(self.view.selecting[:2])
            words = f"pods by selector {text} are controlled by more than one HPA (e.g. [{some}])"
            self._refuse("AmbiguousSelector", words, "AmbiguousSelector", words)

    def _refuse(self, event: str, text: str, reason: str, message: str) -> None:
        self.events.append(("Warning", event, text))
        self.set(ACTIVE, False, reason, message)
        raise _Undecided(text)

    # What holds them back

    def _hold_back(self, proposed: int) -> int:
        """Stabilised and limited, with the conditions that tell of it."""
        now, window, rules = self.now.timestamp(), self.view.settings.downscale_stabilization, _rules(self.view)
        if rules is None:
            steady = pace.highest(self.history, proposed, now, window)
            desired, limit = pace.limited(self.current, steady, self.least, self.most)
            held = ("ScaleDownStabilized", _HIGHER)
        else:
            up, down = rules.up.stabilizationWindowSeconds or 0, rules.down.stabilizationWindowSeconds
            window = window if down is None else down
            steady = pace.steady(self.history, self.current, proposed, now, up, window)
            desired, limit = pace.paced(self.history, self.current, steady, (self.least, self.most), now, rules)
            grows = proposed >= self.current
            held = ("ScaleUpStabilized", _LOWER) if grows else ("ScaleDownStabilized", _HIGHER)
            window = max(window, up)
        self.history = self.history.proposed(proposed, now, window)
        self.set(ABLE, True, *(held if steady != proposed else _READY))
        self.set(LIMITED, desired != steady, *limit)
        return desired


def _least(hpa: HorizontalPodAutoscaler) -> int:
    return 1 if hpa.spec.minReplicas is None else hpa.spec.minReplicas


def _serves_zero(hpa: HorizontalPodAutoscaler) -> bool:
    """Whether a metric tells something even when there are no pods."""
    return any(metric.type in ("Object", "External") for metric in hpa.spec.metrics)


def _scaled_to_zero(hpa: HorizontalPodAutoscaler) -> bool:
    """Whether it was this controller that left no replicas (KEP-2021)."""
    return any(one.type == TO_ZERO and one.status == "True" for one in hpa.status.conditions)


def _rules(view: View) -> Rules | None:
    behavior = view.hpa.spec.behavior
    if behavior is None:
        return None
    return Rules(behavior.scaleUp or HPAScalingRules(), behavior.scaleDown or HPAScalingRules())


def _number(amount: Quantity | None, default: float) -> float:
    """A quantity as a double, rounded as upstream's AsApproximateFloat64 does."""
    if amount is None:
        return default
    exact = amount.exact()
    if exact == exact.to_integral_value():
        return float(exact)
    return amount.milli() * 10.0**-3 if exact * 1000 == amount.milli() else float(exact)


def _with(
    conditions: tuple[HorizontalPodAutoscalerCondition, ...],
    now: datetime,
    kind: str,
    status: bool,
    reason: str,
    message: str,
) -> tuple[HorizontalPodAutoscalerCondition, ...]:
    """Conditions with one as it is now; its time is that of the last change of its status."""
    text = "True" if status else "False"
    before = next((one for one in conditions if one.type == kind), None)
    since = before.lastTransitionTime if before is not None and before.status == text else Time.of(now)
    made = HorizontalPodAutoscalerCondition(
        type=kind, status=text, lastTransitionTime=since, reason=reason, message=message,
        observedGeneration=before.observedGeneration if before is not None else None,
    )  # fmt: skip
    if before is None:
        return (*conditions, made)
    return tuple(made if one.type == kind else one for one in conditions)
