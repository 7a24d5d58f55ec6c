"""Every pod tolerates an unready or unreachable node for five minutes, unless it says otherwise.

Source of the rule: k8s.io/kubernetes `plugin/pkg/admission/defaulttolerationseconds` (KEP-166, taint based
evictions).
"""

from __future__ import annotations

from kijabi.api.core.affinity import Toleration
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind
from kijabi.apiserver.attributes import Attributes, Operation

SECONDS = 300
TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class DefaultTolerationSeconds(Plugin):
    """Adds the two tolerations to pods."""

    name = "DefaultTolerationSeconds"

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "pods") and not subresource and operation in ("CREATE", "UPDATE")

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        spec = attrs.object.spec
        given: tuple[Toleration, ...] = spec.tolerations
        for key in TAINTS:
            if not any(each.key in ("", key) and each.effect in ("", "NoExecute") for each in given):
                spec.tolerations += (
                    Toleration(key=key, operator="Exists", effect="NoExecute", tolerationSeconds=SECONDS),
                )
