"""Removing what pods leave in the runtime and on disk: dead containers, old sandboxes, logs.

Workers call these right after a restart and at a pod's end; `gc.py` calls them for what no worker knows.
"""

from __future__ import annotations

import logging

from kijabi.api.core.pod import Pod
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.parts import Parts
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.kubelet.view import PodView

log = logging.getLogger(__name__)

# Ended containers kept of each name, for `logs --previous` and lastState.
DEAD_KEPT = 1


def dead_containers(view: PodView, name: str) -> tuple[str, ...]:
    """The ids of a container's ended instances that nobody needs any more; pure."""
    dead = [c for c in view.containers if c.name == name and c.state == "exited"]
    return tuple(c.id for c in dead[DEAD_KEPT:])


def old_sandboxes(view: PodView) -> tuple[str, ...]:
    """The ids of sandboxes that are down, not the newest, and empty; pure."""
    used = {c.sandbox_id for c in view.containers}
    return tuple(box.id for box in view.sandboxes[1:] if not box.ready and box.id not in used)


async def remove_dead(parts: Parts, uid: str, name: str) -> None:
    """Remove what `dead_containers` and `old_sandboxes` name; what fails is left for the next time."""
    try:
        for container_id in dead_containers(parts.cache.view(uid), name):
            await parts.runtime.remove_container(container_id)
            parts.cache.forget(container_id)
            parts.probes.forget(container_id)
        for sandbox_id in old_sandboxes(parts.cache.view(uid)):
            await parts.runtime.remove_sandbox(sandbox_id)
            parts.cache.forget(sandbox_id)
    except (RuntimeFailure, ConnectionLost) as problem:
        log.info("dead container not removed", extra={"pod": uid, "reason": str(problem)})


async def remove_pod(parts: Parts, uid: str) -> None:
    """Remove all of a stopped pod's containers and sandboxes. Raises RuntimeFailure or ConnectionLost."""
    view = parts.cache.view(uid)
    for info in view.containers:
        await parts.runtime.remove_container(info.id)
        parts.cache.forget(info.id)
    for box in view.sandboxes:
        if box.ready:
            await parts.runtime.stop_sandbox(box.id)
        await parts.runtime.remove_sandbox(box.id)
        parts.cache.forget(box.id)


async def remove_logs(parts: Parts, pod: Pod) -> None:
    """Delete the pod's log directory."""
    meta = pod.metadata
    path = f"{parts.log_root}/{meta.namespace}_{meta.name}_{meta.uid}"
    try:
        await parts.files.remove_tree(path)
    except OSError as problem:
        log.warning("logs not removed", extra={"path": path, "reason": str(problem)})
