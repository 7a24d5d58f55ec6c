"""Telling the API server how pods are: only what changed, again until it arrives, and deletion at the very end.

Pod workers `publish` statuses and ask to `delete`; this sends them in the background, a few pods at a time and one
request a pod. A newer status replaces one that still waits. Terminal phases are guarded in `status.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodStatus
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.client.queue import WorkQueue
from kijabi.kubelet import podspec
from kijabi.kubelet.conditions import OWNED

log = logging.getLogger(__name__)

SENDERS = 4
# Fields of a status that are merged by key or that others write, so that they are compared on their own.
_SPECIAL = frozenset({"conditions", "podIPs", "hostIPs", "nominatedNodeName", "resourceClaimStatuses"})


class _Known:
    """What we want the server to show of one pod, and what it last said that it shows."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.wanted: PodStatus | None = None
        self.shown = pod.status
        self.version = pod.metadata.resourceVersion
        self.delete = False
        self.done = asyncio.Event()


class Statuses:
    """The statuses of this node's pods, by uid."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, _Known] = {}
        self._queue = WorkQueue(first_backoff=0.05, most_backoff=10.0)

    async def run(self) -> None:
        """Send for ever; a task for a TaskGroup."""
        async with asyncio.TaskGroup() as group:
            for number in range(SENDERS):
                group.create_task(self._send_all(), name=f"status sender {number}")

    def last(self, pod: Pod) -> PodStatus:
        """The newest status of the pod that we know: our own, else what the API shows."""
        known = self._known.get(pod.metadata.uid)
        return pod.status if known is None or known.wanted is None else known.wanted

    def publish(self, pod: Pod, status: PodStatus) -> None:
        """Make the server show this status, unless it does."""
        known = self._of(pod)
        known.wanted = status
        if patch(known.shown, status):
            self._queue.add(pod.metadata.uid)

    def observe(self, pod: Pod) -> None:
        """The watch brought the pod: if somebody else changed what is ours, say it again."""
        known = self._known.get(pod.metadata.uid)
        if known is None:
            return
        known.pod = pod
        if _older(pod.metadata.resourceVersion, known.version):
            return
        known.shown, known.version = pod.status, pod.metadata.resourceVersion
        if known.wanted is not None and podspec.is_terminal(pod) and known.wanted.phase != pod.status.phase:
            # Somebody gave the pod up (pod garbage collection): that is never taken back. Its worker will stop it.
            how = pod.status
            known.wanted = replace(known.wanted, phase=how.phase, reason=how.reason, message=how.message)
        if known.wanted is not None and patch(known.shown, known.wanted):
            self._queue.add(pod.metadata.uid)

    async def delete(self, pod: Pod) -> None:
        """Delete the API object after its last status was sent; returns when it is gone."""
        known = self._of(pod)
        known.delete = True
        self._queue.add(pod.metadata.uid)
        await known.done.wait()

    def drop(self, uid: str) -> None:
        """The API object is gone: nothing more is to be said of it."""
        known = self._known.pop(uid, None)
        if known is not None:
            known.done.set()

    def _of(self, pod: Pod) -> _Known:
        known = self._known.get(pod.metadata.uid)
        if known is None:
            known = self._known[pod.metadata.uid] = _Known(pod)
        return known

    async def _send_all(self) -> None:
        while True:
            uid = await self._queue.get()
            try:
                known = self._known.get(uid)
                if known is not None:
                    await self._send(uid, known)
                self._queue.forget(uid)
            except (ApiError, ConnectionLost) as problem:
                log.warning("status not sent", extra={"pod": uid, "reason": str(problem)})
                self._queue.add_backoff(uid)
            finally:
                self._queue.done(uid)

    async def _send(self, uid: str, known: _Known) -> None:
        meta = known.pod.metadata
        last = known.delete  # Asked for while the status before the last one is under way, it waits for its turn.
        try:
            changes = patch(known.shown, known.wanted) if known.wanted is not None else {}
            if changes:
                body = {"metadata": {"uid": uid}, "status": changes}
                answer = await self._client.patch(
                    Pod, meta.name, body, namespace=meta.namespace, type="strategic", subresource="status"
                )
                known.shown, known.version = answer.status, answer.metadata.resourceVersion
            if last:
                await self._client.delete(Pod, meta.name, meta.namespace, grace=0, uid=uid)
                self.drop(uid)
        except (NotFound, Conflict) as problem:
            # The pod is gone, or another of that name took its place.
            log.info("pod is gone", extra={"pod": f"{meta.namespace}/{meta.name}", "reason": str(problem)})
            self.drop(uid)


def _older(version: str, than: str) -> bool:
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def patch(shown: PodStatus, wanted: PodStatus) -> dict[str, Any]:
    """The strategic merge patch from one status to the other, {} where nothing differs.

    Conditions that others own are left alone; addresses are replaced as a whole.
    """
    if shown == wanted:
        return {}
    old, new = codec.to_builtins(shown), codec.to_builtins(wanted)
    changes: dict[str, Any] = {}
    for key in sorted((old.keys() | new.keys()) - _SPECIAL):
        if old.get(key) != new.get(key):
            changes[key] = new.get(key)
    for key in ("podIPs", "hostIPs"):
        if old.get(key) != new.get(key):
            changes[key] = [{"$patch": "replace"}, *(new.get(key) or [])]
    conditions = _conditions(old, new)
    if conditions:
        changes["conditions"] = conditions
    return changes


def _conditions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conditions to set; a field that is no longer there is set to null."""
    before = {c["type"]: c for c in old.get("conditions") or ()}
    changed = []
    for condition in new.get("conditions") or ():
        held = before.get(condition["type"])
        ours = condition["type"] in OWNED or (condition["type"] == "DisruptionTarget" and held is None)
        if ours and condition != held:
            changed.append({**dict.fromkeys(held or (), None), **condition})
    present = {c["type"] for c in new.get("conditions") or ()}
    gone = [kind for kind in before if kind in OWNED and kind not in present]
    return changed + [{"$patch": "delete", "type": kind} for kind in gone]
