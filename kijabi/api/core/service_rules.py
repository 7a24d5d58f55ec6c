"""What a Service must be: defaults that follow from others, validation, and what an update may change.

`service.py` gives these to its Resource. Addresses and ports are allocated by the API server between `prepare` and
validation. Texts and order are those of k8s.io/kubernetes `pkg/apis/core/validation` and `pkg/registry/core/service`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kijabi.api.core.kinds import PROTOCOLS
from kijabi.api.formats import dns_label, dns_subdomain, port_number, qualified_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    cidr_legacy,
    duplicate,
    each,
    endpoint_ip,
    forbidden,
    invalid,
    ip_legacy,
    not_supported,
    one_of,
    port_or_name,
    required,
    validate_labels,
)

if TYPE_CHECKING:
    from kijabi.api.core.service import LoadBalancerIngress, Service, ServicePort, ServiceSpec

LONGEST_AFFINITY_SECONDS = 86400
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_FIXED = "may not change once set"


def headless(spec: ServiceSpec) -> bool:
    """Whether the service has no address and its name stands for its pods."""
    return spec.clusterIPs == ("None",)


def needs_node_ports(spec: ServiceSpec) -> bool:
    """Whether the service is reached on the nodes."""
    return spec.type in ("NodePort", "LoadBalancer")


def needs_health_port(spec: ServiceSpec) -> bool:
    """Whether a balancer asks the nodes which of them have pods."""
    return spec.type == "LoadBalancer" and spec.externalTrafficPolicy == "Local"


def reached_from_outside(spec: ServiceSpec) -> bool:
    """Whether traffic comes from outside the cluster."""
    return needs_node_ports(spec) or (spec.type == "ClusterIP" and bool(spec.externalIPs))


# Before validation


def prepare(new: Service, old: Service | None) -> None:
    """Carry over what was allocated and not asked to change, and drop what the new type does not have."""
    spec = new.spec
    if old is None:
        if spec.clusterIP and not spec.clusterIPs:
            spec.clusterIPs = (spec.clusterIP,)
        return
    _keep_allocated(spec, old.spec)
    _match_addresses(spec, old.spec)
    _drop_by_type(spec, old.spec)
    if spec.type != "LoadBalancer":  # A status of its own: the one it has may be that of the object that is served.
        new.status = replace(new.status, loadBalancer=type(new.status.loadBalancer)())


def _keep_allocated(new: ServiceSpec, old: ServiceSpec) -> None:
    if new.type != "ExternalName" and old.type != "ExternalName":
        new.clusterIP = new.clusterIP or old.clusterIP
        new.clusterIPs = new.clusterIPs or old.clusterIPs
    if needs_node_ports(new) and needs_node_ports(old):
        by_name = {port.name: port.nodePort for port in old.ports}
        used = {port.nodePort for port in old.ports} & {port.nodePort for port in new.ports}
        for port in new.ports:
            kept = by_name.get(port.name, 0)
            if not port.nodePort and kept not in used:
                port.nodePort = kept
    if needs_health_port(new) and needs_health_port(old):
        new.healthCheckNodePort = new.healthCheckNodePort or old.healthCheckNodePort


def _match_addresses(new: ServiceSpec, old: ServiceSpec) -> None:
    """Old clients know only clusterIP: a change there is one of clusterIPs too."""
    if old.clusterIPs and not new.clusterIPs and old.clusterIP == new.clusterIP:
        new.clusterIPs = old.clusterIPs
    if old.clusterIP != new.clusterIP and new.clusterIPs == old.clusterIPs:
        new.clusterIPs = (new.clusterIP,) if new.clusterIP or not old.clusterIP else ()


def _drop_by_type(new: ServiceSpec, old: ServiceSpec) -> None:
    if new.type == "ExternalName" and old.type != "ExternalName":
        if (new.clusterIP, new.clusterIPs) == (old.clusterIP, old.clusterIPs):
            new.clusterIP, new.clusterIPs = "", ()
        if new.ipFamilies == old.ipFamilies:
            new.ipFamilies = ()
        if new.ipFamilyPolicy == old.ipFamilyPolicy:
            new.ipFamilyPolicy = None
    if needs_node_ports(old) and not needs_node_ports(new):
        before = {port.nodePort for port in old.ports}
        if {port.nodePort for port in new.ports} - {0} <= before:
            for port in new.ports:
                port.nodePort = 0
    if needs_health_port(old) and not needs_health_port(new) and new.healthCheckNodePort == old.healthCheckNodePort:
        new.healthCheckNodePort = 0
    if old.type == "LoadBalancer" and new.type != "LoadBalancer":
        if new.allocateLoadBalancerNodePorts == old.allocateLoadBalancerNodePorts:
            new.allocateLoadBalancerNodePorts = None
        if new.loadBalancerClass == old.loadBalancerClass:
            new.loadBalancerClass = None
    same_policy = new.externalTrafficPolicy == old.externalTrafficPolicy
    if reached_from_outside(old) and not reached_from_outside(new) and same_policy:
        new.externalTrafficPolicy = ""


# Validation


def validate(obj: Service) -> Sequence[FieldError]:
    """Everything that is wrong with a service."""
    spec = obj.spec
    errors = [required("spec.ports")] if not (spec.ports or headless(spec) or spec.type == "ExternalName") else []
    errors += _validate_type(spec)
    names: set[str] = set()
    for index, port in enumerate(spec.ports):
        errors += _validate_port(f"spec.ports[{index}]", port, len(spec.ports) > 1, names)
    errors += validate_labels(spec.selector, "spec.selector")
    errors += _validate_affinity(spec)
    errors += _validate_addresses(spec)
    for index, address in enumerate(spec.externalIPs):
        here = f"spec.externalIPs[{index}]"
        errors += ip_legacy(here, address) or endpoint_ip(here, address)
    if not spec.type:
        errors.append(required("spec.type"))
    else:
        errors += one_of("spec.type", spec.type, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    errors += _validate_port_numbers(spec)
    errors += _validate_balancer(obj)
    errors += _validate_policies(spec)
    return errors


def _validate_type(spec: ServiceSpec) -> list[FieldError]:
    if spec.type in ("LoadBalancer", "NodePort"):
        detail = f"may not be set to 'None' for {spec.type} services"
        return [invalid("spec.clusterIPs[0]", "None", detail)] if headless(spec) else []
    if spec.type != "ExternalName":
        return []
    detail = "may not be set for ExternalName services"
    errors = [
        forbidden(f"spec.{name}", detail)
        for name, given in (("clusterIPs", spec.clusterIPs), ("ipFamilies", spec.ipFamilies))
        if given
    ]
    if spec.ipFamilyPolicy is not None:
        errors.append(forbidden("spec.ipFamilyPolicy", detail))
    target = spec.externalName.removesuffix(".")
    if not target:
        errors.append(required("spec.externalName"))
    return errors + each("spec.externalName", target, dns_subdomain(target) if target else ())


def _validate_port(path: str, port: ServicePort, need_name: bool, names: set[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    if port.name:
        errors += each(f"{path}.name", port.name, dns_label(port.name))
        if port.name in names:
            errors.append(duplicate(f"{path}.name", port.name))
        names.add(port.name)
    elif need_name:
        errors.append(required(f"{path}.name"))
    errors += each(f"{path}.port", port.port, port_number(port.port))
    if not port.protocol:
        errors.append(required(f"{path}.protocol"))
    else:
        errors += one_of(f"{path}.protocol", port.protocol, PROTOCOLS)
    errors += port_or_name(f"{path}.targetPort", port.targetPort)
    if port.appProtocol is not None:
        errors += each(f"{path}.appProtocol", port.appProtocol, qualified_name(port.appProtocol))
    return errors


def _validate_port_numbers(spec: ServiceSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.type == "ClusterIP":
        detail = "may not be used when `type` is 'ClusterIP'"
        errors += [forbidden(f"spec.ports[{i}].nodePort", detail) for i, port in enumerate(spec.ports) if port.nodePort]
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(spec.ports):
        if port.nodePort and (port.protocol, port.nodePort) in seen:
            errors.append(duplicate(f"spec.ports[{index}].nodePort", port.nodePort))
        seen.add((port.protocol, port.nodePort))
    seen = set()
    for index, port in enumerate(spec.ports):
        if (port.protocol, port.port) in seen:
            key = (
                f'{{"Name":"","Protocol":"{port.protocol}","AppProtocol":null,"Port":{port.port},"TargetPort":0,'
                '"NodePort":0}'
            )
            text = f"Duplicate value: {key}"
            errors.append(FieldError(f"spec.ports[{index}]", "FieldValueDuplicate", text))
        seen.add((port.protocol, port.port))
    return errors


def _validate_affinity(spec: ServiceSpec) -> list[FieldError]:
    if not spec.sessionAffinity:
        return [required("spec.sessionAffinity")]
    path, config = "spec.sessionAffinityConfig", spec.sessionAffinityConfig
    if spec.sessionAffinity == "None":
        detail = "must not be set when session affinity is None"
        return [] if config is None else [forbidden(path, detail)]
    if spec.sessionAffinity != "ClientIP":
        return one_of("spec.sessionAffinity", spec.sessionAffinity, ("ClientIP", "None"))
    missing = "when session affinity type is ClientIP"
    if config is None:
        return [required(path, missing)]
    if config.clientIP is None:
        return [required(f"{path}.clientIP", missing)]
    seconds = config.clientIP.timeoutSeconds
    path = f"{path}.clientIP.timeoutSeconds"
    if seconds is None:
        return [required(path, missing)]
    detail = f"must be greater than 0 and less than {LONGEST_AFFINITY_SECONDS}"
    return [] if 0 < seconds <= LONGEST_AFFINITY_SECONDS else [invalid(path, seconds, detail)]


def _validate_addresses(spec: ServiceSpec) -> list[FieldError]:
    if spec.type == "ExternalName":
        return []
    path, addresses = "spec.clusterIPs", spec.clusterIPs
    errors: list[FieldError] = []
    if spec.clusterIP and not addresses:
        errors.append(required(path))
    elif spec.clusterIP and addresses[0] != spec.clusterIP:
        errors.append(invalid(path, addresses, "first value must match `clusterIP`"))
    elif not spec.clusterIP and addresses:
        errors.append(invalid(path, addresses, "must be empty when `clusterIP` is not specified"))
    for index, family in enumerate(spec.ipFamilies):
        errors += one_of(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6"))
        if family in spec.ipFamilies[:index]:
            errors.append(duplicate(f"spec.ipFamilies[{index}]", family))
    if spec.ipFamilyPolicy is not None:
        known = ("PreferDualStack", "RequireDualStack", "SingleStack")
        errors += one_of("spec.ipFamilyPolicy", spec.ipFamilyPolicy, known)
    broken: list[FieldError] = []
    if addresses[:1] == ("None",) and len(addresses) > 1:
        broken.append(invalid(path, addresses, "'None' must be the first and only value"))
    for index, address in enumerate(addresses):
        if index or address != "None":
            broken += ip_legacy(f"{path}[{index}]", address)
    errors += broken
    if len(addresses) > 2:
        errors.append(invalid(path, addresses, "may only hold up to 2 values"))
    return errors if broken else errors + _validate_families(spec)


def _validate_families(spec: ServiceSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    found = ["IPv6" if ":" in address else "IPv4" for address in spec.clusterIPs]
    if len(found) > 1 and (len(found) > 2 or found[0] == found[1]):
        detail = "may specify no more than one IP for each IP family"
        errors.append(invalid("spec.clusterIPs", spec.clusterIPs, detail))
    if headless(spec):
        return errors
    for index, (family, wanted) in enumerate(zip(found, spec.ipFamilies, strict=False)):
        if wanted != family and wanted in ("IPv4", "IPv6"):
            detail = f"expected an {wanted} value as indicated by `ipFamilies[{index}]`"
            errors.append(invalid(f"spec.clusterIPs[{index}]", spec.clusterIPs[index], detail))
    return errors


def _validate_balancer(obj: Service) -> list[FieldError]:
    spec, balanced = obj.spec, obj.spec.type == "LoadBalancer"
    errors: list[FieldError] = []
    if spec.loadBalancerSourceRanges:
        path = "spec.LoadBalancerSourceRanges"
        if not balanced:
            errors.append(forbidden(path, _ONLY_BALANCER))
        for index, text in enumerate(spec.loadBalancerSourceRanges):
            errors += cidr_legacy(f"{path}[{index}]", text.strip())
    elif _RANGES in obj.metadata.annotations:
        path = f"metadata.annotations[{_RANGES}]"
        if not balanced:
            errors.append(forbidden(path, _ONLY_BALANCER))
        given = obj.metadata.annotations[_RANGES].strip()
        for text in given.split(",") if given else ():
            errors += cidr_legacy(path, text.strip())
    if spec.allocateLoadBalancerNodePorts is not None and not balanced:
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_BALANCER))
    if balanced and spec.allocateLoadBalancerNodePorts is None:
        errors.append(required("allocateLoadBalancerNodePorts"))
    if spec.loadBalancerClass is not None:
        path = "spec.loadBalancerClass"
        if balanced:
            errors += each(path, spec.loadBalancerClass, qualified_name(spec.loadBalancerClass))
        else:
            errors.append(forbidden(path, _ONLY_BALANCER))
    return errors


def _validate_policies(spec: ServiceSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    path, policy = "spec.externalTrafficPolicy", spec.externalTrafficPolicy
    if not reached_from_outside(spec):
        if policy:
            errors.append(invalid(path, policy, "may only be set for externally-accessible services"))
    elif not policy:
        errors.append(required(path))
    else:
        errors += one_of(path, policy, ("Cluster", "Local"))
    path, number = "spec.healthCheckNodePort", spec.healthCheckNodePort
    if needs_health_port(spec):
        errors += each(path, number, port_number(number)) if number else [required(path)]
    elif number:
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        errors.append(invalid(path, number, detail))
    path, inside = "spec.internalTrafficPolicy", spec.internalTrafficPolicy
    if inside is not None:
        errors += one_of(path, inside, ("Cluster", "Local"))
    elif spec.type in ("ClusterIP", "NodePort", "LoadBalancer"):
        errors.append(required(path))
    if spec.trafficDistribution is not None:
        known = ("PreferClose", "PreferSameZone", "PreferSameNode")
        errors += one_of("spec.trafficDistribution", spec.trafficDistribution, known)
    return errors


def validate_update(new: Service, old: Service) -> Sequence[FieldError]:
    """What an update changes that is given for good."""
    spec, before = new.spec, old.spec
    errors: list[FieldError] = []
    if spec.type != "ExternalName" and before.type != "ExternalName":
        if not (headless(spec) and headless(before)):
            errors += _update_of_list("clusterIPs", spec.clusterIPs, before.clusterIPs, spec)
        if not (headless(spec) or headless(before)):
            errors += _update_of_list("ipFamilies", spec.ipFamilies, before.ipFamilies, spec)
    if spec.type == before.type == "LoadBalancer" and spec.loadBalancerClass != before.loadBalancerClass:
        errors.append(invalid("spec.loadBalancerClass", spec.loadBalancerClass, _FIXED))
    if needs_health_port(spec) and needs_health_port(before) and spec.healthCheckNodePort != before.healthCheckNodePort:
        errors.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return errors


def _update_of_list(name: str, new: tuple[str, ...], old: tuple[str, ...], spec: ServiceSpec) -> list[FieldError]:
    """The first address and family stay; a second may come, or go with the policy SingleStack."""
    path = f"spec.{name}"
    singular = name.removesuffix("s") if name == "clusterIPs" else "ipFamily"
    if len(new) == len(old):
        places = [index for index, value in enumerate(old) if new[index] != value]
        return [invalid(f"{path}[{index if name == 'clusterIPs' else 0}]", new, _FIXED) for index in places]
    errors: list[FieldError] = []
    if len(new) < len(old):
        if not spec.clusterIPs:
            errors.append(invalid(f"{path}[0]", new, f"primary {singular} can not be unset"))
        if new and new[0] != old[0]:
            errors.append(invalid(f"{path}[0]", new, _FIXED))
        if len(new) == 1 and spec.ipFamilyPolicy != "SingleStack":
            detail = f"must be set to 'SingleStack' when releasing the secondary {singular}"
            errors.append(invalid("spec.ipFamilyPolicy", spec.ipFamilyPolicy, detail))
    elif old and new[0] != old[0]:
        errors.append(invalid(f"{path}[0]", new, _FIXED))
    return errors


def validate_status(new: Service, _: Service) -> Sequence[FieldError]:
    """Everything that is wrong with what a balancer reports."""
    path, ingress = "status.loadBalancer.ingress", new.status.loadBalancer.ingress
    if new.spec.type != "LoadBalancer" and ingress:
        return [forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    return [error for i, each_ in enumerate(ingress) for error in _validate_ingress(f"{path}[{i}]", each_)]


def _validate_ingress(path: str, ingress: LoadBalancerIngress) -> list[FieldError]:
    errors = ip_legacy(f"{path}.ip", ingress.ip) if ingress.ip else []
    if ingress.ip and ingress.ipMode is None:
        errors.append(required(f"{path}.ipMode", "must be specified when `ip` is set"))
    elif ingress.ipMode is not None and not ingress.ip:
        errors.append(forbidden(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif ingress.ipMode is not None and ingress.ipMode not in ("Proxy", "VIP"):
        errors.append(not_supported(f"{path}.ipMode", ingress.ipMode, ("Proxy", "VIP")))
    if ingress.hostname:
        errors += each(f"{path}.hostname", ingress.hostname, dns_subdomain(ingress.hostname))
        if not ip_legacy("", ingress.hostname):
            errors.append(invalid(f"{path}.hostname", ingress.hostname, "must be a DNS name, not an IP address"))
    return errors


def service_warnings(obj: Service) -> Sequence[str]:
    """What a client should be told of a service that is accepted."""
    spec = obj.spec
    found: list[str] = []
    if "service.kubernetes.io/topology-aware-hints" in obj.metadata.annotations:
        instead = "service.kubernetes.io/topology-mode"
        found.append(
            f"annotation service.kubernetes.io/topology-aware-hints is deprecated, please use {instead} instead"
        )
    nameless = spec.type == "ClusterIP" and spec.clusterIP == "None"
    if nameless:
        ignored = (
            ("loadBalancerIP", spec.loadBalancerIP != ""),
            ("externalIPs", bool(spec.externalIPs)),
            ("SessionAffinity", spec.sessionAffinity != "None"),
        )
        found += [f"spec.{name} is ignored for headless services" for name, given in ignored if given]
    if spec.externalIPs and not nameless and spec.type != "ExternalName":
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.type == "ExternalName" and spec.externalIPs:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.type != "ExternalName" and spec.externalName:
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.trafficDistribution == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found
