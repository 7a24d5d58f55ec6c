"""POST pods/NAME/eviction: delete a pod if its PodDisruptionBudget allows it, else 429.

Receives an Eviction from `server.py`; takes one disruption from the budget's status (the budget's controller counts
again), marks the pod as disrupted and deletes it through `deletion.py`. Rules and texts: KEP-85 and
k8s.io/kubernetes `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from kijabi.api import codec, status
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.meta import DeleteOptions, Preconditions, time_now
from kijabi.api.policy.eviction import Eviction
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import from_label_selector
from kijabi.apiserver.call import Call, encode
from kijabi.apiserver.deletion import Deletion, check_preconditions
from kijabi.apiserver.routes import Served
from kijabi.apiserver.storage import Storage
from kijabi.apiserver.subresources.binding import SUCCESS, set_condition
from kijabi.base.errors import ApiError, BadRequest, Conflict
from kijabi.client.transport import Response

MAX_DISRUPTED = 2000  # evictions that the controller has not confirmed yet
CAUSE = "DisruptionBudget"
RETRY_AFTER = 10  # seconds
TRIES = 20  # looks at a pod that needs no budget and keeps changing
_VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."


class Evictions:
    """The handler. pods: the served resource of pods."""

    def __init__(self, storage: Storage, deletion: Deletion, pods: Served) -> None:
        self.storage = storage
        self.deletion = deletion
        self.pods = pods
        self.cache = storage.caches.by_type[Pod]
        self.budgets = storage.caches.by_type[PodDisruptionBudget]

    async def create(self, call: Call) -> Response:
        """Evict a pod: 201 and a Status. Raises NotFound, TooManyRequests, Conflict, BadRequest."""
        eviction = call.body(Eviction)
        own, name = eviction.metadata, call.info.name
        if own.name != name:
            raise BadRequest("name in URL does not match name in Eviction object")
        if own.namespace not in ("", call.info.namespace):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        wanted = eviction.deleteOptions or DeleteOptions()
        if call.options.dry_run:
            wanted.dryRun = wanted.dryRun or ("All",)
        await call.admit("CREATE", eviction)
        await self.storage.caches.fresh()
        await self._evict(call, f"{call.info.namespace}/{name}", wanted)
        return encode(call.media, SUCCESS, 201)

    async def _evict(self, call: Call, key: str, wanted: DeleteOptions) -> None:
        """Delete the pod as it is now; one that changes meanwhile is looked at again, unless the client pinned it."""
        free = wanted.preconditions is None or not wanted.preconditions.resourceVersion
        for left in reversed(range(TRIES)):
            item = self.cache.get(key)
            if item is None:
                raise status.not_found("pods", call.info.name)
            pod: Pod = item.obj
            if not spared(pod):
                break
            try:
                await self._delete(
                    call, key, _pinned(wanted, pod) if free and pod.status.phase == "Pending" else wanted
                )
                return
            except Conflict:
                if not free or not left:
                    raise
        budget = await self._spend(pod, bool(wanted.dryRun))
        if not (free and budget.startswith("=")):
            await self._delete(call, key, wanted)
            return
        try:
            await self._delete(call, key, _pinned(wanted, pod))
        except Conflict:
            raise _too_soon(budget[1:]) from None

    async def _delete(self, call: Call, key: str, wanted: DeleteOptions) -> None:
        """Mark the pod as disrupted, then delete it."""

        def mark(pod: Any) -> None:
            check_preconditions(self.pods.resource, wanted, pod)
            reason, text = "EvictionByEvictionAPI", "Eviction API: evicting"
            condition = PodCondition(type="DisruptionTarget", status="True", reason=reason, message=text)
            set_condition(pod, condition)

        if not wanted.dryRun:
            marked = await self.storage.rewrite(self.cache, key, mark)
            if wanted.preconditions is not None and wanted.preconditions.resourceVersion is not None:
                wanted.preconditions.resourceVersion = str(marked.revision)
        await self.deletion.delete(call, self.pods, key, wanted)

    async def _spend(self, pod: Pod, dry_run: bool) -> str:
        """Take one disruption from the pod's budget, if it has one.

        The budget's name, with a `=` before it where the pod is unhealthy and so costs nothing as long as it stays
        what it is. Raises TooManyRequests, Forbidden, or a Status 500 for a pod with two budgets.
        """
        found = [item for item in self.budgets.range(pod.metadata.namespace) if _covers(item.obj, pod)]
        if not found:
            return ""
        if len(found) > 1:
            text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(text, code=500)
        budget: PodDisruptionBudget = found[0].obj
        if not _ready(pod):
            state = budget.status
            healthy = state.currentHealthy >= state.desiredHealthy > 0
            if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow" or healthy:
                return f"={budget.metadata.name}"

        def spend(obj: Any) -> None:
            _check(obj)
            obj.status.disruptionsAllowed -= 1
            obj.status.disruptedPods = {**obj.status.disruptedPods, pod.metadata.name: time_now()}
            if obj.status.disruptionsAllowed == 0:
                _exhausted(obj)

        if dry_run:
            spend(codec.clone(budget))
        else:
            await self.storage.rewrite(self.budgets, found[0].key, spend)
        return budget.metadata.name


def _pinned(wanted: DeleteOptions, pod: Pod) -> DeleteOptions:
    """The options, for the pod only as it is now: ready, it would count."""
    uid = wanted.preconditions.uid if wanted.preconditions is not None else None
    version = Preconditions(uid=uid, resourceVersion=pod.metadata.resourceVersion)
    return replace(wanted, preconditions=version)


def spared(pod: Pod) -> bool:
    """Whether the pod counts for no budget: it has not begun, or is about to end."""
    return pod.status.phase in ("Succeeded", "Failed", "Pending") or pod.metadata.deletionTimestamp is not None


def _ready(pod: Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def _covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    return from_label_selector(budget.spec.selector).matches(pod.metadata.labels)


def _check(budget: PodDisruptionBudget) -> None:
    """Raises TooManyRequests or Forbidden if no pod may go now."""
    own, state = budget.metadata, budget.status
    if state.observedGeneration < own.generation:
        raise _too_soon(own.name)
    start = f"The disruption budget {own.name} does not allow evicting pods currently"
    if state.disruptionsAllowed < 0:
        cause = {"reason": CAUSE, "message": f"{start}: pdb disruptions allowed is negative"}
        reason = "pdb disruptions allowed is negative"
        raise status.forbidden("poddisruptionbudget.policy", own.name, reason, causes=[cause])
    if len(state.disruptedPods) > MAX_DISRUPTED:
        cause = {"reason": CAUSE, "message": f"{start}: too many pending evictions not confirmed by PDB controller"}
        reason = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise status.forbidden("poddisruptionbudget.policy", own.name, reason, causes=[cause])
    if state.disruptionsAllowed == 0:
        raise _violated(_why(budget, start), 0)


def _why(budget: PodDisruptionBudget, start: str) -> str:
    state = budget.status
    condition = next((each for each in state.conditions if each.type == "DisruptionAllowed"), None)
    refused = condition is not None and condition.status == "False" and condition.message
    if refused and condition is not None and condition.reason == "SyncFailed":
        return f"{start} because it failed sync: {condition.message}"
    if state.currentHealthy <= state.desiredHealthy:
        name = budget.metadata.name
        return (
            f"The disruption budget {name} needs {state.desiredHealthy} healthy pods and has "
            f"{state.currentHealthy} currently"
        )
    if refused and condition is not None:
        return f"{start} ({condition.reason}): {condition.message}"
    return start


def _violated(cause: str, retry_after: int) -> ApiError:
    error = status.too_many_requests(_VIOLATED, retry_after)
    error.details = {**(error.details or {}), "causes": [{"reason": CAUSE, "message": cause}]}
    return error


def _too_soon(name: str) -> ApiError:
    return _violated(f"The disruption budget {name} is still being processed by the server.", RETRY_AFTER)


def _exhausted(budget: PodDisruptionBudget) -> None:
    """The condition that goes with a budget of none."""
    conditions = []
    for each in budget.status.conditions:
        if each.type == "DisruptionAllowed" and each.status != "False":
            each.status, each.reason, each.message = "False", "InsufficientPods", ""
            each.lastTransitionTime = time_now()
            each.observedGeneration = budget.status.observedGeneration
        conditions.append(each)
    budget.status.conditions = tuple(conditions)
