"""Events of the kubelet: about pods, about single containers of pods, and about the node.

A thin face on `client.events.Recorder`, so that all parts of the kubelet name the same objects in the same way.
"""

from __future__ import annotations

from typing import Protocol

from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.client.events import reference
from kijabi.kubelet import podspec


class Recorder(Protocol):
    """What this needs of `client.events.Recorder`."""

    def event(self, obj: object, type: str, reason: str, message: str, *, field_path: str = "") -> None: ...


class Reports:
    """Records events about what happens on this node."""

    def __init__(self, recorder: Recorder, node: str) -> None:
        self._recorder = recorder
        # The uid of a node in events is its name, as `kubectl describe node` looks for it.
        self._node = ObjectReference(kind="Node", name=node, uid=node)

    def pod(self, pod: Pod, type: str, reason: str, message: str) -> None:
        """An event about a pod."""
        self._recorder.event(reference(pod), type, reason, message)

    def container(self, pod: Pod, name: str, type: str, reason: str, message: str) -> None:
        """An event about one container of a pod."""
        self._recorder.event(reference(pod, podspec.field_path(pod.spec, name)), type, reason, message)

    def node(self, type: str, reason: str, message: str) -> None:
        """An event about this node."""
        self._recorder.event(self._node, type, reason, message)
