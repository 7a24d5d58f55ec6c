"""POST pods/NAME/binding and bindings: the scheduler ties a pod to a node, once and for good.

Receives a Binding from `server.py`, writes the pod through `storage.Storage.rewrite`. Rules and texts:
k8s.io/kubernetes `pkg/registry/core/pod/storage` (BindingREST).
"""

from __future__ import annotations

from typing import Any

from kijabi.api import status, validation
from kijabi.api.core.binding import Binding
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.gotext import quote
from kijabi.api.meta import time_now
from kijabi.apiserver.call import Call, encode
from kijabi.apiserver.storage import Storage
from kijabi.base.errors import BadRequest, Conflict
from kijabi.client.transport import Response

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Bindings:
    """The handlers of both paths."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.pods = storage.caches.by_type[Pod]

    async def create(self, call: Call) -> Response:
        """Bind a pod: 201 and a Status. Raises NotFound, Conflict (bound already), BadRequest, Invalid."""
        binding = call.body(Binding)
        own = binding.metadata
        name = call.info.name or own.name
        if own.name != name:
            raise BadRequest("name in URL does not match name in Binding object")
        if own.namespace not in ("", call.info.namespace):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        errors = []
        if binding.target.kind not in ("", "Node"):
            errors.append(validation.not_supported("target.kind", binding.target.kind, ("Node", "<empty>")))
        if not binding.target.name:
            errors.append(validation.required("target.name"))
        if errors:
            raise status.invalid("Binding", name, errors)
        await call.admit("CREATE", binding)

        def bind(pod: Any) -> None:
            _check(pod, binding)
            _bind(pod, binding)

        await self.storage.rewrite(self.pods, f"{call.info.namespace}/{name}", bind, call.options.dry_run)
        return encode(call.media, SUCCESS, 201)


def _check(pod: Pod, binding: Binding) -> None:
    own, asked = pod.metadata, binding.metadata
    if asked.uid and asked.uid != own.uid:
        text = f"Precondition failed: UID in precondition: {asked.uid}, UID in object meta: {own.uid}"
        raise status.conflict("pods", own.name, text)
    if asked.resourceVersion and asked.resourceVersion != own.resourceVersion:
        text = (
            f"Precondition failed: ResourceVersion in precondition: {asked.resourceVersion}, "
            f"ResourceVersion in object meta: {own.resourceVersion}"
        )
        raise status.conflict("pods", own.name, text)
    if own.deletionTimestamp is not None:
        raise _refused(pod, f"pod {own.name} is being deleted, cannot be assigned to a host")
    if pod.spec.nodeName:
        raise _refused(pod, f"pod {own.name} is already assigned to node {quote(pod.spec.nodeName)}")
    if pod.spec.schedulingGates:
        raise _refused(pod, f"pod {own.name} has non-empty .spec.schedulingGates")


def _refused(pod: Pod, text: str) -> Conflict:
    return status.conflict("pods/binding", pod.metadata.name, text)


def _bind(pod: Pod, binding: Binding) -> None:
    own, asked = pod.metadata, binding.metadata
    pod.spec.nodeName = binding.target.name
    pod.status.nominatedNodeName = ""
    if asked.annotations:
        own.annotations = {**own.annotations, **asked.annotations}
    if asked.labels:
        own.labels = {**own.labels, **asked.labels}
    set_condition(pod, PodCondition(type="PodScheduled", status="True"))


def set_condition(pod: Pod, condition: PodCondition) -> None:
    """Add or replace a condition; its transition time changes with its status only."""
    before = next((each for each in pod.status.conditions if each.type == condition.type), None)
    same = before is not None and before.status == condition.status
    condition.lastTransitionTime = before.lastTransitionTime if same and before is not None else time_now()
    condition.observedGeneration = condition.observedGeneration or (before.observedGeneration if before else 0)
    if before is None:
        pod.status.conditions = (*pod.status.conditions, condition)
    else:
        pod.status.conditions = tuple(condition if each is before else each for each in pod.status.conditions)
