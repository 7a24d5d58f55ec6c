"""A pod's own control group, above those of its containers.

Called by `actions.py` before a sandbox starts and by `podworker.py` after the pod ended; hands on to
`runtime/cgroups.py`. `NullGroups` is for nodes without real containers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import pod_requests
from kijabi.kubelet import podspec, resources
from kijabi.kubelet.runtime.cgroups import Cgroups
from kijabi.kubelet.runtime.interface import Resources

log = logging.getLogger(__name__)

REMOVE_TRIES, REMOVE_WAIT = 20, 0.05


class Groups(Protocol):
    """Pods' control groups."""

    def ensure(self, pod: Pod, *, loose: bool = False) -> str:
        """Make the pod's group with its limits, or update them; gives its name for the runtime. Raises OSError.

        loose: without limits, while those of containers below change.
        """
        ...

    async def remove(self, uid: str) -> None:
        """Remove the pod's group; nothing if there is none."""
        ...

    def leftovers(self) -> tuple[str, ...]:
        """The uids of pods that have a group."""
        ...


class PodGroups:
    """Pods' control groups on this machine."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups

    def ensure(self, pod: Pod, *, loose: bool = False) -> str:
        """See Groups."""
        group = self._cgroups.pod(podspec.qos_class(pod), pod.metadata.uid)  # type: ignore[arg-type]
        cpu, memory = (0, 0) if loose else resources.pod_limits(pod)
        request = pod_requests(pod).get("cpu", 0)
        limits = Resources(cpu_shares=resources.shares(request), cpu_quota=resources.quota(cpu), memory_limit=memory)
        self._cgroups.create(group, limits)
        return group

    async def remove(self, uid: str) -> None:
        """See Groups. A process that was just killed may hold its group for a moment."""
        group = self._cgroups.pods().get(uid)
        if group is None:
            return
        for _ in range(REMOVE_TRIES):
            if self._cgroups.remove(group):
                return
            self._cgroups.kill(group)
            await asyncio.sleep(REMOVE_WAIT)
        log.warning("control group not removed", extra={"group": group})

    def leftovers(self) -> tuple[str, ...]:
        """See Groups."""
        return tuple(self._cgroups.pods())


class NullGroups:
    """No control groups at all."""

    def ensure(self, pod: Pod, *, loose: bool = False) -> str:
        """See Groups."""
        return ""

    async def remove(self, uid: str) -> None:
        """See Groups."""

    def leftovers(self) -> tuple[str, ...]:
        """See Groups."""
        return ()
