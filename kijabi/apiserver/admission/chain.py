"""The chain of admission plug-ins: who is asked, and in which order.

`registry.py` calls `mutate` on a decoded and defaulted object and `validate` on the valid one; `app.py`
builds the chain with `plugins`. Which plug-ins handle a kind of write is asked once and remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from kijabi.apiserver.admission.noderestriction import NodeRestriction
from kijabi.apiserver.admission.nodetaint import TaintNodesByCondition
from kijabi.apiserver.admission.priority import Priority
from kijabi.apiserver.admission.serviceaccount import ServiceAccountAdmission
from kijabi.apiserver.admission.tolerations import DefaultTolerationSeconds
from kijabi.apiserver.attributes import Admission, Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.authz.escalation import EscalationCheck
from kijabi.apiserver.authz.rbac import Rbac


def plugins(reader: Reader, rbac: Rbac, authorizer: Authorizer) -> tuple[Admission, ...]:
    """All plug-ins, in upstream's order (k8s.io/kubernetes `pkg/kubeapiserver/options/plugins.go`)."""
    return (
        NamespaceLifecycle(reader),
        ServiceAccountAdmission(reader),
        NodeRestriction(reader, authorizer),
        TaintNodesByCondition(),
        Priority(reader),
        DefaultTolerationSeconds(),
        EscalationCheck(rbac, authorizer),
    )


class Chain:
    """Plug-ins in order."""

    def __init__(self, plugins: Sequence[Admission]) -> None:
        self._plugins = tuple(plugins)
        self._handlers: dict[tuple[str, str, Operation], tuple[Admission, ...]] = {}

    def _of(self, attrs: Attributes) -> tuple[Admission, ...]:
        resource = attrs.resource
        key = (f"{resource.qualified}/{resource.version}", attrs.subresource, attrs.operation)
        found = self._handlers.get(key)
        if found is None:
            found = tuple(
                plugin for plugin in self._plugins if plugin.handles(resource, attrs.subresource, attrs.operation)
            )
            self._handlers[key] = found
        return found

    async def mutate(self, attrs: Attributes) -> None:
        """Let every plug-in change `attrs.object`; the first that refuses ends it."""
        for plugin in self._of(attrs):
            await plugin.mutate(attrs)

    async def validate(self, attrs: Attributes) -> None:
        """Let every plug-in look at the final object; the first that refuses ends it."""
        for plugin in self._of(attrs):
            await plugin.validate(attrs)
