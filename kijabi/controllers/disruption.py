"""PodDisruptionBudget: how many of its pods are healthy, and so how many may be evicted now.

Receives budgets, pods and what controls pods from the informers; writes the budget's status, from which
`apiserver/subresources/eviction.py` takes a disruption for each eviction, and takes back DisruptionTarget conditions
that came to nothing. `plan` decides, `Disruptions` acts. Source: policy/v1 PodDisruptionBudget; KEP-85; kubernetes
`pkg/controller/disruption`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Condition, OwnerReference, Time
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget, PodDisruptionBudgetStatus
from kijabi.api.resource import Resource
from kijabi.api.selector import from_label_selector
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.client.transport import Request
from kijabi.controllers import pods as podlib
from kijabi.controllers import removal
from kijabi.controllers.deployment.scale import scaled
from kijabi.controllers.horizontalpodautoscaler.proposals import selector_text
from kijabi.controllers.horizontalpodautoscaler.targets import Targets
from kijabi.controllers.owners import controller_of
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import (
    budgets,
    budgets_of,
    deployments,
    pods,
    replica_sets,
    replication_controllers,
    selected,
    stateful_sets,
)

DELETION_TIMEOUT = 120.0  # seconds until an evicted pod that is not being deleted counts as healthy again
STALE = 120.0  # seconds until a DisruptionTarget condition of a pod that stays is taken back
BY_KUBELET = "TerminationByKubelet"
_POD = "pod:"
_SETS, _DEPLOYMENT = ("ReplicaSet",), "Deployment"
_GROUPS = ("apps", "extensions")


class NoScale(ApiError):
    """Nobody says how many pods there should be, and asking again does not help."""


def _group(ref: OwnerReference) -> str:
    return ref.apiVersion.rpartition("/")[0]


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
    elif spec.minAvailable is not None:
        wanted = scaled(spec.minAvailable, expected, up=True)
    else:
        wanted = expected = 0
    disrupted: dict[str, Time] = {}
    going: set[str] = set()
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
            if left > 0:
                going.add(pod.metadata.name)
    healthy = sum(
        podlib.ready(pod)
        for pod in selected
        if pod.metadata.deletionTimestamp is None and pod.metadata.name not in going
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
    status.conditions = condition(budget, bool(allowed), reason, "", now, budget.metadata.generation)
    return Plan(status, tuple(overdue), min(waits, default=None))


def condition(
    budget: PodDisruptionBudget, allowed: bool, reason: str, text: str, now: datetime, generation: int
) -> tuple[Condition, ...]:
    """The budget's conditions with DisruptionAllowed as it is now; a time that stays says that its status stays."""
    kind, status = "DisruptionAllowed", "True" if allowed else "False"
    before = next((one for one in budget.status.conditions if one.type == kind), None)
    since = before.lastTransitionTime if before is not None and before.status == status else Time.of(now)
    made = Condition(
        type=kind, status=status, observedGeneration=generation, lastTransitionTime=since, reason=reason, message=text
    )
    return tuple({**{one.type: one for one in budget.status.conditions}, kind: made}.values())


def failed(budget: PodDisruptionBudget, text: str, now: datetime) -> PodDisruptionBudgetStatus:
    """The status when nobody knows how many there should be: none may be evicted."""
    conditions = condition(budget, False, "SyncFailed", text, now, budget.status.observedGeneration)
    return replace(budget.status, disruptionsAllowed=0, conditions=conditions)


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
        self.targets = Targets(context.client)
        self.deployments = deployments(informers)
        self.owners: Mapping[tuple[str, str], Any] = {
            ("apps", "ReplicaSet"): replica_sets(informers),
            ("extensions", "ReplicaSet"): replica_sets(informers),
            ("apps", "StatefulSet"): stateful_sets(informers),
            ("", "ReplicationController"): replication_controllers(informers),
        }

    def sources(self) -> Sequence[Source]:
        informers = {id(one): one for one in (self.deployments, *self.owners.values())}
        owners = [Source(informer, self._keys_of_owner) for informer in informers.values()]
        return (
            Source(self.budgets, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.pods, self._keys_of_pod),
            *owners,
        )

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        keys: set[str] = set()
        for pod in (old, new):
            if pod is not None:
                found = budgets_of(self.budgets, pod.metadata.namespace, pod.metadata.labels)
                keys.update(key_of(one) for one in found)
                if pod is new and len(found) > 1 and (old is None or old.metadata.labels != pod.metadata.labels):
                    self._tell_of_many(pod, sorted(one.metadata.name for one in found))
        if new is not None and stale_in(new, clock.now()) is not None:
            keys.add(_POD + key_of(new))
        return keys

    def _tell_of_many(self, pod: Pod, names: Sequence[str]) -> None:
        """All of them count it, but it cannot be evicted."""
        which = f'"{pod.metadata.namespace}"/"{pod.metadata.name}"'
        text = f'Pod {which} matches multiple PodDisruptionBudgets.  Chose "{names[0]}" arbitrarily.'
        self.recorder.event(pod, "Warning", "MultiplePodDisruptionBudgets", text)

    def _keys_of_owner(self, old: Any, new: Any) -> Iterable[str]:
        """The budgets of a controller's pods, when it wants another number of them."""
        if old is not None and new is not None and old.spec.replicas == new.spec.replicas:
            return ()
        one = new if new is not None else old
        labels = one.spec.template.metadata.labels if one.spec.template is not None else {}
        return [key_of(each) for each in budgets_of(self.budgets, one.metadata.namespace, labels)]

    async def reconcile(self, key: str) -> float | None:
        if key.startswith(_POD):
            return await self._take_back(key.removeprefix(_POD))
        budget: PodDisruptionBudget | None = self.budgets.get(key)
        if budget is None:
            return None
        mine = selected(self.pods, budget.metadata.namespace, from_label_selector(budget.spec.selector))
        if not mine:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            scale = await self._scale(budget, mine) if needs_scale(budget) else 0
        except ApiError as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
            await self._write(budget, failed(budget, str(error), clock.now()))
            if isinstance(error, NoScale):
                return None
            raise
        todo = plan(budget, mine, scale, clock.now())
        for pod in todo.overdue:
            text = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self.recorder.event(pod, "Warning", "NotDeleted", text)
        await self._write(budget, todo.status)
        return todo.again

    async def _scale(self, budget: PodDisruptionBudget, mine: Sequence[Pod]) -> int:
        """How many pods the controllers of these want together. Raises NoScale, or ApiError that may pass."""
        found: dict[str, int] = {}
        seen: set[str] = set()
        unmanaged = False
        for pod in mine:
            ref = controller_of(pod.metadata)
            if ref is None:
                unmanaged = True
            elif ref.uid not in seen:
                seen.add(ref.uid)
                known = self._known_scale(pod.metadata.namespace, ref) or await self._asked_scale(pod, ref)
                found[known[0]] = known[1]
        if unmanaged:
            text = (
                f"Pods selected by this PodDisruptionBudget (selector: {selector_text(budget.spec.selector)}) were "
                "found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
                'result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the '
                "PDB to an integer value."
            )
            self.recorder.event(budget, "Warning", "UnmanagedPods", text)
        return sum(found.values())

    def _known_scale(self, namespace: str, ref: OwnerReference) -> tuple[str, int] | None:
        """(uid, replicas) of what controls a pod, by the caches: of the Deployment rather than of its ReplicaSet."""
        informer = self.owners.get((_group(ref), ref.kind))
        owner = informer.get(f"{namespace}/{ref.name}") if informer is not None else None
        if owner is None or owner.metadata.uid != ref.uid:
            return None
        above = controller_of(owner.metadata)
        if ref.kind in _SETS and above is not None and above.kind == _DEPLOYMENT:
            owner = self.deployments.get(f"{namespace}/{above.name}") if _group(above) in _GROUPS else None
            if owner is None or owner.metadata.uid != above.uid:
                return None
        return owner.metadata.uid, 1 if owner.spec.replicas is None else owner.spec.replicas

    async def _asked_scale(self, pod: Pod, ref: OwnerReference) -> tuple[str, int]:
        """(uid, replicas) of what controls a pod, by its scale. Raises NoScale, or ApiError that may pass."""
        namespace = pod.metadata.namespace
        try:
            known = (await self.targets.of_kind(_group(ref), ref.kind))[0]
        except NotFound:
            raise NoScale(f'no matches for kind "{ref.kind}" in version "{ref.apiVersion}"') from None
        resource = replace(known, version=ref.apiVersion.rpartition("/")[2])
        try:
            answer = await self.client.subresource("GET", resource, ref.name, namespace, "scale")
        except NotFound:
            if not await self._has_scale(resource):
                place = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
                raise NoScale(f"{place} does not implement the scale subresource") from None
        else:
            scale = codec.decode(Scale, answer.body)
            if scale.metadata.uid == ref.uid:
                return ref.uid, scale.spec.replicas
        raise NoScale(f'found no controllers for pod "{pod.metadata.name}"')

    async def _has_scale(self, resource: Resource) -> bool:
        """Whether objects of a resource have a scale at all."""
        root = f"/apis/{resource.group}" if resource.group else "/api"
        answer = await self.client.request_raw(Request(method="GET", path=f"{root}/{resource.version}"))
        found = msgspec.json.decode(answer.body)["resources"]
        return any((one["name"], one["kind"]) == (f"{resource.plural}/scale", "Scale") for one in found)

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
