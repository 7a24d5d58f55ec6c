"""Validation: builders of FieldErrors with upstream's texts, and the checks of names, labels and metadata.

The rules of every kind (`api/<group>/<kind>.py`) call these; the API server's registry calls
`validate_metadata` and `validate_metadata_update` for every object before the rules of its kind, and wraps
what comes back with `status.invalid`. Everything is pure. A path is a plain string:
`f"{path}.ports[{i}].name"`.

The texts are those of k8s.io/apimachinery `pkg/util/validation/field`, `pkg/api/validation` and
`pkg/apis/meta/v1/validation`; the formats behind them are in `api/formats.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from re import compile as regex
from typing import Any

from kijabi.api.formats import (
    dns_label,
    dns_subdomain,
    label_value,
    name_problems,
    port_name,
    port_number,
    qualified_name,
    regex_problem,
    size,
)
from kijabi.api.gotext import bad_value, quote
from kijabi.api.meta import LabelSelector, ObjectMeta, OwnerReference
from kijabi.api.resource import FieldError

IMMUTABLE = "field is immutable"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
NEGATIVE = "must be greater than or equal to 0"
# A key and value count their bytes; the sum over all annotations of an object is bounded.
ANNOTATIONS_LIMIT_BYTES = 256 * 1024
FIELD_MANAGER_LIMIT = 128


def _with(detail: str, text: str) -> str:
    return f"{text}: {detail}" if detail else text


def required(path: str, detail: str = "") -> FieldError:
    """A value that clients must give is missing."""
    return FieldError(path, "FieldValueRequired", _with(detail, "Required value"))


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A malformed value."""
    return FieldError(path, "FieldValueInvalid", _with(detail, f"Invalid value: {bad_value(value)}"))


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value of the wrong type."""
    return FieldError(path, "FieldValueTypeInvalid", _with(detail, f"Invalid value: {bad_value(value)}"))


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """A value outside an enumeration."""
    known = ", ".join(quote(each) for each in supported)
    detail = f"supported values: {known}" if known else ""
    return FieldError(path, "FieldValueNotSupported", _with(detail, f"Unsupported value: {bad_value(value)}"))


def forbidden(path: str, detail: str) -> FieldError:
    """A well-formed value that current conditions do not allow."""
    return FieldError(path, "FieldValueForbidden", _with(detail, "Forbidden"))


def duplicate(path: str, value: Any) -> FieldError:
    """A value that must be unique occurs twice."""
    return FieldError(path, "FieldValueDuplicate", f"Duplicate value: {bad_value(value)}")


def not_found(path: str, value: Any) -> FieldError:
    """A value that names something which does not exist."""
    return FieldError(path, "FieldValueNotFound", f"Not found: {bad_value(value)}")


def internal(path: str, detail: str) -> FieldError:
    """Something went wrong that is not the client's fault."""
    return FieldError(path, "InternalError", _with(detail, "Internal error"))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def too_long(path: str, limit: int) -> FieldError:
    """More than `limit` bytes."""
    detail = f"may not be more than {_count(limit, 'byte')}"
    return FieldError(path, "FieldValueTooLong", f"Too long: {detail}")


def too_long_characters(path: str, limit: int) -> FieldError:
    """More than `limit` characters."""
    detail = f"may not be more than {_count(limit, 'character')}"
    return FieldError(path, "FieldValueTooLong", f"Too long: {detail}")


def too_short(path: str, limit: int) -> FieldError:
    """Fewer than `limit` characters."""
    detail = f"must be at least {_count(limit, 'character')}"
    return FieldError(path, "FieldValueTooShort", f"Too short: {detail}")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    """More than `limit` items."""
    detail = f"must have at most {_count(limit, 'item')}"
    return FieldError(path, "FieldValueTooMany", f"Too many: {actual}: {detail}")


def too_few(path: str, actual: int, limit: int) -> FieldError:
    """Fewer than `limit` items."""
    detail = f"must have at least {_count(limit, 'item')}"
    return FieldError(path, "FieldValueTooFew", f"Too few: {actual}: {detail}")


def aggregate(errors: Iterable[FieldError]) -> str:
    """All errors in one text: one as it is, several as `[a, b]`, repeated ones once."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]" if texts else ""


def immutable(path: str, new: Any, old: Any) -> list[FieldError]:
    """An error if the field changed."""
    return [] if new == old else [invalid(path, new, IMMUTABLE)]


def unchanged(path: str, new: Any, old: Any) -> list[FieldError]:
    """As `immutable`, in the words of rules that upstream declares with the type: the value is not shown."""
    return [] if new == old else [invalid(path, None, "field is immutable")]


def non_negative(path: str, value: int | None) -> list[FieldError]:
    """An error if the number is below zero; None is good."""
    return [invalid(path, value, NEGATIVE)] if value is not None and value < 0 else []


def one_of(path: str, value: str, supported: Iterable[str]) -> list[FieldError]:
    """An error unless the value is in the enumeration."""
    known = tuple(supported)
    return [] if value in known else [not_supported(path, value, known)]


def each(path: str, value: Any, problems: Iterable[str]) -> list[FieldError]:
    """An Invalid error per problem that a check below found with the value."""
    return [invalid(path, value, problem) for problem in problems]


_NOT_AN_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def ip(path: str, text: str) -> list[FieldError]:
    """Errors of an IP address in the one canonical form."""
    errors = ip_legacy(path, text)
    if not errors and str(ip_address(text)) != text:
        errors.append(invalid(path, text, f"must be in canonical form ({quote(str(ip_address(text)))})"))
    return errors


def ip_legacy(path: str, text: str) -> list[FieldError]:
    """Errors of an IP address in a field as old as the API: any spelling of an IPv6 address will do."""
    try:
        address = ip_address(text)
    except ValueError:
        zeros = ":" not in text and _is_ip(re.sub(r"(?<![0-9])0+(?=[0-9])", "", text))
        return [invalid(path, text, "must not have leading 0s" if zeros else _NOT_AN_IP)]
    if "%" in text:
        return [invalid(path, text, _NOT_AN_IP)]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return [invalid(path, text, "must not be an IPv4-mapped IPv6 address")]
    return []


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def endpoint_ip(path: str, text: str) -> list[FieldError]:
    """Errors of an address to which traffic is sent: it must be one that a pod can have."""
    try:
        address = ip_address(text)
    except ValueError:
        return [invalid(path, text, "must be a valid IP address")]
    if address.is_unspecified:
        return [invalid(path, text, f"may not be unspecified ({text})")]
    if address.is_loopback:
        return [invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)")]
    if address.is_link_local:
        return [invalid(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    local = ip_network("224.0.0.0/24") if address.version == 4 else ip_network("ff02::/16")
    if address in local:
        return [invalid(path, text, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    return []


def cidr_legacy(path: str, text: str) -> list[FieldError]:
    """Errors of an address range, `10.0.0.0/8`."""
    address, _, length = text.partition("/")
    if not (length.isascii() and length.isdigit()):
        return [invalid(path, text, _NOT_A_RANGE)]
    try:
        parsed = ip_network(text, strict=False)
    except ValueError:
        loose = re.sub(r"(?<![0-9])0+(?=[0-9])", "", text) if ":" not in text else text
        if loose != text and not cidr_legacy(path, loose):
            return [invalid(path, text, "must not have leading 0s in IP or prefix length")]
        return [invalid(path, text, _NOT_A_RANGE)]
    if len(length) > 1 and length.startswith("0"):
        return [invalid(path, text, "must not have leading 0s in IP or prefix length")]
    if isinstance(parsed.network_address, IPv6Address) and parsed.network_address.ipv4_mapped is not None:
        return [invalid(path, text, "must not have an IPv4-mapped IPv6 address")]
    if ip_address(address) != parsed.network_address:
        return [invalid(path, text, "must not have bits set beyond the prefix length")]
    return []


def cidr(path: str, text: str) -> list[FieldError]:
    """Errors of an address range in the one canonical form."""
    errors = cidr_legacy(path, text)
    if not errors and str(ip_network(text)) != text:
        errors.append(invalid(path, text, f"must be in canonical form ({quote(str(ip_network(text)))})"))
    return errors


def fully_qualified(path: str, name: str) -> list[FieldError]:
    """Errors of a domain name of at least two labels; a dot may end it."""
    if not name:
        return [required(path)]
    plain = name.removesuffix(".")
    problems = dns_subdomain(plain)
    if problems:
        return [invalid(path, plain, ",".join(problems))]
    if "." not in plain:
        return [invalid(path, plain, "should be a domain with at least two segments separated by dots")]
    wrong = [(label, dns_label(label)) for label in plain.split(".")]
    return [invalid(path, label, ",".join(problems)) for label, problems in wrong if problems]


def domain_prefixed(path: str, text: str) -> list[FieldError]:
    """Errors of a name with a domain before it, `example.com/controller`."""
    if not text:
        return [required(path)]
    domain, _, rest = text.partition("/")
    if not domain or not rest:
        return [invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    errors = each(path, domain, dns_subdomain(domain))
    if not regex(_HTTP_PATH).fullmatch(rest):
        errors.append(invalid(path, rest, regex_problem("Invalid path", _HTTP_PATH)))
    return errors


def port_or_name(path: str, value: int | str) -> list[FieldError]:
    """Errors of a port given by number or by name."""
    problems = port_number(value) if isinstance(value, int) else port_name(value)
    return each(path, value, problems)


def validate_metadata(
    meta: ObjectMeta,
    *,
    namespaced: bool,
    name_rule: str = "subdomain",
    known_finalizers: bool = False,
    path: str = "metadata",
) -> list[FieldError]:
    """Errors of an object's metadata on create, its name and namespace set.

    known_finalizers: one without a domain must be one of Kubernetes' own.
    """
    errors: list[FieldError] = []
    if meta.generateName:
        problems = name_problems(name_rule, meta.generateName, prefix=True)
        errors += each(f"{path}.generateName", meta.generateName, problems)
    if not meta.name:
        errors.append(required(f"{path}.name", "name or generateName is required"))
    else:
        errors += each(f"{path}.name", meta.name, name_problems(name_rule, meta.name))
    if namespaced and not meta.namespace:
        errors.append(required(f"{path}.namespace"))
    elif namespaced:
        errors += each(f"{path}.namespace", meta.namespace, dns_label(meta.namespace))
    elif meta.namespace:
        errors.append(forbidden(f"{path}.namespace", "not allowed on this type"))
    errors += non_negative(f"{path}.generation", meta.generation)
    errors += _validate_maps(meta, path)
    return errors + (_validate_known(meta.finalizers, f"{path}.finalizers") if known_finalizers else [])


_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_IMMUTABLE_METADATA = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def validate_metadata_update(
    new: ObjectMeta, old: ObjectMeta, *, known_finalizers: bool = False, path: str = "metadata"
) -> list[FieldError]:
    """Errors of an update's metadata against the stored one; new.resourceVersion is already settled."""
    errors = non_negative(f"{path}.generation", new.generation) + _validate_maps(new, path)
    extra = sorted(set(new.finalizers) - set(old.finalizers))
    if old.deletionTimestamp is not None and extra:
        shown = "[]string{" + ", ".join(quote(name) for name in extra) + "}"
        detail = "no new finalizers can be added if the object is being deleted, found new finalizers"
        errors.append(forbidden(f"{path}.finalizers", f"{detail} {shown}"))
    if not new.resourceVersion:
        errors.append(invalid(f"{path}.resourceVersion", "", "must be specified for an update"))
    if new.generation < old.generation:
        errors.append(invalid(f"{path}.generation", new.generation, "must not be decremented"))
    for name in _IMMUTABLE_METADATA:
        errors += immutable(f"{path}.{name}", getattr(new, name), getattr(old, name))
    return errors + (_validate_known(new.finalizers, f"{path}.finalizers") if known_finalizers else [])


def _validate_maps(meta: ObjectMeta, path: str) -> list[FieldError]:
    return [
        *validate_labels(meta.labels, f"{path}.labels"),
        *validate_annotations(meta.annotations, f"{path}.annotations"),
        *validate_owner_references(meta.ownerReferences, f"{path}.ownerReferences"),
        *validate_finalizers(meta.finalizers, f"{path}.finalizers"),
    ]


def _validate_known(finalizers: Sequence[str], path: str) -> list[FieldError]:
    detail = "name is neither a standard finalizer name nor is it fully qualified"
    unknown = [i for i, name in enumerate(finalizers) if "/" not in name and name not in _STANDARD_FINALIZERS]
    return [invalid(f"{path}[{i}]", finalizers[i], detail) for i in unknown]


def validate_labels(labels: Mapping[str, str], path: str) -> list[FieldError]:
    """Errors of a map of labels."""
    errors: list[FieldError] = []
    for key, value in labels.items():
        errors += each(path, key, qualified_name(key))
        errors += each(path, value, label_value(value))
    return errors


def validate_annotations(annotations: Mapping[str, str], path: str) -> list[FieldError]:
    """Errors of a map of annotations: keys are label keys in any case, the total size is bounded."""
    errors: list[FieldError] = []
    total = 0
    for key, value in annotations.items():
        total += size(key) + size(value)
        errors += each(path, key, qualified_name(key.lower()))
    if total > ANNOTATIONS_LIMIT_BYTES:
        errors.append(too_long(path, ANNOTATIONS_LIMIT_BYTES))
    return errors


def validate_owner_references(references: Sequence[OwnerReference], path: str) -> list[FieldError]:
    """Errors of the owners: each complete, at most one the controller, no Event an owner."""
    errors: list[FieldError] = []
    controller = ""
    for index, owner in enumerate(references):
        here = f"{path}[{index}]"
        group, _, version = owner.apiVersion.rpartition("/")
        if not owner.apiVersion:
            errors.append(required(f"{here}.apiVersion", "must not be empty"))
        elif not version or "/" in group:
            detail = "must be <group>/<version> or <version>"
            errors.append(invalid(f"{here}.apiVersion", owner.apiVersion, detail))
        for name in ("kind", "name", "uid"):
            if not getattr(owner, name):
                errors.append(required(f"{here}.{name}", "must not be empty"))
        if (owner.apiVersion, owner.kind) == ("v1", "Event"):
            errors.append(invalid(here, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.controller:
            this = f"{owner.kind}/{owner.name}"
            if controller:
                detail = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {this}"
                )
                errors.append(invalid(path, references, detail))
            controller = controller or this
    return errors


def validate_finalizers(finalizers: Sequence[str], path: str) -> list[FieldError]:
    """Errors of the finalizers: qualified names, never both of the garbage collector's."""
    errors = [error for name in finalizers for error in each(path, name, qualified_name(name))]
    if "orphan" in finalizers and "foregroundDeletion" in finalizers:
        detail = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.append(invalid(path, finalizers, detail))
    return errors


def validate_label_selector(selector: LabelSelector | None, path: str) -> list[FieldError]:
    """Errors of a LabelSelector (k8s.io/apimachinery `pkg/apis/meta/v1/validation`); None is good."""
    if selector is None:
        return []
    errors = validate_labels(selector.matchLabels, f"{path}.matchLabels")
    for index, term in enumerate(selector.matchExpressions):
        here = f"{path}.matchExpressions[{index}]"
        if term.operator in ("In", "NotIn"):
            if not term.values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                errors.append(required(f"{here}.values", detail))
        elif term.operator in ("Exists", "DoesNotExist"):
            if term.values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{here}.values", detail))
        else:
            errors.append(invalid(f"{here}.operator", term.operator, "not a valid selector operator"))
        errors += each(f"{here}.key", term.key, qualified_name(term.key))
        for position, value in enumerate(term.values):
            errors += each(f"{here}.values[{position}]", value, label_value(value))
    return errors


def validate_field_manager(manager: str, path: str) -> list[FieldError]:
    """Errors of a field manager's name: at most 128 bytes, printable."""
    errors = [too_long(path, FIELD_MANAGER_LIMIT)] if size(manager) > FIELD_MANAGER_LIMIT else []
    position = 0
    for char in manager:
        if not char.isprintable():
            detail = f"invalid character U+{ord(char):04X} (at position {position})"
            errors.append(invalid(path, manager, detail))
        position += size(char)
    return errors
