"""The chain of admission plug-ins: who is asked, and in which order.

`registry.py` calls `mutate` on a decoded and defaulted object and `validate` on the valid one; `app.py`
builds the chain with `plugins`. Which plug-ins handle a kind of write is asked once and remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kijabi.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from kijabi.apiserver.admission.claimresize import PersistentVolumeClaimResize
from kijabi.apiserver.admission.defaultclasses import DefaultIngressClass, DefaultStorageClass
from kijabi.apiserver.admission.kinds import Kinds
from kijabi.apiserver.admission.limitranger import LimitRanger
from kijabi.apiserver.admission.mutatingpolicy import MutatingPolicies, Schemas
from kijabi.apiserver.admission.mutatingwebhook import MutatingAdmissionWebhook
from kijabi.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from kijabi.apiserver.admission.nodefeatures import NodeDeclaredFeatures
from kijabi.apiserver.admission.noderestriction import NodeRestriction
from kijabi.apiserver.admission.nodetaint import TaintNodesByCondition
from kijabi.apiserver.admission.paramaccess import ParameterAccess
from kijabi.apiserver.admission.plugin import Plugin
from kijabi.apiserver.admission.podgroups import PodGroupProtection
from kijabi.apiserver.admission.podresize import PodResizeValidator
from kijabi.apiserver.admission.podsecurity import PodSecurity
from kijabi.apiserver.admission.podtopologylabels import PodTopologyLabels
from kijabi.apiserver.admission.priority import Priority
from kijabi.apiserver.admission.resourcequota import ResourceQuotas
from kijabi.apiserver.admission.runtimeclass import RuntimeClasses
from kijabi.apiserver.admission.serviceaccount import ServiceAccountAdmission
from kijabi.apiserver.admission.storageprotection import StorageObjectInUseProtection
from kijabi.apiserver.admission.tolerations import DefaultTolerationSeconds
from kijabi.apiserver.admission.validatingpolicy import ValidatingPolicies
from kijabi.apiserver.admission.validatingwebhook import ValidatingAdmissionWebhook
from kijabi.apiserver.attributes import Admission, Attributes, Authorizer, Operation, Reader
from kijabi.apiserver.authz.escalation import EscalationCheck
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.webhooks.client import Webhooks


def plugins(reader: Reader, rbac: Rbac, authorizer: Authorizer) -> tuple[Admission, ...]:
    """All plug-ins, in upstream's order (k8s.io/kubernetes `pkg/kubeapiserver/options/plugins.go`)."""
    return (
        NamespaceLifecycle(reader),
        LimitRanger(reader),
        ServiceAccountAdmission(reader),
        NodeRestriction(reader, authorizer),
        TaintNodesByCondition(),
        PodSecurity(reader),
        Priority(reader),
        DefaultTolerationSeconds(),
        DefaultStorageClass(reader),
        StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(reader),
        RuntimeClasses(reader),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        ClusterTrustBundleAttest(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(reader),
        PodTopologyLabels(reader),
        NodeDeclaredFeatures(reader),
        PodResizeValidator(reader),
        PodGroupProtection(reader),
        EscalationCheck(rbac, authorizer),
        ResourceQuotas(reader),
    )


def dynamic(
    reader: Reader, kinds: Kinds, webhooks: Webhooks, authorizer: Authorizer, schemas: Schemas
) -> tuple[Admission, ...]:
    """The plug-ins that do what users' configurations say, in upstream's order. schemas: how objects merge."""
    return (
        ParameterAccess(reader, kinds, authorizer),
        MutatingPolicies(reader, kinds, authorizer, schemas),
        MutatingAdmissionWebhook(reader, kinds, webhooks, authorizer),
        ValidatingPolicies(reader, kinds, authorizer),
        ValidatingAdmissionWebhook(reader, kinds, webhooks, authorizer),
    )


# What comes after everything else, webhooks and policies too: a quota is charged for what really is written.
LAST = frozenset(("ResourceQuota",))
Phase = Literal["mutate", "validate"]


class Chain:
    """Plug-ins in order."""

    def __init__(self, plugins: Sequence[Admission]) -> None:
        self._plugins = tuple(plugins)
        self._handlers: dict[tuple[Phase, str, str, Operation], tuple[Admission, ...]] = {}

    def extend(self, plugins: Sequence[Admission]) -> None:
        """Add plug-ins behind all others but those of LAST: the policies and webhooks that users bring."""
        first = [plugin for plugin in self._plugins if plugin.name not in LAST]
        last = [plugin for plugin in self._plugins if plugin.name in LAST]
        self._plugins = (*first, *plugins, *last)
        self._handlers.clear()

    def forget(self, *_: str) -> None:
        """What is served has changed: ask the plug-ins anew what they handle."""
        self._handlers.clear()

    def _of(self, attrs: Attributes, phase: Phase) -> tuple[Admission, ...]:
        """Who handles such writes and has something to do in a phase."""
        resource = attrs.resource
        key = (phase, f"{resource.qualified}/{resource.version}", attrs.subresource, attrs.operation)
        found = self._handlers.get(key)
        if found is None:
            found = self._handlers[key] = tuple(
                plugin
                for plugin in self._plugins
                if getattr(type(plugin), phase) is not getattr(Plugin, phase)
                and plugin.handles(resource, attrs.subresource, attrs.operation)
            )
        return found

    async def mutate(self, attrs: Attributes) -> None:
        """Let every plug-in change `attrs.object`; the first that refuses ends it.

        Where a policy or webhook changed it, all are asked a second time, for the change may concern them.
        """
        plugins = self._of(attrs, "mutate")
        for plugin in plugins:
            await plugin.mutate(attrs)
        if attrs.rounds.wanted:
            attrs.rounds.second = True
            for plugin in plugins:
                await plugin.mutate(attrs)

    async def validate(self, attrs: Attributes) -> None:
        """Let every plug-in look at the final object; the first that refuses ends it."""
        for plugin in self._of(attrs, "validate"):
            await plugin.validate(attrs)
