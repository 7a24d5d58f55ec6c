"""Volumes, claims and attribute classes are not deleted while something uses them: each is born with a finalizer.

`controllers/volumeprotection.py` takes it away when nothing does. Source of the rule: k8s.io/kubernetes
`plugin/pkg/admission/storage/storageobjectinuseprotection`.
"""

from __future__ import annotations

from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin
from kijabi.apiserver.attributes import Attributes, Operation

FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds the finalizer."""

    name = "StorageObjectInUseProtection"

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return resource.qualified in FINALIZERS and not subresource and operation == "CREATE"

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        own, name = attrs.object.metadata, FINALIZERS[attrs.resource.qualified]
        if name not in own.finalizers:
            own.finalizers += (name,)
