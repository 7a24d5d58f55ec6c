"""The HorizontalPodAutoscaler controller: looks at scales, pods and metrics, and writes scales and status.

Receives autoscalers and pods from the informers, metrics through `metrics.py`. All decisions are in `plan.py`. An
autoscaler is looked at when it is made or its spec changes, and then every SYNC seconds by a timer of its own; without
autoscalers nothing runs. What was proposed and done lately is in memory only, as upstream's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from kijabi.api import codec
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus
from kijabi.api.core.pod import Pod
from kijabi.api.selector import NOTHING, Selector
from kijabi.base import clock
from kijabi.base.errors import ApiError, BadRequest, ConnectionLost
from kijabi.client.cache import key_of
from kijabi.controllers.horizontalpodautoscaler.metrics import Metrics
from kijabi.controllers.horizontalpodautoscaler.pace import History
from kijabi.controllers.horizontalpodautoscaler.plan import (
    Events,
    View,
    begin,
    measured,
    not_rescaled,
    plan,
    rescaled,
    selector_of,
    unreachable,
)
from kijabi.controllers.horizontalpodautoscaler.targets import Targets
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import LABEL, autoscalers, by_namespace, labelled, pods

log = logging.getLogger(__name__)

SYNC = 15.0
"""Seconds between two looks (upstream's `--horizontal-pod-autoscaler-sync-period`)."""


class HorizontalPodAutoscalers:
    """The controller; see the module."""

    name = "horizontalpodautoscaler"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("horizontal-pod-autoscaler")
        self.autoscalers = autoscalers(context.informers)
        self.pods = pods(context.informers)
        self.own = OwnWrites(self.client, self.autoscalers)
        self.targets = Targets(self.client)
        self.metrics = Metrics(self.client, self.targets)
        self.histories: dict[str, History] = {}
        self.selectors: dict[str, dict[str, Selector]] = {}  # by namespace and key, as last seen

    def sources(self) -> Sequence[Source]:
        # Pods are only looked up: their changes show in the metrics.
        return (Source(self.autoscalers, self._keys), Source(self.pods, lambda old, new: ()))

    def _keys(self, old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> Iterable[str]:
        """A status that was written is no news: its timer runs."""
        if old is not None and new is not None and old.metadata.generation == new.metadata.generation:
            return ()
        return (key_of(new if new is not None else old),)

    async def reconcile(self, key: str) -> float | None:
        hpa: HorizontalPodAutoscaler | None = self.autoscalers.get(key)
        if hpa is None:
            self._forget(key)
            return None
        try:
            if not await self.own.visible(key):
                return AGAIN
            await self._autoscale(key, hpa)
        except (ApiError, ConnectionLost) as error:  # the next look comes in time, and not later for failing often
            log.warning("autoscaling failed", extra={"key": key, "error": str(error)})
        return SYNC

    def _forget(self, key: str) -> None:
        self.histories.pop(key, None)
        namespace = key.partition("/")[0]
        near = self.selectors.get(namespace, {})
        near.pop(key, None)
        if not near:
            self.selectors.pop(namespace, None)

    async def _autoscale(self, key: str, hpa: HorizontalPodAutoscaler) -> None:
        namespace = hpa.metadata.namespace
        try:
            resource, scale = await self.targets.read(hpa.spec.scaleTargetRef, namespace)
        except (ApiError, ConnectionLost) as error:
            status, events = unreachable(hpa, str(error), clock.now())
            await self._write(key, hpa, status, events)
            return
        history = self.histories.get(key) or begin(scale, clock.now())
        view = View(hpa, scale, history, clock.now())
        if measured(hpa, scale):
            view = await self._measure(key, view)
        todo = plan(view)
        events = todo.events
        if todo.replicas is not None:
            try:
                await self.targets.set(resource, scale, todo.replicas)
            except (ApiError, ConnectionLost) as error:
                todo = not_rescaled(view, todo, str(error))
            else:
                todo = rescaled(view, todo)
            events = (*events, *todo.events)
        self.histories[key] = todo.history
        await self._write(key, hpa, todo.status, events)

    async def _measure(self, key: str, view: View) -> View:
        """With pods and readings, if the selector selects; else `plan` says what is wrong with it."""
        try:
            selector = selector_of(view.scale) if view.scale.status.selector else NOTHING
        except BadRequest:
            selector = NOTHING
        namespace = view.hpa.metadata.namespace
        near = self.selectors.setdefault(namespace, {})
        near[key] = selector
        if selector.nothing:
            return view
        readings = [await self.metrics.read(metric, namespace, selector) for metric in view.hpa.spec.metrics]
        selected = self._selected(namespace, selector)
        labels = [pod.metadata.labels for pod in selected]
        selecting = sorted(other for other, its in near.items() if any(map(its.test(), labels)))
        return view._replace(now=clock.now(), pods=selected, readings=readings, selecting=selecting)

    def _selected(self, namespace: str, selector: Selector) -> list[Pod]:
        """The pods of a selector, by the index of labels where it demands one."""
        pairs = [(one.key, value) for one in selector.requirements if (value := selector.exact(one.key)) is not None]
        if pairs:
            near: Iterable[Pod] = self.pods.index(LABEL, labelled(namespace, *pairs[0]))
        else:
            near = by_namespace(self.pods, namespace)
        matches = selector.test()
        return [pod for pod in near if matches(pod.metadata.labels)]

    async def _write(
        self, key: str, hpa: HorizontalPodAutoscaler, status: HorizontalPodAutoscalerStatus, events: Events
    ) -> None:
        """Tell what happened, and write the status if it changes."""
        for kind, reason, text in events:
            self.recorder.event(hpa, kind, reason, text)
        if status == hpa.status:
            return
        changed = codec.clone(hpa)
        changed.status = status
        try:
            await self.own.noted(key, self.client.update_status(changed))
        except ApiError as error:
            self.recorder.event(hpa, "Warning", "FailedUpdateStatus", str(error))
            raise
