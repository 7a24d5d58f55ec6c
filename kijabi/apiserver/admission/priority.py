"""A pod's priority is that of its priority class, as a pod group's is; only one class is the default.

The two system classes are made by `bootstrap.py`. Source of the rules: k8s.io/kubernetes
`plugin/pkg/admission/priority` (KEP-564, pod priority and preemption).
"""

from __future__ import annotations

from kijabi.api.core.pod import Pod
from kijabi.api.resource import Resource
from kijabi.api.scheduling.podgroup import PodGroup, PodGroupSpec
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

LOWER = "PreemptLowerPriority"


class Priority(Plugin):
    """Computes `spec.priority` of pods and their groups, and watches over the default class."""

    name = "Priority"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if subresource or operation not in ("CREATE", "UPDATE"):
            return False
        if is_kind(resource, "scheduling.k8s.io", "podgroups"):
            return operation == "CREATE"
        return is_kind(resource, "", "pods") or is_kind(resource, "scheduling.k8s.io", "priorityclasses")

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        if isinstance(attrs.object, PodGroup):
            self._group(attrs, attrs.object.spec)
        if not isinstance(attrs.object, Pod):
            return
        spec = attrs.object.spec
        if attrs.operation == "UPDATE":
            if spec.priority is None:
                spec.priority = attrs.old.spec.priority
            if spec.preemptionPolicy is None:
                spec.preemptionPolicy = attrs.old.spec.preemptionPolicy
            return
        name, value, policy = self._resolve(attrs, spec.priorityClassName)
        if spec.priority is not None and spec.priority != value:
            raise refuse(
                attrs,
                f"the integer value of priority ({spec.priority}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name",
            )
        if policy is not None:
            if spec.preemptionPolicy is not None and spec.preemptionPolicy != policy:
                raise refuse(
                    attrs,
                    f"the string value of PreemptionPolicy ({spec.preemptionPolicy}) must not be provided "
                    f"in pod spec; priority admission controller computed {policy} from the given PriorityClass name",
                )
            spec.preemptionPolicy = policy
        spec.priorityClassName, spec.priority = name, value

    def _group(self, attrs: Attributes, spec: PodGroupSpec) -> None:
        name, value, _ = self._resolve(attrs, spec.priorityClassName)
        if spec.priority is not None and spec.priority != value:
            raise refuse(
                attrs,
                f"priority set in the pod group ({spec.priority}) must match the priority computed ({value}) based on "
                "the priority class set in the spec",
            )
        spec.priorityClassName, spec.priority = name, value

    def _resolve(self, attrs: Attributes, name: str) -> tuple[str, int, str | None]:
        if name:
            found = self._reader.get(PriorityClass, name)
            if found is None:
                raise refuse(attrs, f"no PriorityClass with name {name} was found")
            return name, found.value, found.preemptionPolicy
        default = self._default()
        if default is None:
            return "", 0, LOWER
        return default.metadata.name, default.value, default.preemptionPolicy

    def _default(self) -> PriorityClass | None:
        """The default class; the lowest, should a race have made two."""
        classes = [each for each in self._reader.items(PriorityClass) if each.globalDefault]
        return min(classes, key=lambda each: each.value, default=None)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        new = attrs.object
        if not isinstance(new, PriorityClass) or not new.globalDefault:
            return
        default = self._default()
        if default is not None and (attrs.operation == "CREATE" or default.metadata.name != new.metadata.name):
            name = default.metadata.name
            raise refuse(attrs, f"PriorityClass {name} is already marked as default. Only one default can exist")
