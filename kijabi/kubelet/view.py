"""What the runtime holds of one pod, as an immutable picture that the pure parts look at.

`cache.py` builds these from the runtime's listings and events; `plan.py` and `status.py` read them. Names on
containers and sandboxes are the labels and annotations that every CRI runtime keeps for us, so a restarted kubelet
finds its containers again by them (k8s.io/kubelet `pkg/types/labels.go`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from kijabi.api import codec
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.kubelet.runtime.interface import ContainerInfo, Sandbox

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
MESSAGE_FILE = "io.kijabi.container.terminationMessageFile"
GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
PRE_STOP = "io.kubernetes.container.preStopHandler"
RESOURCES = "io.kijabi.container.resources"


class PodView(msgspec.Struct, frozen=True, kw_only=True):
    """One pod's sandboxes and containers, newest first, running or not; `ips` are those of the newest sandbox."""

    uid: str
    name: str = ""
    namespace: str = ""
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[ContainerInfo, ...] = ()

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses of the newest ready sandbox; none for host network."""
        return next((box.ips for box in self.sandboxes if box.ready), ())

    @property
    def running(self) -> tuple[ContainerInfo, ...]:
        """The containers that run, or might: an unknown state counts."""
        return tuple(c for c in self.containers if c.state in ("running", "unknown"))

    def latest(self, name: str) -> ContainerInfo | None:
        """The newest container of that name in any sandbox."""
        return next((c for c in self.containers if c.name == name), None)

    def active(self, name: str) -> ContainerInfo | None:
        """The newest container of that name in the newest sandbox, if that sandbox is ready."""
        if not self.sandboxes or not self.sandboxes[0].ready:
            return None
        current = self.sandboxes[0].id
        return next((c for c in self.containers if c.name == name and c.sandbox_id == current), None)

    def by_id(self, container_id: str) -> ContainerInfo | None:
        """The container with that id."""
        return next((c for c in self.containers if c.id == container_id), None)


def newest_first(uid: str, sandboxes: Any, containers: Any) -> PodView:
    """A view from unordered sandboxes and containers of one pod; order is by attempt, then creation, then id.

    Attempts are counted, and times are only what the clock said: set back, it would let an old container that has
    ended pass for the newest, and be replaced again and again.
    """
    boxes = sorted(sandboxes, key=lambda box: (box.attempt, box.created_at, box.id), reverse=True)
    held = sorted(containers, key=lambda c: (c.attempt, c.created_at, c.id), reverse=True)
    if boxes:
        name, namespace = boxes[0].name, boxes[0].namespace
    elif held:
        name, namespace = held[0].labels.get(POD_NAME, ""), held[0].labels.get(POD_NAMESPACE, "")
    else:
        name = namespace = ""
    return PodView(uid=uid, name=name, namespace=namespace, sandboxes=tuple(boxes), containers=tuple(held))


def container_hash(container: Container) -> str:
    """A mark of what must restart a container when it changes: its name and image."""
    seed = f"{container.name}\n{container.image}".encode()
    return hashlib.blake2s(seed, digest_size=8).hexdigest()


def pod_labels(pod: Pod) -> dict[str, str]:
    """The labels of a pod's sandbox: its own, and who it is."""
    meta = pod.metadata
    own = dict(meta.labels or {})
    return own | {POD_NAME: meta.name, POD_NAMESPACE: meta.namespace, POD_UID: meta.uid}


def container_labels(pod: Pod, container: Container) -> dict[str, str]:
    """The labels of a container: who it is."""
    meta = pod.metadata
    return {
        POD_NAME: meta.name,
        POD_NAMESPACE: meta.namespace,
        POD_UID: meta.uid,
        CONTAINER_NAME: container.name,
    }


def container_annotations(pod: Pod, container: Container, attempt: int, message_file: str = "") -> dict[str, str]:
    """What a kubelet that lost the pod must still know of its container.

    message_file: the host file behind terminationMessagePath, so that it is found after the container ended.
    """
    notes = {
        CONTAINER_HASH: container_hash(container),
        RESTART_COUNT: str(attempt),
        MESSAGE_PATH: container.terminationMessagePath,
        MESSAGE_POLICY: container.terminationMessagePolicy,
    }
    if message_file:
        notes[MESSAGE_FILE] = message_file
    if pod.spec.terminationGracePeriodSeconds is not None:
        notes[GRACE_PERIOD] = str(pod.spec.terminationGracePeriodSeconds)
    if container.resources.requests or container.resources.limits:
        notes[RESOURCES] = codec.encode(container.resources).decode()
    if container.lifecycle is not None and container.lifecycle.preStop is not None:
        notes[PRE_STOP] = codec.encode(container.lifecycle.preStop).decode()
    return notes


def restart_count(info: ContainerInfo) -> int:
    """How often the container of this name was started before this one."""
    text = info.annotations.get(RESTART_COUNT, "")
    return int(text) if text.isdigit() else info.attempt


def owner_uid(labels: Mapping[str, str]) -> str:
    """The uid of the pod that a container or sandbox belongs to, "" if it is none of ours."""
    return labels.get(POD_UID, "")
