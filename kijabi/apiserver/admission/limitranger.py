"""Containers, pods and claims keep to the limit ranges of their namespace, and get its defaults.

`mutate` fills in what containers left out, `validate` holds containers, pods as a whole and claims to least, most and
ratio. The sums and checks are pure. Source of the rules and texts: core/v1 LimitRange, k8s.io/kubernetes
`plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kijabi.api.core.limitrange import LimitRange, LimitRangeItem
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.resources import ResourceList, ResourceRequirements
from kijabi.api.quantity import Quantity
from kijabi.api.quota.amounts import over_containers
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader

ANNOTATION = "kubernetes.io/limit-ranger"
MAX_MILLI = (2**63 - 1) // 1000  # beyond it amounts compare as whole numbers
POD_LEVEL = ("cpu", "memory")  # what a pod's own resources replace of the sum over its containers (KEP-2837)


class LimitRanger(Plugin):
    """Applies the limit ranges of the namespace, each by itself."""

    name = "LimitRanger"

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        if is_kind(resource, "", "pods"):
            return (subresource, operation) in (("", "CREATE"), ("resize", "UPDATE"))
        return is_kind(resource, "", "persistentvolumeclaims") and not subresource and operation in ("CREATE", "UPDATE")

    def _ranges(self, attrs: Attributes) -> Iterable[LimitRange]:
        if attrs.old is not None and attrs.old.metadata.deletionTimestamp is not None:
            return ()
        return self._reader.items(LimitRange, attrs.namespace)

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        if isinstance(attrs.object, Pod):
            for each in self._ranges(attrs):
                fill(attrs.object, each)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        for each in self._ranges(attrs):
            problems = list(dict.fromkeys(judge(each.spec.limits, attrs.object)))
            if problems:
                raise refuse(attrs, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")


def fill(pod: Pod, limits: LimitRange) -> None:
    """Give the containers the defaults of one limit range, and note it in an annotation."""
    default: ResourceList = {}
    request: ResourceList = {}
    for item in limits.spec.limits:
        if item.type == "Container":
            default.update(item.default)
            request.update(item.defaultRequest)
    if not default and not request:
        return
    notes: list[str] = []
    for kind, containers in (("container", pod.spec.containers), ("init container", pod.spec.initContainers)):
        for each in containers:
            own = each.resources
            for what, wanted, found in (("request", request, own.requests), ("limit", default, own.limits)):
                missing = sorted(wanted.keys() - found.keys())
                if missing:
                    notes.append(f"{', '.join(missing)} {what} for {kind} {each.name}")
            own.requests, own.limits = {**request, **own.requests}, {**default, **own.limits}
    if notes:
        text = f"LimitRanger plugin set: {'; '.join(notes)}"
        pod.metadata.annotations = {**pod.metadata.annotations, ANNOTATION: text}


def judge(limits: Iterable[LimitRangeItem], obj: Pod | PersistentVolumeClaim) -> Iterator[str]:
    """Everything of an object that breaks these limits, in words."""
    for item in limits:
        if isinstance(obj, PersistentVolumeClaim):
            if item.type == "PersistentVolumeClaim":
                yield from _judge_claim(item, obj.spec.resources.requests)
        elif item.type == "Container":
            for each in (*obj.spec.containers, *obj.spec.initContainers):
                yield from _judge(item, each.resources.requests, each.resources.limits)
        elif item.type == "Pod":
            requests = in_all(obj, lambda resources: resources.requests)
            yield from _judge(item, requests, in_all(obj, lambda resources: resources.limits))


def _judge_claim(item: LimitRangeItem, requests: ResourceList) -> Iterator[str]:
    for name, least in item.min.items():
        yield from _least(item.type, name, least, requests.get(name), None)
    for name, most in item.max.items():
        asked, start = requests.get(name), f"maximum {name} usage per {item.type} is {most}"
        if asked is None:
            yield f"{start}.  No request is specified"
        elif _compare(asked, most) > 0:
            yield f"{start}, but request is {asked}"


def _judge(item: LimitRangeItem, requests: ResourceList, limits: ResourceList) -> Iterator[str]:
    for name, least in item.min.items():
        yield from _least(item.type, name, least, requests.get(name), limits.get(name))
    for name, most in item.max.items():
        yield from _most(item.type, name, most, requests.get(name), limits.get(name))
    for name, ratio in item.maxLimitRequestRatio.items():
        yield from _ratio(item.type, name, ratio, requests.get(name), limits.get(name))


def _compare(a: Quantity, b: Quantity) -> int:
    """-1, 0 or 1, in thousandths where they are few enough."""
    fine = a.value() <= MAX_MILLI and b.value() <= MAX_MILLI
    left, right = (a.milli(), b.milli()) if fine else (a.value(), b.value())
    return (left > right) - (left < right)


def _least(kind: str, name: str, least: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    start = f"minimum {name} usage per {kind} is {least}"
    if request is None:
        yield f"{start}.  No request is specified"
    elif _compare(request, least) < 0:
        yield f"{start}, but request is {request}"
    elif limit is not None and _compare(limit, least) < 0:
        yield f"{start}, but limit is {limit}"


def _most(kind: str, name: str, most: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    start = f"maximum {name} usage per {kind} is {most}"
    if limit is None:
        yield f"{start}.  No limit is specified"
    elif _compare(limit, most) > 0:
        yield f"{start}, but limit is {limit}"
    elif request is not None and _compare(request, most) > 0:
        yield f"{start}, but request is {request}"


def _ratio(kind: str, name: str, most: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    start = f"{name} max limit to request ratio per {kind} is {most}"
    if request is None or request.is_zero():
        yield f"{start}, but no request is specified or request is 0"
    elif limit is None or limit.is_zero():
        yield f"{start}, but no limit is specified or limit is 0"
    else:
        fine = request.value() <= MAX_MILLI and limit.value() <= MAX_MILLI
        ratio = limit.milli() / request.milli() if fine else limit.value() / request.value()
        if ratio * 1000 > float(most.milli()):
            yield f"{start}, but provided ratio is {ratio:f}"


def in_all(pod: Pod, amounts: Callable[[ResourceRequirements], ResourceList]) -> ResourceList:
    """The sum over a pod's containers, its overhead apart; the pod's own amount where it states one.

    amounts: picks requests or limits.
    """
    total = over_containers(pod.spec, lambda container: amounts(container.resources))
    if pod.spec.resources is not None:
        own = amounts(pod.spec.resources)
        total.update({name: own[name] for name in POD_LEVEL if name in own})
    return total
