"""A pod is not changed into something that its node has not declared to be able to do.

What matters are resizes that not every kubelet knows: of a pod's own resources, init containers, volumes in memory.
Source of the rules: KEP-5328, k8s.io/kubernetes `plugin/pkg/admission/nodedeclaredfeatures`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kijabi.api.core.node import Node
from kijabi.api.core.pod import PodSpec
from kijabi.api.core.requests import is_sidecar
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader


def _pod_resources(new: PodSpec, old: PodSpec) -> bool:
    return new.resources != old.resources


def _init_containers(new: PodSpec, old: PodSpec) -> bool:
    pairs = zip(new.initContainers, old.initContainers, strict=False)
    return any(not is_sidecar(before) and after.resources != before.resources for after, before in pairs)


def _memory_volumes(new: PodSpec, old: PodSpec) -> bool:
    if len(new.volumes) != len(old.volumes):
        return False
    for after, before in zip(new.volumes, old.volumes, strict=True):
        if after.name != before.name or after.emptyDir is None or before.emptyDir is None:
            continue
        size, was = after.emptyDir.sizeLimit, before.emptyDir.sizeLimit
        if after.emptyDir.medium == "Memory" and size is not None and was is not None and size.cmp(was):
            return True
    return False


FEATURES: Mapping[str, Callable[[PodSpec, PodSpec], bool]] = {
    "InPlacePodLevelResourcesVerticalScaling": _pod_resources,
    "InPlacePodVerticalScalingInitContainers": _init_containers,
    "InPlacePodVerticalScalingMemoryBackedVolumes": _memory_volumes,
}


class NodeDeclaredFeatures(Plugin):
    """Looks at updates and resizes of pods that have a node."""

    name = "NodeDeclaredFeatureValidator"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "pods") and subresource in ("", "resize") and operation == "UPDATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        new, old = attrs.object, attrs.old
        name = new.spec.nodeName
        if not name or new.metadata.generation == old.metadata.generation:
            return
        needed = [feature for feature, changes in FEATURES.items() if changes(new.spec, old.spec)]
        if not needed:
            return
        node = self._reader.get(Node, name)
        if node is None:
            raise refuse(attrs, f"node {quote(name)} not found")
        lacking = [feature for feature in needed if feature not in node.status.declaredFeatures]
        if lacking:
            text = f"pod update requires features {', '.join(lacking)} which are not available on node {quote(name)}"
            raise refuse(attrs, text)
