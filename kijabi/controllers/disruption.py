"""PodDisruptionBudget: how many of its pods are healthy, and so how many may be evicted now.

Receives budgets, pods and what controls pods from the informers; writes the budget's status, from which
`apiserver/subresources/eviction.py` takes a disruption for each eviction, and takes back DisruptionTarget conditions
that came to nothing. `plan` decides, `Disruptions` acts. Source: policy/v1 PodDisruptionBudget; KEP-85; kubernetes
`pkg/controller/disruption`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Condition, OwnerReference, Time
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget, PodDisruptionBudgetStatus
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers import removal
from kijabi.controllers.deployment.scale import scaled
from kijabi.controllers.discovery import discover
from kijabi.controllers.owners import controller_of
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import (
    budgets,
    by_namespace,
    deployments,
    pods,
    replica_sets,
    replication_controllers,
    stateful_sets,
)

DELETION_TIMEOUT = 120.0  # seconds until an evicted pod that is not being deleted counts as healthy again
STALE = 120.0  # seconds until a DisruptionTarget condition of a pod that stays is taken back
BY_KUBELET = "TerminationByKubelet"
_POD = "pod:"


class Plan(NamedTuple):
    """status: to be written if it differs. overdue: pods that were to be deleted and are still there.

    again: seconds until the next evicted pod counts as staying, None if there is none.
    """

    status: PodDisruptionBudgetStatus
    overdue: tuple[Pod, ...] = ()
    again: float | None = None


def needs_scale(budget: PodDisruptionBudget) -> bool:
    """Whether it depends on how many pods there should be, and not only on how many there are."""
    return budget.spec.maxUnavailable is not None or isinstance(budget.spec.minAvailable, str)


def plan(budget: PodDisruptionBudget, selected: Sequence[Pod], scale: int, now: datetime) -> Plan:
    """The status that these pods amount to; scale: how many their controllers want."""
    spec, expected = budget.spec, scale if needs_scale(budget) else len(selected)
    if spec.maxUnavailable is not None:
        wanted = max(0, expected - scaled(spec.maxUnavailable, expected, up=True))
    else:
        wanted = scaled(spec.minAvailable, expected, up=True)
    disrupted: dict[str, Time] = {}
    overdue: list[Pod] = []
    waits: list[float] = []
    for pod in selected:
        at = budget.status.disruptedPods.get(pod.metadata.name)
        if at is None or pod.metadata.deletionTimestamp is not None:
            continue
        left = at.timestamp() + DELETION_TIMEOUT - now.timestamp()
        if left < 0:
            overdue.append(pod)
        else:
            disrupted[pod.metadata.name] = at
            waits.append(left)
    healthy = sum(
        podlib.ready(pod)
        for pod in selected
        if pod.metadata.deletionTimestamp is None and pod.metadata.name not in disrupted
    )
    allowed = max(0, healthy - wanted) if expected > 0 else 0
    status = PodDisruptionBudgetStatus(
        observedGeneration=budget.metadata.generation,
        disruptedPods=disrupted,
        disruptionsAllowed=allowed,
        currentHealthy=healthy,
        desiredHealthy=wanted,
        expectedPods=expected,
    )
    reason = "SufficientPods" if allowed else "InsufficientPods"
    status.conditions = condition(budget, bool(allowed), reason, "", now)
    return Plan(status, tuple(overdue), min(waits, default=None))


def condition(
    budget: PodDisruptionBudget, allowed: bool, reason: str, text: str, now: datetime
) -> tuple[Condition, ...]:
    """The budget's conditions with DisruptionAllowed as it is now; a time that stays says that its status stays."""
    kind, status = "DisruptionAllowed", "True" if allowed else "False"
    before = next((one for one in budget.status.conditions if one.type == kind), None)
    since = before.lastTransitionTime if before is not None and before.status == status else Time.of(now)
    made = Condition(
        type=kind, status=status, observedGeneration=budget.metadata.generation, lastTransitionTime=since,
        reason=reason, message=text,
    )  # fmt: skip
    return (*(one for one in budget.status.conditions if one.type != kind), made)


def stale_in(pod: Pod, now: datetime) -> float | None:
    """Seconds until a pod's DisruptionTarget condition is to be taken back; None if it has none, or is really going."""
    found = podlib.condition(pod, removal.DISRUPTION)
    if found is None or found.status != "True" or found.reason == BY_KUBELET or not found.lastTransitionTime:
        return None
    if podlib.terminal(pod) or pod.metadata.deletionTimestamp is not None:
        return None
    return max(0.0, found.lastTransitionTime.timestamp() + STALE - now.timestamp())


class Disruptions:
    """The controller. A key is a budget's, or `pod:namespace/name` for a pod whose condition may be stale."""

    name = "disruption"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("controllermanager")
        self.budgets = budgets(context.informers)
        self.pods = pods(context.informers)
        informers = context.informers
        self.owners: Mapping[tuple[str, str], Any] = {
            ("apps/v1", "Deployment"): deployments(informers),
            ("apps/v1", "ReplicaSet"): replica_sets(informers),
            ("apps/v1", "StatefulSet"): stateful_sets(informers),
            ("v1", "ReplicationController"): replication_controllers(informers),
        }

    def sources(self) -> Sequence[Source]:
        owners = [Source(informer, self._keys_of_owner) for informer in self.owners.values()]
        return (
            Source(self.budgets, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.pods, self._keys_of_pod),
            *owners,
        )

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        keys: set[str] = set()
        for pod in (old, new):
            if pod is not None:
                keys.update(key_of(one) for one in self._budgets_of(pod.metadata.namespace, pod.metadata.labels))
        if new is not None and stale_in(new, clock.now()) is not None:
            keys.add(_POD + key_of(new))
        return keys

    def _keys_of_owner(self, old: Any, new: Any) -> Iterable[str]:
        """The budgets of a controller's pods, when it wants another number of them."""
        if old is not None and new is not None and old.spec.replicas == new.spec.replicas:
            return ()
        one = new if new is not None else old
        labels = one.spec.template.metadata.labels if one.spec.template is not None else {}
        return [key_of(each) for each in self._budgets_of(one.metadata.namespace, labels)]

    def _budgets_of(self, namespace: str, labels: Mapping[str, str]) -> list[PodDisruptionBudget]:
        return [
            one
            for one in by_namespace(self.budgets, namespace)
            if one.spec.selector is not None and from_label_selector(one.spec.selector).matches(labels)
        ]

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_POD):
            return await self._take_back(key.removeprefix(_POD))
        budget: PodDisruptionBudget | None = self.budgets.get(key)
        if budget is None:
            return None
        selected = self._selected(budget)
        if not selected:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            scale = await self._scale(budget, selected) if needs_scale(budget) else 0
        except ApiError as error:
            await self._fail_safe(budget, str(error))
            raise
        todo = plan(budget, selected, scale, clock.now())
        for pod in todo.overdue:
            text = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self.recorder.event(pod, "Warning", "NotDeleted", text)
        await self._write(budget, todo.status)
        return todo.again

    def _selected(self, budget: PodDisruptionBudget) -> list[Pod]:
        if budget.spec.selector is None:
            return []
        matches: Callable[[Mapping[str, str]], bool] = from_label_selector(budget.spec.selector).matches
        return [pod for pod in by_namespace(self.pods, budget.metadata.namespace) if matches(pod.metadata.labels)]

    async def _scale(self, budget: PodDisruptionBudget, selected: Sequence[Pod]) -> int:
        """How many pods the controllers of these want together. Raises ApiError for one that has no scale."""
        found: dict[str, int] = {}
        seen: set[str] = set()
        unmanaged = False
        for pod in selected:
            ref = controller_of(pod.metadata)
            if ref is None:
                unmanaged = True
            elif ref.uid not in seen:
                seen.add(ref.uid)
                uid, replicas = await self._scale_of(pod, ref)
                found[uid] = replicas
        if unmanaged:
            text = (
                f"Pods selected by this PodDisruptionBudget (selector: {budget.spec.selector}) were found to be "
                "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in "
                'undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an '
                "integer value."
            )
            self.recorder.event(budget, "Warning", "UnmanagedPods", text)
        return sum(found.values())

    async def _scale_of(self, pod: Any, ref: OwnerReference) -> tuple[str, int]:
        """(uid, replicas) of what controls a pod, or a set of pods, in the end: the Deployment rather than its set."""
        informer = self.owners.get((ref.apiVersion, ref.kind))
        if informer is not None:
            owner = informer.get(f"{pod.metadata.namespace}/{ref.name}")
            if owner is None or owner.metadata.uid != ref.uid:
                return ref.uid, 0
            above = controller_of(owner.metadata)
            if above is not None and (above.apiVersion, above.kind) in self.owners:
                return await self._scale_of(owner, above)
            return ref.uid, 1 if owner.spec.replicas is None else owner.spec.replicas
        group, _, version = ref.apiVersion.rpartition("/")
        known = await discover(self.client, "get")
        resource = next((one for one in known if (one.group, one.kind) == (group, ref.kind)), None)
        if resource is None:
            raise NotFound(f'found no controllers for pod "{pod.metadata.name}"')
        resource = replace(resource, version=version)
        answer = await self.client.subresource("GET", resource, ref.name, pod.metadata.namespace, "scale")
        return ref.uid, codec.decode(Scale, answer.body).spec.replicas

    async def _fail_safe(self, budget: PodDisruptionBudget, text: str) -> None:
        """Nobody knows how many there should be: none may be evicted."""
        reason = "CalculateExpectedPodCountFailed"
        self.recorder.event(
            budget, "Warning", reason, f"Failed to calculate the number of expected pods: {text}"
        )
        status = codec.clone(budget).status
        status.disruptionsAllowed = 0
        status.conditions = condition(budget, False, "SyncFailed", text, clock.now())
        await self._write(budget, status)

    async def _write(self, budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> None:
        if status != budget.status:
            changed = codec.clone(budget)
            changed.status = status
            await self.client.update_status(changed)

    async def _take_back(self, key: str) -> float | None:
        """A pod that was to be disrupted and stayed is a target no more."""
        pod: Pod | None = self.pods.get(key)
        left = stale_in(pod, clock.now()) if pod is not None else None
        if pod is None or left is None or left > 0:
            return left
        change = removal.condition(pod, removal.DISRUPTION, "False", "", "")
        if change is not None:
            try:
                await removal.patch_status(self.client, pod, {"conditions": [change]})
            except (NotFound, Conflict):  # Gone, or another pod has its name by now.
                return None
        return None
