"""What a client should be told of a pod or template that is accepted and yet likely wrong.

`pod.py` and the kinds with a template give these to their Resources; the API server sends them as Warning headers.
Texts are those of k8s.io/kubernetes `pkg/api/pod`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kijabi.api.core.affinity import Affinity
from kijabi.api.formats import dns_label
from kijabi.api.gotext import quote

if TYPE_CHECKING:
    from kijabi.api.core.container import Container, ContainerPort, EphemeralContainer
    from kijabi.api.core.pod import Pod, PodSpec
    from kijabi.api.core.podtemplate import PodTemplateSpec
    from kijabi.api.quantity import Quantity

_NO_SELECTOR = "a null labelSelector results in matching no pod"
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def pod_warnings(pod: Pod) -> Sequence[str]:
    """Warnings of a new pod."""
    if pod.metadata.resourceVersion:
        return ()
    problems = dns_label(pod.metadata.name)
    named = (
        "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is "
        f"recommended: [{' '.join(problems)}]"
    )
    found = [named] if problems else []
    return [*found, *_warnings("", pod.metadata.annotations, pod.spec)]


def template_warnings(path: str, template: PodTemplateSpec) -> list[str]:
    """Warnings of a pod template; path: `spec.template`."""
    return list(_warnings(f"{path}.", template.metadata.annotations, template.spec))


def named_warning(name: str) -> list[str]:
    """A warning of a workload's name that its pods' names and host names are made of."""
    problems = dns_label(name)
    text = (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label "
        f"is recommended: [{' '.join(problems)}]"
    )
    return [text] if problems else []


def _warnings(path: str, annotations: dict[str, str], spec: PodSpec) -> Iterator[str]:
    for index, constraint in enumerate(spec.topologySpreadConstraints):
        if constraint.labelSelector is None:
            yield f"{path}spec.topologySpreadConstraints[{index}].labelSelector: {_NO_SELECTOR}"
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{path}metadata.annotations[{key}]: {text}"
    for index, volume in enumerate(spec.volumes):
        for name, text in _OLD_VOLUMES.items():
            if getattr(volume, name) is not None:
                yield f"{path}spec.volumes[{index}].{name}: {text}"
    for kind, field in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for index, item in enumerate(getattr(spec, kind)):
            value = getattr(item, field)
            if value in seen:
                yield f"{path}spec.{kind}[{index}].{field}: duplicate {field} {quote(value)}"
            seen.add(value)
    for index, secret in enumerate(spec.imagePullSecrets):
        if not secret.name:
            yield f'{path}spec.imagePullSecrets[{index}].name: invalid empty name ""'
    yield from _fractions(f"{path}spec.overhead", spec.overhead)
    for here, container in _containers(path, spec):
        yield from _fractions(f"{here}.resources.limits", container.resources.limits)
        yield from _fractions(f"{here}.resources.requests", container.resources.requests)
        yield from _hidden_variables(here, container)
    yield from _ports(path, spec)
    yield from _affinity(path, spec.affinity or Affinity())


def _containers(path: str, spec: PodSpec) -> Iterator[tuple[str, Container | EphemeralContainer]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, kind)):
            yield f"{path}spec.{kind}[{index}]", container


def _fractions(path: str, amounts: dict[str, Quantity]) -> Iterator[str]:
    for name in ("memory", "ephemeral-storage"):
        amount = amounts.get(name)
        if amount is not None and amount.milli() % 1000:
            yield f"{path}[{name}]: fractional byte value {quote(amount)} is invalid, must be an integer"


def _hidden_variables(path: str, container: Container | EphemeralContainer) -> Iterator[str]:
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        reference = f"$({variable.name})"
        extends = variable.valueFrom is None and variable.value != reference and reference in variable.value
        if variable.name in seen and not extends:
            hides = f"hides previous definition of {quote(variable.name)}, which may be dropped when using apply"
            yield f"{path}.env[{index}]: {hides}"
        seen.add(variable.name)


def _ports(path: str, spec: PodSpec) -> Iterator[str]:
    found: dict[tuple[int, str], list[tuple[str, ContainerPort]]] = {}
    names: dict[str, str] = {}
    repeated: list[str] = []
    for here, container in _containers(path, spec):
        for index, port in enumerate(container.ports):
            place = f"{here}.ports[{index}]"
            others = found.setdefault((port.containerPort, port.protocol), [])
            for other_place, other in others:
                if (port.hostIP, port.hostPort) == (other.hostIP, other.hostPort):
                    yield f"{place}: duplicate port definition with {other_place}"
                elif not port.hostPort or not other.hostPort:
                    yield f"{place}: overlapping port definition with {other_place}"
                elif port.hostPort == other.hostPort and bool(port.hostIP) != bool(other.hostIP):
                    yield f"{place}: dangerously ambiguous port definition with {other_place}"
            others.append((place, port))
            first = names.setdefault(port.name, place) if port.name else place
            if first != place:
                repeated.append(
                    f"{place}: duplicate port name {quote(port.name)} with {first}, services and probes that select "
                    f"ports by name will use {first}"
                )
    yield from repeated


def _affinity(path: str, affinity: Affinity) -> Iterator[str]:
    for kind in ("podAffinity", "podAntiAffinity"):
        nearness = getattr(affinity, kind)
        if nearness is None:
            continue
        here = f"{path}spec.affinity.{kind}"
        for index, term in enumerate(nearness.requiredDuringSchedulingIgnoredDuringExecution):
            if term.labelSelector is None:
                yield f"{here}.requiredDuringSchedulingIgnoredDuringExecution[{index}].labelSelector: {_NO_SELECTOR}"
        for index, weighted in enumerate(nearness.preferredDuringSchedulingIgnoredDuringExecution):
            if weighted.podAffinityTerm.labelSelector is None:
                place = f"preferredDuringSchedulingIgnoredDuringExecution[{index}].podAffinityTerm.labelSelector"
                yield f"{here}.{place}: {_NO_SELECTOR}"
