"""Names and amounts of resources: cpu, memory, pages, devices, and what limits and requests may say of them.

The rules of containers, pods, nodes, quotas and limit ranges call these. Texts are those of k8s.io/kubernetes
`pkg/apis/core/validation` and `pkg/apis/core/helper`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from kijabi.api.formats import dns_label, qualified_name
from kijabi.api.gotext import quote
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    NEGATIVE,
    duplicate,
    each,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)

if TYPE_CHECKING:
    from kijabi.api.core.resources import ResourceClaim, ResourceRequirements

PAGES = "hugepages-"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
# What is counted in whole numbers.
_COUNTED = (
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_STANDARD = frozenset(
    (
        *_COMPUTE,
        *(f"requests.{name}" for name in _COMPUTE),
        *(f"limits.{name}" for name in _COMPUTE),
        *_COUNTED,
        "storage",
        "requests.storage",
    )
)


def is_native(name: str) -> bool:
    """Whether Kubernetes itself gives the name its meaning."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether the name is a device's or another's: `example.com/gpu`, fit for a quota's `requests.` too."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    """Whether limits may promise more than there is."""
    return is_native(name) and not name.startswith(PAGES)


def validate_name(path: str, name: str) -> list[FieldError]:
    """Errors of a resource's name: a known one, or one with a domain."""
    errors = each(path, name, qualified_name(name))
    known = "/" in name or name in _STANDARD or name.startswith((PAGES, f"requests.{PAGES}"))
    if not errors and not known:
        errors.append(invalid(path, name, "must be a standard resource type or fully qualified"))
    return errors


def validate_container_name(path: str, name: str) -> list[FieldError]:
    """Errors of the name of something that a container can ask for."""
    errors = validate_name(path, name)
    if "/" not in name:
        if name not in _COMPUTE and not name.startswith(PAGES):
            errors.append(invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        errors.append(invalid(path, name, "doesn't follow extended resource name standard"))
    return errors


def validate_pod_name(path: str, name: str) -> list[FieldError]:
    """Errors of the name of something that a pod as a whole can ask for (KEP-2837)."""
    errors = validate_name(path, name)
    if not errors and name not in ("cpu", "memory") and not name.startswith(PAGES):
        errors.append(not_supported(path, name, ("cpu", PAGES, "memory")))
    return errors


def validate_amount(path: str, name: str, amount: Quantity) -> list[FieldError]:
    """Errors of an amount: not below zero, and whole where things are counted."""
    errors = [invalid(path, str(amount), NEGATIVE)] if amount.exact() < 0 else []
    if (name in _COUNTED or is_extended(name)) and amount.milli() % 1000:
        errors.append(invalid(path, str(amount), "must be an integer"))
    return errors


def validate_requirements(
    path: str,
    found: ResourceRequirements,
    claims: Container[str] = (),
    check_name: Callable[[str, str], list[FieldError]] = validate_container_name,
) -> list[FieldError]:
    """Errors of limits, requests and claims; claims: names of the pod's."""
    errors: list[FieldError] = []
    for name, amount in found.limits.items():
        errors += _validate_one(f"{path}.limits[{name}]", name, amount, check_name)
    for name, amount in found.requests.items():
        errors += _validate_one(f"{path}.requests[{name}]", name, amount, check_name)
        limit = found.limits.get(name)
        here = f"{path}.requests"
        if limit is None:
            if not may_overcommit(name):
                detail = "Limit must be set for non overcommitable resources"
                errors.append(required(f"{path}.limits", detail))
        elif not may_overcommit(name) and amount.cmp(limit) != 0:
            errors.append(invalid(here, str(amount), f"must be equal to {name} limit of {limit}"))
        elif amount.cmp(limit) > 0:
            errors.append(invalid(here, str(amount), f"must be less than or equal to {name} limit of {limit}"))
    names = {*found.limits, *found.requests}
    if any(name.startswith(PAGES) for name in names) and not names & {"cpu", "memory"}:
        errors.append(forbidden(path, "HugePages require cpu or memory"))
    return errors + _validate_claims(f"{path}.claims", found.claims, claims)


def _validate_one(
    path: str, name: str, amount: Quantity, check_name: Callable[[str, str], list[FieldError]]
) -> list[FieldError]:
    errors = check_name(path, name) + validate_amount(path, name, amount)
    if name.startswith(PAGES) and not _fits_pages(name, amount):
        errors.append(invalid(path, str(amount), f"{amount} is not positive integer multiple of {name}"))
    return errors


def _fits_pages(name: str, amount: Quantity) -> bool:
    try:
        page = Quantity(name.removeprefix(PAGES))
    except ValueError:
        return False
    return page.exact() > 0 and page.milli() % 1000 == 0 and amount.value() % page.value() == 0


def _validate_claims(path: str, claims: tuple[ResourceClaim, ...], known: Container[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        here = f"{path}[{index}]"
        if not claim.name:
            errors.append(required(here))
            continue
        key = f"{claim.name}/{claim.request}" if claim.request else claim.name
        if claim.request:
            errors += each(f"{here}.request", claim.request, dns_label(claim.request))
        whole = not claim.request and any(other.partition("/")[0] == claim.name for other in seen)
        if claim.name in seen or key in seen or whole:
            errors.append(duplicate(here, claim.name if whole or claim.name in seen else key))
        seen.add(key)
        if claim.name not in known:
            names = ", ".join(sorted(known)) if isinstance(known, set) else ""
            detail = "must be one of the names in pod.spec.resourceClaims"
            text = f"{detail}: {names}" if names else f"{detail} which is empty"
            wrong = not_found(here, claim.name)
            errors.append(FieldError(here, wrong.reason, f"{wrong.message}: {text}"))
    return errors


def fraction_warnings(
    path: str, amounts: Mapping[str, Quantity], names: Iterable[str] = ("memory", "ephemeral-storage")
) -> Iterator[str]:
    """Warnings of parts of bytes."""
    for name in names:
        amount = amounts.get(name)
        if amount is not None and amount.milli() % 1000:
            yield f"{path}[{name}]: fractional byte value {quote(amount)} is invalid, must be an integer"
