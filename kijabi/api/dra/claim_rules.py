"""What claims to devices, their templates and classes must be, and what the status of a claim may say.

`resourceclaim.py`, `resourceclaimtemplate.py` and `deviceclass.py` give these to their Resources. Texts and limits are
those of k8s.io/kubernetes `pkg/apis/resource/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kijabi.api.core.affinity_rules import validate_node_selector
from kijabi.api.core.resources_rules import is_extended
from kijabi.api.dra import rules
from kijabi.api.formats import dns_subdomain
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    each,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
    validate_annotations,
    validate_labels,
)

if TYPE_CHECKING:
    from kijabi.api.dra.deviceclass import DeviceClass
    from kijabi.api.dra.devicerequest import (
        DeviceClaim,
        DeviceConstraint,
        DeviceRequest,
        DeviceSubRequest,
        ExactDeviceRequest,
    )
    from kijabi.api.dra.resourceclaim import AllocationResult, DeviceRequestAllocationResult, ResourceClaim
    from kijabi.api.dra.resourceclaimtemplate import ResourceClaimTemplate

MOST_REQUESTS, MOST_CONSTRAINTS, MOST_ALTERNATIVES, MOST_USERS, MOST_RESULTS = 32, 32, 8, 256, 32
_ONE_OF = "exactly one of `exactly` or `firstAvailable` is required"
_REFERENCE = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
Names = Mapping[str, frozenset[str]]
"""Names of requests, each with those of its alternatives."""


def validate(obj: ResourceClaim) -> Sequence[FieldError]:
    """Everything that is wrong with a claim."""
    return validate_devices("spec.devices", obj.spec.devices)


def validate_update(new: ResourceClaim, old: ResourceClaim) -> Sequence[FieldError]:
    """What is asked for stays."""
    return immutable("spec", new.spec, old.spec)


def validate_template(obj: ResourceClaimTemplate) -> Sequence[FieldError]:
    """Everything that is wrong with a template."""
    own, path = obj.spec.metadata, "spec.metadata"
    errors = validate_labels(own.labels, f"{path}.labels")
    errors += validate_annotations(own.annotations, f"{path}.annotations")
    return errors + validate_devices("spec.spec.devices", obj.spec.spec.devices)


def validate_template_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Sequence[FieldError]:
    """A template is given for good."""
    return immutable("spec", new.spec, old.spec)


def validate_class(obj: DeviceClass) -> Sequence[FieldError]:
    """Everything that is wrong with a class."""
    spec = obj.spec
    errors = rules.items("spec.selectors", spec.selectors, rules.MOST_SELECTORS, rules.selector)
    errors += rules.items("spec.config", spec.config, rules.MOST_CONFIGS, rules.configuration)
    name = spec.extendedResourceName
    if name is not None and not is_extended(name):
        errors.append(invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return errors


def validate_devices(path: str, claim: DeviceClaim) -> list[FieldError]:
    """Errors of what is asked of devices."""
    names = _names(claim)
    errors = rules.items(f"{path}.requests", claim.requests, MOST_REQUESTS, _request)
    errors += rules.twice(f"{path}.requests", [one.name for one in claim.requests])
    errors += rules.items(
        f"{path}.constraints", claim.constraints, MOST_CONSTRAINTS, lambda at, one: _constraint(at, one, names)
    )
    for index, config in enumerate(claim.config):
        here = f"{path}.config[{index}]"
        errors += _references(f"{here}.requests", config.requests, names) + rules.configuration(here, config)
    return errors


def _names(claim: DeviceClaim) -> Names:
    return {one.name: frozenset(other.name for other in one.firstAvailable) for one in claim.requests}


def _request(path: str, request: DeviceRequest) -> list[FieldError]:
    errors = rules.device_name(f"{path}.name", request.name)
    if request.exactly is not None and request.firstAvailable:
        return [*errors, invalid(path, None, f"{_ONE_OF}, but multiple fields are set")]
    if request.exactly is not None:
        return errors + _asked(f"{path}.exactly", request.exactly)
    if not request.firstAvailable:
        return [*errors, required(path, _ONE_OF)]
    here = f"{path}.firstAvailable"
    errors += rules.items(here, request.firstAvailable, MOST_ALTERNATIVES, _alternative)
    return errors + rules.twice(here, [one.name for one in request.firstAvailable])


def _alternative(path: str, request: DeviceSubRequest) -> list[FieldError]:
    return rules.device_name(f"{path}.name", request.name) + _asked(path, request)


def _asked(path: str, request: ExactDeviceRequest | DeviceSubRequest) -> list[FieldError]:
    name, mode, count = request.deviceClassName, request.allocationMode, request.count
    errors = (
        each(f"{path}.deviceClassName", name, dns_subdomain(name)) if name else [required(f"{path}.deviceClassName")]
    )
    errors += rules.items(f"{path}.selectors", request.selectors, rules.MOST_SELECTORS, rules.selector)
    if mode not in ("All", "ExactCount"):
        errors.append(not_supported(f"{path}.allocationMode", mode, ("All", "ExactCount")))
    elif mode == "All" and count:
        errors.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, "must be greater than zero"))
    return errors + rules.items(f"{path}.tolerations", request.tolerations, rules.MOST_TOLERATIONS, rules.toleration)


def _constraint(path: str, constraint: DeviceConstraint, names: Names) -> list[FieldError]:
    errors = _references(f"{path}.requests", constraint.requests, names)
    if constraint.matchAttribute is not None:
        return errors + rules.attribute_name(f"{path}.matchAttribute", constraint.matchAttribute, full=True)
    if constraint.distinctAttribute is not None:
        return errors + rules.attribute_name(f"{path}.distinctAttribute", constraint.distinctAttribute, full=True)
    text = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
    return [*errors, required(path, text)]


def _references(path: str, found: Sequence[str], names: Names) -> list[FieldError]:
    errors = rules.items(path, found, MOST_REQUESTS, lambda at, name: _reference(at, name, names))
    return errors + rules.twice(path, found)


def _reference(path: str, name: str, names: Names) -> list[FieldError]:
    parts = name.split("/")
    if len(parts) > 2:
        return [invalid(path, name, _REFERENCE)]
    errors = [error for part in parts for error in rules.device_name(path, part)]
    if parts[0] not in names or (len(parts) == 2 and parts[1] not in names[parts[0]]):
        errors.append(invalid(path, name, _REFERENCE))
    return errors


# The status


def validate_status(new: ResourceClaim, old: ResourceClaim) -> Sequence[FieldError]:
    """Everything that is wrong with a new status; what was allocated stays until it is given back."""
    status, before = new.status, old.status
    users, path = status.reservedFor, "status.reservedFor"
    errors = rules.items(path, users, MOST_USERS, lambda at, one: [
        required(f"{at}.{name}") for name in ("resource", "name", "uid") if not getattr(one, name)
    ])  # fmt: skip
    errors += rules.twice(path, [one.uid for one in users])
    if users and status.allocation is None:
        errors.append(forbidden(path, "may not be specified when `allocated` is not set"))
    elif new.metadata.deletionTimestamp is not None and any(one not in before.reservedFor for one in users):
        text = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        errors.append(forbidden(path, text))
    if status.allocation is not None:
        if before.allocation is not None:
            errors += immutable("status.allocation", status.allocation, before.allocation)
        else:
            errors += _allocation("status.allocation", status.allocation, _names(new.spec.devices))
    return errors + _reports(new)


def _allocation(path: str, held: AllocationResult, names: Names) -> list[FieldError]:
    here = f"{path}.devices"
    errors = rules.items(f"{here}.results", held.devices.results, MOST_RESULTS, lambda at, one: _result(at, one, names))
    for index, config in enumerate(held.devices.config):
        at = f"{here}.config[{index}]"
        if config.source not in ("FromClaim", "FromClass"):
            errors.append(not_supported(f"{at}.source", config.source, ("FromClaim", "FromClass")))
        errors += _references(f"{at}.requests", config.requests, names) + rules.configuration(at, config)
    if held.nodeSelector is not None:
        errors += validate_node_selector(f"{path}.nodeSelector", held.nodeSelector)
    return errors


def _result(path: str, result: DeviceRequestAllocationResult, names: Names) -> list[FieldError]:
    errors = _reference(f"{path}.request", result.request, names)
    errors += rules.driver_name(f"{path}.driver", result.driver) + rules.pool_name(f"{path}.pool", result.pool)
    errors += rules.device_name(f"{path}.device", result.device)
    errors += rules.binding_conditions(path, result.bindingConditions, result.bindingFailureConditions)
    return errors + rules.items(f"{path}.tolerations", result.tolerations, rules.MOST_TOLERATIONS, rules.toleration)


def _reports(new: ResourceClaim) -> list[FieldError]:
    """Errors of what drivers report of the devices."""
    held = new.status.allocation
    mine = {(one.driver, one.pool, one.device, one.shareID) for one in held.devices.results} if held is not None else ()
    keys = [(one.driver, one.pool, one.device, one.shareID) for one in new.status.devices]
    errors: list[FieldError] = []
    for index, (report, key) in enumerate(zip(new.status.devices, keys, strict=True)):
        path, name = f"status.devices[{index}]", "/".join(filter(None, key))
        errors += rules.driver_name(f"{path}.driver", report.driver) + rules.pool_name(f"{path}.pool", report.pool)
        errors += rules.device_name(f"{path}.device", report.device)
        if key not in mine:
            errors.append(invalid(path, name, "must be an allocated device in the claim"))
        if bytes(report.data):
            errors += rules.raw_object(f"{path}.data", report.data)
    return errors + rules.twice("status.devices", ["/".join(filter(None, key)) for key in keys])
