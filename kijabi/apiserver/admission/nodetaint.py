"""A new node takes no pods until a controller has seen it ready.

Source of the rule: k8s.io/kubernetes `plugin/pkg/admission/nodetaint` (KEP-382, taint nodes by condition).
"""

from __future__ import annotations

from kijabi.api.core.node import Taint
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind
from kijabi.apiserver.attributes import Attributes, Operation

NOT_READY = "node.kubernetes.io/not-ready"


class TaintNodesByCondition(Plugin):
    """Taints each node at its creation."""

    name = "TaintNodesByCondition"

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "nodes") and not subresource and operation == "CREATE"

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        spec = attrs.object.spec
        if not any(taint.key == NOT_READY and taint.effect == "NoSchedule" for taint in spec.taints):
            spec.taints += (Taint(key=NOT_READY, effect="NoSchedule"),)
