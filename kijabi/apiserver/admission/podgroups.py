"""Pod groups are not deleted while pods are in them; where they are not served, pods are in none.

`controllers/podgroupprotection.py` takes the finalizer away. Source of the rules: k8s.io/kubernetes
`plugin/pkg/admission/scheduling/podgroupprotection` and, of the field that is dropped, `pkg/api/pod`.
"""

from __future__ import annotations

from kijabi.api.resource import Resource
from kijabi.api.scheduling.podgroup import FINALIZER, PodGroup
from kijabi.apiserver.admission.plugin import Plugin, is_kind
from kijabi.apiserver.attributes import Attributes, Operation, Reader


class PodGroupProtection(Plugin):
    """Adds the finalizer to groups, and takes pods out of groups that cannot be."""

    name = "PodGroupProtection"

    def __init__(self, reader: Reader) -> None:
        self._served = reader.serves(PodGroup)

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if subresource or operation != "CREATE":
            return False
        return is_kind(resource, "scheduling.k8s.io", "podgroups") or is_kind(resource, "", "pods")

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        new = attrs.object
        if not isinstance(new, PodGroup):
            if not self._served:
                new.spec.schedulingGroup = None
        elif FINALIZER not in new.metadata.finalizers:
            new.metadata.finalizers += (FINALIZER,)
