"""The downward API: fields and resources of a pod as text, for environment variables and for files.

Pure; used by `env.py` and `volumes/payload.py`. Field paths and divisors follow the Downward API page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.env import ObjectFieldSelector, ResourceFieldSelector
from kijabi.api.core.pod import Pod
from kijabi.api.quantity import Quantity
from kijabi.kubelet import podspec
from kijabi.kubelet.problems import ConfigProblem


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod's fields cannot say: where it runs. allocatable stands in for limits that are not set."""

    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, Quantity] = {}


def field(selector: ObjectFieldSelector, pod: Pod, facts: Facts) -> str:
    """The text of one field of the pod."""
    path = selector.fieldPath
    meta = pod.metadata
    if path.endswith("']") and "['" in path:
        base, key = path[:-2].split("['", 1)
        if base == "metadata.annotations":
            return (meta.annotations or {}).get(key, "")
        if base == "metadata.labels":
            return (meta.labels or {}).get(key, "")
        raise ConfigProblem(f'fieldPath "{path}" does not support subscript')
    match path:
        case "metadata.name":
            return meta.name
        case "metadata.namespace":
            return meta.namespace
        case "metadata.uid":
            return meta.uid
        case "metadata.labels":
            return format_map(meta.labels or {})
        case "metadata.annotations":
            return format_map(meta.annotations or {})
        case "spec.nodeName":
            return pod.spec.nodeName
        case "spec.serviceAccountName":
            return pod.spec.serviceAccountName
        case "status.hostIP":
            return facts.host_ips[0] if facts.host_ips else ""
        case "status.hostIPs":
            return ",".join(facts.host_ips)
        case "status.podIP":
            return facts.pod_ips[0] if facts.pod_ips else ""
        case "status.podIPs":
            return ",".join(facts.pod_ips)
    raise ConfigProblem(f"unsupported fieldPath: {path}")


def format_map(values: Mapping[str, str]) -> str:
    """Labels or annotations as `key="value"` lines, sorted."""
    return "\n".join(f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))


def resource(selector: ResourceFieldSelector, pod: Pod, container: Container | None, facts: Facts) -> str:
    """A request or limit of a container, divided and rounded up; a missing limit is what the node can give."""
    if selector.containerName:
        found = podspec.find(pod.spec, selector.containerName)
        if found is None:
            raise ConfigProblem(f"container {selector.containerName} not found")
        container = found[1]
    if container is None:
        raise ConfigProblem("containerName is required for a resource of a volume")
    which, _, name = selector.resource.partition(".")
    known = name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-")
    if which not in ("limits", "requests") or not known:
        raise ConfigProblem(f"unsupported container resource : {selector.resource}")
    amount = Fraction(_amount(container, which, name, facts).exact())
    divisor = Fraction(selector.divisor.exact()) if selector.divisor else Fraction(0)
    if divisor == 0:
        divisor = Fraction(1)
    return str(-(-amount // divisor))


def _amount(container: Container, which: str, name: str, facts: Facts) -> Quantity:
    given = (container.resources.limits if which == "limits" else container.resources.requests) or {}
    if name in given:
        return given[name]
    if which == "limits" and name in facts.allocatable:
        return facts.allocatable[name]
    return Quantity("0")
