"""A pod is not resized beyond what its node has.

Source of the rule: KEP-1287, k8s.io/kubernetes `plugin/pkg/admission/podresize`.
"""

from __future__ import annotations

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import amounts, pod_requests
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

OS = "kubernetes.io/os"


class PodResizeValidator(Plugin):
    """Looks at resizes of pods that have a node."""

    name = "PodResizeValidator"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "pods") and subresource == "resize" and operation == "UPDATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        pod: Pod = attrs.object
        name = pod.spec.nodeName
        if not name or pod.metadata.generation == attrs.old.metadata.generation:
            return
        node = self._reader.get(Node, name)
        if node is None:
            raise refuse(attrs, f"node {quote(name)} not found")
        system = node.metadata.labels.get(OS, "linux")
        if system != "linux":
            text = f"pod resize is only supported on linux nodes, node {quote(name)} is {quote(system)}"
            raise refuse(attrs, text, [{"reason": "UnsupportedPlatform"}])
        asked, there = pod_requests(pod), amounts(node.status.allocatable)
        lacking = [
            f"{kind}, requested: {asked[kind]}, allocatable: {there.get(kind, 0)}"
            for kind in ("cpu", "memory")
            if asked.get(kind, 0) > there.get(kind, 0)
        ]
        if lacking:
            text = f"node didn't have enough allocatable resources: {'; '.join(lacking)}"
            raise refuse(attrs, text, [{"reason": "NodeCapacity"}])
