"""A pod learns the zone and region of its node when it is bound to it.

Source of the rule: KEP-4742, k8s.io/kubernetes `plugin/pkg/admission/podtopologylabels`.
"""

from __future__ import annotations

from kijabi.api.core.binding import Binding
from kijabi.api.core.node import Node
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind
from kijabi.apiserver.attributes import Attributes, Operation, Reader

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(Plugin):
    """Copies labels of the node onto bindings, and onto pods that are made with a node."""

    name = "PodTopologyLabels"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "pods") and subresource in ("", "binding") and operation == "CREATE"

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        obj = attrs.object
        if isinstance(obj, Binding):
            name = obj.target.name if obj.target.kind == "Node" else ""
        else:
            name = obj.spec.nodeName
        node = self._reader.get(Node, name) if name else None
        if node is not None:
            labels = {key: value for key, value in node.metadata.labels.items() if key in LABELS}
            obj.metadata.labels = {**obj.metadata.labels, **labels}
