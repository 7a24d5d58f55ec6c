"""What probes and hooks of a container may do: run a command, ask by HTTP, gRPC or TCP, sleep.

`container_rules.py` calls these. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kijabi.api.formats import http_header_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, forbidden, invalid, non_negative, one_of, port_or_name, required

if TYPE_CHECKING:
    from kijabi.api.core.container import Container
    from kijabi.api.core.probe import HTTPGetAction, Lifecycle, LifecycleHandler, Probe

_ALONE = "may not specify more than 1 handler type"
_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def validate_probes(path: str, container: Container) -> list[FieldError]:
    """Errors of a container's three probes."""
    errors: list[FieldError] = []
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe: Probe | None = getattr(container, name)
        if probe is not None:
            errors += _validate_probe(f"{path}.{name}", probe, ready=name == "readinessProbe")
    return errors


def _validate_probe(path: str, probe: Probe, *, ready: bool) -> list[FieldError]:
    errors = _validate_handler(path, probe, None)
    for name in _COUNTS:
        errors += non_negative(f"{path}.{name}", getattr(probe, name))
    grace = probe.terminationGracePeriodSeconds
    here = f"{path}.terminationGracePeriodSeconds"
    if grace is not None and grace <= 0:
        errors.append(invalid(here, grace, "must be greater than 0"))
    if ready and grace is not None:
        errors.append(invalid(here, grace, "must not be set for readinessProbes"))
    if not ready and probe.successThreshold != 1:
        errors.append(invalid(f"{path}.successThreshold", probe.successThreshold, "must be 1"))
    return errors


def validate_lifecycle(path: str, lifecycle: Lifecycle | None, grace: int | None, os: str) -> list[FieldError]:
    """Errors of a container's hooks; grace: seconds that the pod has to end, os: the name that it asks for."""
    if lifecycle is None:
        return []
    errors: list[FieldError] = []
    if lifecycle.postStart is not None:
        errors += _validate_handler(f"{path}.postStart", lifecycle.postStart, grace)
    if lifecycle.preStop is not None:
        errors += _validate_handler(f"{path}.preStop", lifecycle.preStop, grace)
    if lifecycle.stopSignal is not None and not os:
        detail = "may not be set for containers with empty `spec.os.name`"
        errors.append(forbidden(f"{path}.stopSignal", detail))
    return errors


def _validate_handler(path: str, handler: Probe | LifecycleHandler, grace: int | None) -> list[FieldError]:
    errors: list[FieldError] = []
    given = [name for name in ("exec", "httpGet", "tcpSocket", "grpc", "sleep") if getattr(handler, name, None)]
    for index, name in enumerate(given):
        errors += [forbidden(f"{path}.{name}", _ALONE)] if index else _validate_action(path, name, handler, grace)
    return errors or ([] if given else [required(path, "must specify a handler type")])


def _validate_action(path: str, name: str, handler: Probe | LifecycleHandler, grace: int | None) -> list[FieldError]:
    action = getattr(handler, name)
    path = f"{path}.{name}"
    match name:
        case "exec":
            return [] if action.command else [required(f"{path}.command")]
        case "httpGet":
            return _validate_http(path, action)
        case "sleep":
            detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            fits = grace is None or 0 <= action.seconds <= grace
            return [] if fits else [invalid(path, action.seconds, detail)]
        case _:
            return port_or_name(f"{path}.port", action.port)


def _validate_http(path: str, action: HTTPGetAction) -> list[FieldError]:
    errors = [] if action.path else [required(f"{path}.path")]
    errors += port_or_name(f"{path}.port", action.port)
    errors += one_of(f"{path}.scheme", action.scheme, ("HTTP", "HTTPS"))
    for header in action.httpHeaders:
        errors += each(f"{path}.httpHeaders", header.name, http_header_name(header.name))
    return errors
