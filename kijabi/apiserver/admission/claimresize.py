"""A claim grows only when it is bound, and its storage class can make volumes grow.

Source of the rule: k8s.io/kubernetes `plugin/pkg/admission/storage/persistentvolume/resize`.
"""

from __future__ import annotations

from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.storage.storageclass import StorageClass
from kijabi.apiserver.admission.defaultclasses import CLAIM_CLASS
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

NONE = Quantity()


class PersistentVolumeClaimResize(Plugin):
    """Looks at updates of claims."""

    name = "PersistentVolumeClaimResize"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "persistentvolumeclaims") and not subresource and operation == "UPDATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        new, old = attrs.object, attrs.old
        if _size(new).cmp(_size(old)) <= 0:
            return
        if old.status.phase != "Bound":
            raise refuse(attrs, "Only bound persistent volume claims can be expanded")
        name = class_of(new)
        found = self._reader.get(StorageClass, name) if name and name == class_of(old) else None
        if found is None or not found.allowVolumeExpansion:
            text = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
            raise refuse(attrs, text + "support resize")


def class_of(claim: PersistentVolumeClaim) -> str:
    """The name of a claim's storage class; empty if it has none."""
    return claim.metadata.annotations.get(CLAIM_CLASS) or claim.spec.storageClassName or ""


def _size(claim: PersistentVolumeClaim) -> Quantity:
    return claim.spec.resources.requests.get("storage", NONE)
