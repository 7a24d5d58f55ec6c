"""What the names, taints, tolerations, selectors and configurations of devices must be.

`claim_rules.py` and `slice_rules.py` build on these. Texts and limits are those of k8s.io/kubernetes
`pkg/apis/resource/validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api.formats import c_identifier, dns_label, dns_subdomain, label_value, qualified_name, size
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, invalid, not_supported, required, too_long, too_many

if TYPE_CHECKING:
    from kijabi.api.dra.deviceclass import DeviceConfiguration, DeviceSelector
    from kijabi.api.dra.devicerequest import DeviceToleration
    from kijabi.api.dra.devicetaintrule import DeviceTaint

MOST_SELECTORS, MOST_CONFIGS, MOST_TOLERATIONS, MOST_CONDITIONS = 32, 32, 16, 4
_LONGEST_DRIVER, _LONGEST_POOL, _LONGEST_ID, _LONGEST_PARAMETERS = 63, 253, 32, 10 * 1024
EFFECTS = ("NoExecute", "NoSchedule", "None")


def device_name(path: str, name: str) -> list[FieldError]:
    """Errors of the name of a device, a request or a counter."""
    return each(path, name, dns_label(name))


def driver_name(path: str, name: str) -> list[FieldError]:
    """Errors of the name of a driver."""
    if not name:
        return [required(path)]
    errors = [too_long(path, _LONGEST_DRIVER)] if size(name) > _LONGEST_DRIVER else []
    return errors + each(path, name, dns_subdomain(name.lower()))


def pool_name(path: str, name: str) -> list[FieldError]:
    """Errors of the name of a pool: subdomains with slashes between them."""
    if not name:
        return [required(path)]
    errors = [too_long(path, _LONGEST_POOL)] if size(name) > _LONGEST_POOL else []
    return errors + [error for part in name.split("/") for error in each(path, part, dns_subdomain(part))]


def attribute_name(path: str, name: str, *, full: bool = False) -> list[FieldError]:
    """Errors of the name of an attribute or a capacity. full: it must have a domain."""
    domain, slash, rest = name.rpartition("/")
    errors: list[FieldError] = []
    if slash:
        errors += driver_name(path, domain) if domain else [invalid(path, "", "the domain must not be empty")]
    if slash and not rest:
        errors.append(invalid(path, "", "the name must not be empty"))
    else:
        errors += [too_long(path, _LONGEST_ID)] if size(rest) > _LONGEST_ID else []
        errors += each(path, rest, c_identifier(rest))
    if full and not slash:
        text = "a fully qualified name must be a domain and a name separated by a slash"
        errors.append(invalid(path, name, text))
    return errors


def items(
    path: str, found: Sequence[Any], most: int, rule: Callable[[str, Any], Iterable[FieldError]]
) -> list[FieldError]:
    """Errors of the items of a list; of one that is too long only that."""
    if len(found) > most:
        return [too_many(path, len(found), most)]
    return [error for index, one in enumerate(found) for error in rule(f"{path}[{index}]", one)]


def twice(path: str, keys: Sequence[Any]) -> list[FieldError]:
    """Errors of items that are there already."""
    return [duplicate(f"{path}[{index}]", key) for index, key in enumerate(keys) if key in keys[:index]]


def taint(path: str, found: DeviceTaint) -> list[FieldError]:
    """Errors of a taint."""
    errors = each(f"{path}.key", found.key, qualified_name(found.key))
    errors += each(f"{path}.value", found.value, label_value(found.value))
    if not found.effect:
        errors.append(required(f"{path}.effect"))
    elif found.effect not in EFFECTS:
        errors.append(not_supported(f"{path}.effect", found.effect, EFFECTS))
    return errors


def toleration(path: str, found: DeviceToleration) -> list[FieldError]:
    """Errors of a toleration."""
    errors = each(f"{path}.key", found.key, qualified_name(found.key)) if found.key else []
    if found.operator == "Exists":
        if found.value:
            errors.append(invalid(f"{path}.value", found.value, "must be empty for operator `Exists`"))
    elif found.operator == "Equal":
        errors += each(f"{path}.value", found.value, label_value(found.value))
    else:
        errors.append(not_supported(f"{path}.operator", found.operator, ("Equal", "Exists")))
    if found.effect and found.effect not in EFFECTS:
        errors.append(not_supported(f"{path}.effect", found.effect, EFFECTS))
    return errors


def selector(path: str, found: DeviceSelector) -> list[FieldError]:
    """Errors of a selector of devices: it must compile."""
    if found.cel is None:
        return [required(f"{path}.cel")]
    from kijabi.api.dra.selectors import LONGEST, Unfit, compiled

    path, text = f"{path}.cel.expression", found.cel.expression
    if size(text) > LONGEST:
        return [too_long(path, LONGEST)]
    try:
        compiled(text)
    except Unfit as error:
        return [invalid(path, text, str(error))]
    return []


def configuration(path: str, found: DeviceConfiguration) -> list[FieldError]:
    """Errors of a configuration: opaque, but an object."""
    path = f"{path}.opaque"
    if found.opaque is None:
        return [required(path)]
    return driver_name(f"{path}.driver", found.opaque.driver) + raw_object(
        f"{path}.parameters", found.opaque.parameters
    )


def raw_object(path: str, raw: msgspec.Raw) -> list[FieldError]:
    """Errors of JSON that must be an object."""
    data = bytes(raw)
    if len(data) > _LONGEST_PARAMETERS:
        return [too_long(path, _LONGEST_PARAMETERS)]
    if data in (b"", b"null"):
        return [required(path)]
    if not data.lstrip().startswith(b"{"):
        return [invalid(path, "<value omitted>", "must be a valid JSON object")]
    return []


def binding_conditions(path: str, good: Sequence[str], bad: Sequence[str]) -> list[FieldError]:
    """Errors of the conditions of a device that a pod's binding waits for, and of those that end the waiting."""
    here, there = f"{path}.bindingConditions", f"{path}.bindingFailureConditions"
    errors: list[FieldError] = []
    for place, names in ((here, good), (there, bad)):
        errors += items(place, names, MOST_CONDITIONS, lambda at, name: each(at, name, qualified_name(name)))
        errors += twice(place, names)
    text = "bindingFailureConditions must not overlap with bindingConditions"
    errors += [invalid(f"{there}[{index}]", name, text) for index, name in enumerate(bad) if name in good]
    if bad and not good:
        text = "bindingConditions are required to use bindingFailureConditions"
        errors.append(invalid(here, list(good), text))
    if good and not bad:
        text = "bindingFailureConditions are required to use bindingConditions"
        errors.append(invalid(there, list(bad), text))
    return errors
