"""What an ingress must be: hosts that are names, paths that lead to one backend each.

`ingress.py` gives these to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/networking/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kijabi.api.formats import (
    dns_label,
    dns_subdomain,
    path_segment_name,
    port_name,
    port_number,
    wildcard_subdomain,
)
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, invalid, ip_legacy, not_supported, required

if TYPE_CHECKING:
    from kijabi.api.core.reference import TypedLocalObjectReference
    from kijabi.api.networking.ingress import HTTPIngressPath, Ingress, IngressBackend, IngressServiceBackend

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_NO_SEQUENCES, _NO_SUFFIXES = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
_ABSOLUTE = "must be an absolute path"


def validate(obj: Ingress) -> Sequence[FieldError]:
    """Everything that is wrong with an ingress."""
    spec = obj.spec
    errors: list[FieldError] = []
    if not spec.rules and spec.defaultBackend is None:
        errors.append(invalid("spec", None, "either `defaultBackend` or `rules` must be specified"))
    if spec.defaultBackend is not None:
        errors += _validate_backend("spec.defaultBackend", spec.defaultBackend)
    for index, rule in enumerate(spec.rules):
        path = f"spec.rules[{index}]"
        if rule.host:
            errors += _validate_name(f"{path}.host", rule.host, names_only=True)
        if rule.http is not None:
            if not rule.http.paths:
                errors.append(required(f"{path}.http.paths"))
            for place, way in enumerate(rule.http.paths):
                errors += _validate_path(f"{path}.http.paths[{place}]", way)
    for index, tls in enumerate(spec.tls):
        path, secret = f"spec.tls[{index}]", tls.secretName
        for place, host in enumerate(tls.hosts):
            errors += _validate_name(f"{path}.hosts[{place}]", host)
        errors += each(f"{path}.secretName", secret, dns_subdomain(secret)) if secret else []
    if spec.ingressClassName is not None:
        errors += each("spec.ingressClassName", spec.ingressClassName, dns_subdomain(spec.ingressClassName))
    named = obj.metadata.annotations.get(CLASS_ANNOTATION, spec.ingressClassName)
    if not obj.metadata.resourceVersion and spec.ingressClassName is not None and named != spec.ingressClassName:
        detail = "must match `ingressClassName` when both are specified"
        errors.append(invalid(f"annotations.{CLASS_ANNOTATION}", named, detail))
    return errors


def _validate_name(path: str, host: str, names_only: bool = False) -> list[FieldError]:
    errors = []
    if names_only and not ip_legacy(path, host):
        errors.append(invalid(path, host, "must be a DNS name, not an IP address"))
    return errors + each(path, host, wildcard_subdomain(host) if "*" in host else dns_subdomain(host))


def _validate_path(path: str, way: HTTPIngressPath) -> list[FieldError]:
    if way.pathType is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    errors: list[FieldError] = []
    here, text = f"{path}.path", way.path
    if way.pathType in ("Exact", "Prefix"):
        if not text.startswith("/"):
            errors.append(invalid(here, text, _ABSOLUTE))
        errors += [invalid(here, text, f"must not contain '{part}'") for part in _NO_SEQUENCES if part in text]
        errors += [invalid(here, text, f"cannot end with '{end}'") for end in _NO_SUFFIXES if text.endswith(end)]
    elif way.pathType == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.append(invalid(here, text, _ABSOLUTE))
    else:
        known = ("Exact", "ImplementationSpecific", "Prefix")
        errors.append(not_supported(f"{path}.pathType", way.pathType, known))
    return errors + _validate_backend(f"{path}.backend", way.backend)


def _validate_backend(path: str, backend: IngressBackend) -> list[FieldError]:
    if backend.resource is not None and backend.service is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if backend.resource is not None:
        return _validate_object(f"{path}.resource", backend.resource)
    if backend.service is not None:
        return _validate_service(path, backend.service)
    return [invalid(path, "", "resource or service backend is required")]


def _validate_service(path: str, service: IngressServiceBackend) -> list[FieldError]:
    here, port = f"{path}.service.name", service.port
    errors = each(here, service.name, dns_label(service.name)) if service.name else [required(here)]
    if port.name and port.number:
        return [*errors, invalid(path, "", "cannot set both port name & port number")]
    if port.name:
        return errors + each(f"{path}.service.port.name", port.name, port_name(port.name))
    if port.number:
        return errors + each(f"{path}.service.port.number", port.number, port_number(port.number))
    return [*errors, required(path, "port name or number is required")]


def _validate_object(path: str, target: TypedLocalObjectReference) -> list[FieldError]:
    errors: list[FieldError] = []
    if target.apiGroup is not None:
        errors += each(f"{path}.apiGroup", target.apiGroup, dns_subdomain(target.apiGroup))
    for name, text in (("kind", target.kind), ("name", target.name)):
        errors += each(f"{path}.{name}", text, path_segment_name(text)) if text else [required(f"{path}.{name}")]
    return errors


def validate_status(new: Ingress, _: Ingress) -> Sequence[FieldError]:
    """Everything that is wrong with what a balancer reports."""
    errors: list[FieldError] = []
    for index, ingress in enumerate(new.status.loadBalancer.ingress):
        path = f"status.loadBalancer.ingress[{index}]"
        if ingress.ip:
            errors += ip_legacy(f"{path}.ip", ingress.ip)
        if ingress.hostname:
            here, host = f"{path}.hostname", ingress.hostname
            errors += each(here, host, dns_subdomain(host))
            if not ip_legacy(here, host):
                errors.append(invalid(here, host, "must be a DNS name, not an IP address"))
    return errors


def warnings(obj: Ingress) -> Sequence[str]:
    """What a client should be told of a new ingress."""
    if obj.metadata.resourceVersion or CLASS_ANNOTATION not in obj.metadata.annotations:
        return ()
    return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
