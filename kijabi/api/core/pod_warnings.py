"""What a client should be told of a pod or template that is accepted and yet likely wrong.

`pod.py` and the kinds with a template give these to their Resources; the API server sends them as Warning headers.
Texts are those of k8s.io/kubernetes `pkg/api/pod`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api.core.affinity import Affinity
from kijabi.api.core.persistentvolumeclaim_rules import claim_warnings
from kijabi.api.core.resources_rules import fraction_warnings
from kijabi.api.core.volume_warnings import overlaps
from kijabi.api.formats import dns_label, label_value
from kijabi.api.gotext import go_name, quote

if TYPE_CHECKING:
    from kijabi.api.core.container import Container, ContainerPort, EphemeralContainer
    from kijabi.api.core.nodeselector import NodeSelectorTerm
    from kijabi.api.core.pod import Pod, PodSpec
    from kijabi.api.core.podtemplate import PodTemplateSpec

_NO_SELECTOR = "a null labelSelector results in matching no pod"
_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
OLD_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_USE_PROFILE = 'non-functional in v1.27+; use the "seccompProfile" field instead'
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
    yield from _old_labels(path, spec)
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{path}metadata.annotations[{key}]: {text}"
    for index, volume in enumerate(spec.volumes):
        for name, text in _OLD_VOLUMES.items():
            if getattr(volume, name) is not None:
                yield f"{path}spec.volumes[{index}].{'storageOS' if name == 'storageos' else name}: {text}"
        if volume.ephemeral is not None and volume.ephemeral.volumeClaimTemplate is not None:
            here = f"{path}spec.volumes[{index}].ephemeral.volumeClaimTemplate.spec"
            yield from claim_warnings(here, volume.ephemeral.volumeClaimTemplate.spec)
    yield from overlaps(spec.volumes)
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
    yield from fraction_warnings(f"{path}spec.overhead", spec.overhead)
    if _SECCOMP in annotations and (spec.securityContext is None or spec.securityContext.seccompProfile is None):
        yield f"{path}metadata.annotations[{_SECCOMP}]: {_USE_PROFILE}"
    for here, container in _containers(path, spec):
        key, context = f"container.{_SECCOMP.replace('/pod', '')}/{container.name}", container.securityContext
        if key in annotations and (context is None or context.seccompProfile is None):
            yield f"{path}metadata.annotations[{key}]: {_USE_PROFILE}"
        yield from fraction_warnings(f"{here}.resources.limits", container.resources.limits)
        yield from fraction_warnings(f"{here}.resources.requests", container.resources.requests)
        yield from _hidden_variables(here, container)
    yield from _ports(path, spec)
    if spec.terminationGracePeriodSeconds is not None and spec.terminationGracePeriodSeconds < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path}spec.terminationGracePeriodSeconds: {text}"
    yield from _affinity(path, spec.affinity or Affinity())
    for index, server in enumerate(spec.dnsConfig.nameservers if spec.dnsConfig is not None else ()):
        yield from ip_warnings(f"{path}spec.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(spec.hostAliases):
        yield from ip_warnings(f"{path}spec.hostAliases[{index}].ip", alias.ip)


def ip_warnings(path: str, text: str) -> list[str]:
    """A warning of an IP address that is not spelled as it should be."""
    try:
        address = ip_address(text)
    except ValueError:
        return []
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return [f"{path}: non-standard IP address {quote(text)} is invalid: use {quote(str(address.ipv4_mapped))}"]
    if str(address) != text:
        form = "in RFC 5952 canonical format"
        return [f"{path}: IPv6 address {quote(text)} should be {form} ({quote(str(address))})"]
    return []


def _old_labels(path: str, spec: PodSpec) -> Iterator[str]:
    """Of labels of nodes that have other names now, and of selectors that are missing."""
    for key in spec.nodeSelector:
        if key in OLD_NODE_LABELS:
            yield f"{path}spec.nodeSelector[{key}]: {OLD_NODE_LABELS[key]}"
    nearness = spec.affinity.nodeAffinity if spec.affinity is not None else None
    if nearness is not None:
        here = f"{path}spec.affinity.nodeAffinity"
        wanted = nearness.requiredDuringSchedulingIgnoredDuringExecution
        for index, term in enumerate(wanted.nodeSelectorTerms if wanted is not None else ()):
            place = f"{here}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]"
            yield from _term(place, term, False)
        for index, choice in enumerate(nearness.preferredDuringSchedulingIgnoredDuringExecution):
            place = f"{here}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
            yield from _term(place, choice.preference, True)
    for index, constraint in enumerate(spec.topologySpreadConstraints):
        place, key = f"{path}spec.topologySpreadConstraints[{index}]", constraint.topologyKey
        if key in OLD_NODE_LABELS:
            yield f"{place}.topologyKey: {key} is {OLD_NODE_LABELS[key]}"
        if constraint.labelSelector is None:
            yield f"{place}.labelSelector: {_NO_SELECTOR}"


def _term(path: str, term: NodeSelectorTerm, check_values: bool) -> Iterator[str]:
    for index, expression in enumerate(term.matchExpressions):
        here = f"{path}.matchExpressions[{index}]"
        if expression.key in OLD_NODE_LABELS:
            yield f"{here}.key: {expression.key} is {OLD_NODE_LABELS[expression.key]}"
        for place, value in enumerate(expression.values if check_values else ()):
            for problem in label_value(value):
                yield f"{here}.values[{place}]: {value} is invalid, {problem}"


def _containers(path: str, spec: PodSpec) -> Iterator[tuple[str, Container | EphemeralContainer]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(getattr(spec, kind)):
            yield f"{path}spec.{kind}[{index}]", container


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
            if port.hostIP and not port.hostPort:
                shown = " ".join(f"{go_name(name)}:{value}" for name, value in structs.asdict(port).items())
                yield f"{place}: hostIP set without hostPort: {{{shown}}}"
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
