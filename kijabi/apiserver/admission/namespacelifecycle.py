"""Nothing new comes into a namespace that is going or is not there; some namespaces cannot be deleted.

Source of the rules: k8s.io/apiserver `pkg/admission/plugin/namespace/lifecycle`.
"""

from __future__ import annotations

from kijabi.api.core.namespace import Namespace
from kijabi.api.resource import Resource
from kijabi.api.status import forbidden, not_found
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))


class NamespaceLifecycle(Plugin):
    """Looks at creations in a namespace, and at deletions of namespaces."""

    name = "NamespaceLifecycle"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if is_kind(resource, "", "namespaces"):
            return operation == "DELETE"
        # A review must not tell whether a namespace exists.
        return (
            operation == "CREATE"
            and resource.namespaced
            and not is_kind(resource, "authorization.k8s.io", "localsubjectaccessreviews")
        )

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        if attrs.operation == "DELETE":
            if attrs.name in IMMORTAL:
                raise forbidden(attrs.resource, attrs.name, "this namespace may not be deleted")
            return
        if not attrs.namespace:
            return
        namespace = self._reader.get(Namespace, attrs.namespace)
        if namespace is None:
            raise not_found("namespaces", attrs.namespace)
        if namespace.status.phase == "Terminating":
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {attrs.namespace} is being terminated",
                "field": "metadata.namespace",
            }
            text = f"unable to create new content in namespace {attrs.namespace} because it is being terminated"
            raise refuse(attrs, text, [cause])
