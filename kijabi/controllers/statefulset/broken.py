"""Which pods of an earlier template a rollout may take down although they hold it up. Pure; `plan.py` asks.

With OrderedReady every step waits until the pods before are ready. A template whose pods never become ready therefore
stops the set for good, and the template that would mend it is never rolled out: somebody must delete the broken pod by
hand (kubernetes/kubernetes issue 67250; the guide calls it "forced rollback"). A set with the annotation below lets the
controller do that. Without the annotation it waits, as upstream does.
"""

from __future__ import annotations

from collections.abc import Iterable

from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.controllers import pods as podlib

REPLACE_BROKEN = "kijabi.dev/replace-broken"
"""Annotation of a StatefulSet: "true" lets a rollout or rollback replace broken pods of other templates."""
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_SLACK = 1.0
"""Seconds between the start of a pod and its first word that it is not ready, at most: times are whole seconds."""


def allowed(ss: StatefulSet) -> bool:
    """The user lets broken pods be replaced."""
    return ss.metadata.annotations.get(REPLACE_BROKEN) == "true"


def broken(pod: Pod) -> bool:
    """It is not ready, and either never was or a container of it fails.

    A pod that was ready and has only stopped being so, such as one whose node is cut off or whose probe missed once,
    may come back by itself and is not meant.
    """
    return not podlib.ready(pod) and (not _was_ready(pod) or _fails(pod))


def _was_ready(pod: Pod) -> bool:
    """Its Ready condition changed after the pod had started."""
    found, start = podlib.condition(pod, "Ready"), pod.status.startTime
    if found is None or not found.lastTransitionTime or not start:
        return False
    return found.lastTransitionTime.timestamp() > start.timestamp() + _SLACK


def _fails(pod: Pod) -> bool:
    """A container cannot be started, or ended with an error."""
    statuses: Iterable[ContainerStatus] = (*pod.status.initContainerStatuses, *pod.status.containerStatuses)
    for one in statuses:
        state = one.state
        if state is None:
            continue
        if state.waiting is not None and state.waiting.reason not in _STARTING:
            return True
        if state.terminated is not None and state.terminated.exitCode != 0:
            return True
    return False
