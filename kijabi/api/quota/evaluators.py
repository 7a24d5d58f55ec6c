"""What each kind of object takes of a quota; kinds that are listed nowhere are counted.

`of` gives the evaluator of a resource. Admission asks it whether a write matters at all (`handles`), both admission and
the controller ask for the names of a quota that it counts for, the scopes, and the usage of one object.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any

from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ScopedResourceSelectorRequirement
from kijabi.api.core.resources import ResourceList
from kijabi.api.core.service import Service
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.quantity import Quantity
from kijabi.api.quota import pods
from kijabi.api.resource import Resource

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
BY_CLASS = ".storageclass.storage.k8s.io/"
BY_DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
MAX_DEVICES = 32  # what a request for all devices may get (resource.k8s.io AllocationResultsMaxSize)
ALIASES = {"configmaps", "resourcequotas", "replicationcontrollers", "secrets"}  # count under their bare names too
REMEMBERED = 4096  # evaluators of kinds that are only counted
IGNORED = frozenset((
    "bindings", "componentstatuses", "events", "events.events.k8s.io", "tokenreviews.authentication.k8s.io",
    "selfsubjectreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io",
    "selfsubjectaccessreviews.authorization.k8s.io", "localsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
))  # fmt: skip


class Evaluator:
    """Of a kind that is only counted; the base of the others. qualified: `configmaps`, `widgets.example.com`."""

    def __init__(self, qualified: str) -> None:
        self.qualified = qualified
        self.names = frozenset((f"count/{qualified}", *({qualified} & ALIASES)))
        self._usage = dict.fromkeys(sorted(self.names), pods.ONE)

    def may_handle(self, subresource: str, operation: str) -> bool:
        """Whether a write of this sort can take anything; `handles` decides on the objects."""
        return operation == "CREATE" and not subresource

    def handles(self, subresource: str, operation: str, new: Any, old: Any) -> bool:
        """Whether this write is charged."""
        return self.may_handle(subresource, operation)

    def counts(self, name: str) -> bool:
        """Whether objects of this kind take of this name of a quota."""
        return name in self.names

    def in_scope(self, wanted: ScopedResourceSelectorRequirement, obj: Any) -> bool:
        """Whether an object falls into a scope; most kinds fall into none."""
        return False

    def missing(self, obj: Any, names: Collection[str]) -> str:
        """What the object must state because these names are counted: `must specify …`."""
        return ""

    def usage(self, obj: Any, now: datetime) -> ResourceList:
        """What one object takes."""
        return dict(self._usage)


class _Pods(Evaluator):
    def may_handle(self, subresource: str, operation: str) -> bool:
        return (subresource, operation) in (("", "CREATE"), ("", "UPDATE"), ("resize", "UPDATE"))

    def handles(self, subresource: str, operation: str, new: Pod, old: Pod | None) -> bool:
        if operation == "UPDATE" and not subresource:
            return old is not None and pods.terminating(old) != pods.terminating(new)
        return self.may_handle(subresource, operation)

    def counts(self, name: str) -> bool:
        return pods.counts(name)

    def in_scope(self, wanted: ScopedResourceSelectorRequirement, obj: Pod) -> bool:
        return pods.in_scope(wanted, obj)

    def missing(self, obj: Pod, names: Collection[str]) -> str:
        return pods.missing(obj, names)

    def usage(self, obj: Pod, now: datetime) -> ResourceList:
        return pods.usage(obj, now)


class _Services(Evaluator):
    names = frozenset(("count/services", "services", "services.nodeports", "services.loadbalancers"))

    def __init__(self) -> None:
        self.qualified = "services"

    def may_handle(self, subresource: str, operation: str) -> bool:
        return operation in ("CREATE", "UPDATE") and not subresource

    def usage(self, obj: Service, now: datetime) -> ResourceList:
        spec = obj.spec
        ports, balancers = 0, 0
        if spec.type == "NodePort":
            ports = len(spec.ports)
        elif spec.type == "LoadBalancer":
            balancers = 1
            given = spec.allocateLoadBalancerNodePorts is not False
            ports = len(spec.ports) if given else sum(1 for port in spec.ports if port.nodePort)
        return {
            "count/services": pods.ONE,
            "services": pods.ONE,
            "services.loadbalancers": Quantity.of(balancers),
            "services.nodeports": Quantity.of(ports),
        }


class _Claims(Evaluator):
    names = frozenset(("count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"))

    def __init__(self) -> None:
        self.qualified = "persistentvolumeclaims"

    def may_handle(self, subresource: str, operation: str) -> bool:
        return (subresource, operation) in (("", "CREATE"), ("", "UPDATE"), ("status", "UPDATE"))

    def handles(
        self, subresource: str, operation: str, new: PersistentVolumeClaim, old: PersistentVolumeClaim | None
    ) -> bool:
        if subresource == "status":
            return old is not None and claim_changed(new, old)
        return self.may_handle(subresource, operation)

    def counts(self, name: str) -> bool:
        return name in self.names or name.endswith((f"{BY_CLASS}persistentvolumeclaims", f"{BY_CLASS}requests.storage"))

    def in_scope(self, wanted: ScopedResourceSelectorRequirement, obj: PersistentVolumeClaim) -> bool:
        return wanted.scopeName == "VolumeAttributesClass" and pods.selects(wanted, _attribute_classes(obj))

    def usage(self, obj: PersistentVolumeClaim, now: datetime) -> ResourceList:
        storage = _storage(obj)
        result = {"count/persistentvolumeclaims": pods.ONE, "persistentvolumeclaims": pods.ONE}
        name = obj.metadata.annotations.get(BETA_CLASS) or obj.spec.storageClassName
        if name:
            result[f"{name}{BY_CLASS}persistentvolumeclaims"] = pods.ONE
        if storage is not None:
            result["requests.storage"] = storage
            if name:
                result[f"{name}{BY_CLASS}requests.storage"] = storage
        return result


def _storage(claim: PersistentVolumeClaim) -> Quantity | None:
    """What is asked for, or what was promised already should that be more, in whole bytes."""
    asked = claim.spec.resources.requests.get("storage")
    if asked is None:
        return None
    promised = claim.status.allocatedResources.get("storage")
    most = promised if promised is not None and promised.cmp(asked) > 0 else asked
    return most if most.exact() == most.value() else Quantity.of(most.value())


def _attribute_classes(claim: PersistentVolumeClaim) -> set[str]:
    modifying = claim.status.modifyVolumeStatus
    names = (
        claim.spec.volumeAttributesClassName,
        claim.status.currentVolumeAttributesClassName,
        modifying.targetVolumeAttributesClassName if modifying is not None else "",
    )
    return {name for name in names if name}


def claim_changed(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> bool:
    """Whether a claim's status tells of another size or class, so that it may take more or less."""
    sizes = (claim.status.allocatedResources.get("storage") for claim in (new, old))
    return next(sizes) != next(sizes) or _attribute_classes(new) != _attribute_classes(old)


class _DeviceClaims(Evaluator):
    def may_handle(self, subresource: str, operation: str) -> bool:
        return operation in ("CREATE", "UPDATE") and not subresource

    def counts(self, name: str) -> bool:
        return name in self.names or name.endswith(BY_DEVICE_CLASS)

    def usage(self, obj: ResourceClaim, now: datetime) -> ResourceList:
        total: dict[str, int] = {}
        for request in obj.spec.devices.requests:
            wanted: dict[str, int] = {}
            alternatives = request.firstAvailable or ((request.exactly,) if request.exactly is not None else ())
            for each in alternatives:
                number = {"ExactCount": each.count, "All": MAX_DEVICES}.get(each.allocationMode, 0)
                wanted[each.deviceClassName] = max(number, wanted.get(each.deviceClassName, 0))
            for name, number in wanted.items():
                total[name] = total.get(name, 0) + number
        return {**self._usage, **{f"{name}{BY_DEVICE_CLASS}": Quantity.of(number) for name, number in total.items()}}


EVALUATORS: dict[str, Evaluator] = {
    "pods": _Pods("pods"),
    "services": _Services(),
    "persistentvolumeclaims": _Claims(),
    "resourceclaims.resource.k8s.io": _DeviceClaims("resourceclaims.resource.k8s.io"),
}
TYPES: dict[str, type[Any]] = {
    "pods": Pod,
    "services": Service,
    "persistentvolumeclaims": PersistentVolumeClaim,
    "resourceclaims.resource.k8s.io": ResourceClaim,
}


@lru_cache(maxsize=REMEMBERED)
def _counted(qualified: str) -> Evaluator:
    return Evaluator(qualified)


def named(qualified: str) -> Evaluator:
    """The evaluator of `pods`, or `widgets.example.com`."""
    return EVALUATORS.get(qualified) or _counted(qualified)


def of(resource: Resource) -> Evaluator | None:
    """The evaluator of a resource; None if quotas do not count it."""
    if not resource.namespaced or resource.qualified in IGNORED:
        return None
    return named(resource.qualified)
