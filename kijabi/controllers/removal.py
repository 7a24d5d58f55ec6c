"""Taking a pod away for the cluster's own reasons: its status says why before it goes.

Used by `podgc.py` (force, for nobody else will) and `tainteviction.py` (gracefully, its kubelet is alive).
"""

from __future__ import annotations

from typing import Any

from kijabi.api.core.pod import Pod
from kijabi.api.meta import time_now
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.client import Client
from kijabi.controllers import pods as podlib

DISRUPTION = "DisruptionTarget"


def condition(pod: Pod, kind: str, status: str, reason: str, message: str) -> dict[str, Any] | None:
    """A patch of one condition of the pod, as wire data; None if it stands like that already."""
    known = podlib.condition(pod, kind)
    if known is not None and (known.status, known.reason, known.message) == (status, reason, message):
        return None
    changed = known is None or known.status != status
    at = str(time_now()) if changed or known is None else str(known.lastTransitionTime)
    made = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}
    return {**made, "observedGeneration": pod.metadata.generation} if pod.metadata.generation else made


async def patch_status(client: Client, pod: Pod, status: dict[str, Any]) -> None:
    """Change part of the pod's status, if it is still the same pod."""
    patch = {"metadata": {"uid": pod.metadata.uid}, "status": status}
    meta = pod.metadata
    await client.patch(Pod, meta.name, patch, namespace=meta.namespace, type="strategic", subresource="status")


async def evict(client: Client, pod: Pod, reason: str, message: str) -> None:
    """Say why in its DisruptionTarget condition, then delete it with its own grace. Gone already is well."""
    try:
        if change := condition(pod, DISRUPTION, "True", reason, message):
            await patch_status(client, pod, {"conditions": [change]})
        await client.delete(Pod, pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)
    except (NotFound, Conflict):  # Gone, or another pod has its name by now.
        return


async def remove(client: Client, pod: Pod, reason: str = "", message: str = "") -> None:
    """Mark it failed, for nobody will report its end any more, and delete it at once. Gone already is well."""
    try:
        if not podlib.terminal(pod):
            status: dict[str, Any] = {"phase": "Failed"}
            if reason and (change := condition(pod, DISRUPTION, "True", reason, message)):
                status["conditions"] = [change]
            await patch_status(client, pod, status)
        await client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace=0, uid=pod.metadata.uid)
    except (NotFound, Conflict):
        return
