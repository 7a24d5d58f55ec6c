"""A pod pays the overhead of its runtime class and goes where that class runs.

Source of the rules: KEP-688 (pod overhead), KEP-894 (runtime class scheduling), k8s.io/kubernetes
`plugin/pkg/admission/runtimeclass`.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.core.affinity import Toleration
from kijabi.api.core.pod import Pod
from kijabi.api.gotext import quote
from kijabi.api.node.runtimeclass import RuntimeClass, Scheduling
from kijabi.api.quota.amounts import equal
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


class RuntimeClasses(Plugin):
    """Sets overhead, node selector and tolerations of new pods that name a class."""

    name = "RuntimeClass"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, "", "pods") and not subresource and operation == "CREATE"

    def _class_of(self, attrs: Attributes) -> RuntimeClass | None:
        name = attrs.object.spec.runtimeClassName
        if name is None:
            return None
        found = self._reader.get(RuntimeClass, name)
        if found is None:
            raise refuse(attrs, f"pod rejected: RuntimeClass {quote(name)} not found")
        return found

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        pod: Pod = attrs.object
        found = self._class_of(attrs)
        if found is None:
            return
        if found.overhead is not None:
            if pod.spec.overhead and not equal(pod.spec.overhead, found.overhead.podFixed):
                raise refuse(attrs, MISMATCH)
            pod.spec.overhead = dict(found.overhead.podFixed)
        if found.scheduling is not None:
            _steer(attrs, pod, found.scheduling)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        found, overhead = self._class_of(attrs), attrs.object.spec.overhead
        if found is not None and found.overhead is not None:
            if not equal(overhead, found.overhead.podFixed):
                raise refuse(attrs, MISMATCH)
        elif overhead:
            text = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise refuse(attrs, text)


def _steer(attrs: Attributes, pod: Pod, scheduling: Scheduling) -> None:
    selector = dict(pod.spec.nodeSelector)
    for key, value in scheduling.nodeSelector.items():
        own = selector.setdefault(key, value)
        if own != value:
            theirs = f"runtimeClass.scheduling.nodeSelector[{key}] = {value}"
            raise refuse(attrs, f"conflict: {theirs}; pod.spec.nodeSelector[{key}] = {own}")
    pod.spec.nodeSelector = selector
    pod.spec.tolerations = merged((*pod.spec.tolerations, *scheduling.tolerations))


def merged(tolerations: Sequence[Toleration]) -> tuple[Toleration, ...]:
    """Tolerations without those that another of them includes; of equal ones the first stays."""
    kept: list[Toleration] = []
    for place, each in enumerate(tolerations):
        later = (other for other in tolerations[place + 1 :] if other != each)
        if not any(includes(other, each) for other in kept) and not any(includes(other, each) for other in later):
            kept.append(each)
    return tuple(kept)


def includes(wide: Toleration, narrow: Toleration) -> bool:
    """Whether everything that one toleration bears the other bears as well."""
    if wide == narrow:
        return True
    if narrow.key != wide.key and (wide.key or wide.operator != "Exists"):
        return False
    if wide.effect not in ("", narrow.effect):
        return False
    longest, asked = wide.tolerationSeconds, narrow.tolerationSeconds
    if wide.effect == "NoExecute" and longest is not None and (asked is None or asked > longest):
        return False
    if wide.operator in ("Equal", ""):
        return narrow.operator == "Equal" and narrow.value == wide.value
    return wide.operator == "Exists"
