"""Claims without a storage class and ingresses without a class get the cluster's default, the newest of several.

Source of the rules: k8s.io/kubernetes `plugin/pkg/admission/storage/storageclass/setdefault` and
`plugin/pkg/admission/network/defaultingressclass`.
"""

from __future__ import annotations

from kijabi.api.defaultclass import INGRESS, STORAGE, default_of
from kijabi.api.networking.ingressclass import IngressClass
from kijabi.api.resource import Resource
from kijabi.api.storage.storageclass import StorageClass
from kijabi.apiserver.admission.plugin import Plugin, is_kind
from kijabi.apiserver.attributes import Attributes, Operation, Reader

CLAIM_CLASS = "volume.beta.kubernetes.io/storage-class"
INGRESS_CLASS = "kubernetes.io/ingress.class"


class DefaultStorageClass(Plugin):
    """Completes claims."""

    name = "DefaultStorageClass"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "persistentvolumeclaims") and not subresource and operation == "CREATE"

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        claim = attrs.object
        if claim.spec.storageClassName is None and CLAIM_CLASS not in claim.metadata.annotations:
            claim.spec.storageClassName = default_of(self._reader.items(StorageClass), STORAGE)


class DefaultIngressClass(Plugin):
    """Completes ingresses."""

    name = "DefaultIngressClass"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "networking.k8s.io", "ingresses") and not subresource and operation == "CREATE"

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        ingress = attrs.object
        if ingress.spec.ingressClassName is None and INGRESS_CLASS not in ingress.metadata.annotations:
            ingress.spec.ingressClassName = default_of(self._reader.items(IngressClass), INGRESS)
