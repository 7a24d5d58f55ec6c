"""Address ranges for services; read by the API server's allocator."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import cidr, invalid, required

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
READY = "Ready"
TERMINATING = "Terminating"
MOST = 2  # networks of one object, each of another family


class ServiceCIDRSpec(Struct):
    """The ranges."""

    cidrs: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class ServiceCIDRStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class ServiceCIDR(Object):
    """A range from which services get their addresses."""

    spec: Annotated[ServiceCIDRSpec, Tag(2)] = field(default_factory=ServiceCIDRSpec)
    status: Annotated[ServiceCIDRStatus, Tag(3)] = field(default_factory=ServiceCIDRStatus)


COLUMNS = (NAME, column("CIDRs", lambda obj: ",".join(obj.spec.cidrs), "Ranges of addresses."), AGE)


def _validate_spec(cidrs: tuple[str, ...]) -> list[FieldError]:
    path = "spec.cidrs"
    if not cidrs:
        return [required(path, "at least one CIDR required")]
    if len(cidrs) > MOST:
        return [invalid(path, {"cidrs": list(cidrs)}, "may only hold up to 2 values")]
    errors = [error for place, text in enumerate(cidrs) for error in cidr(f"{path}[{place}]", text)]
    if not errors and len({":" in text for text in cidrs}) < len(cidrs):
        text = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        errors.append(invalid(path, list(cidrs), text))
    return errors


def validate(obj: ServiceCIDR) -> Sequence[FieldError]:
    """One network, or one of each family."""
    return _validate_spec(obj.spec.cidrs)


def validate_update(new: ServiceCIDR, old: ServiceCIDR) -> Sequence[FieldError]:
    """Networks stay; one of the other family may come beside one."""
    after, before = new.spec.cidrs, old.spec.cidrs
    added = (len(before), len(after)) == (1, MOST)
    if len(after) != len(before) and not added:
        return [invalid("spec.cidrs", list(after), "field is immutable")]
    changed = [place for place, text in enumerate(before) if text != after[place]]
    errors = [invalid(f"spec.cidrs[{place}]", after[place], "field is immutable") for place in changed]
    return errors + (_validate_spec(after) if added else [])


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    type=ServiceCIDR,
    namespaced=False,
    singular="servicecidr",
    subresources=(Subresource(name="status", kind="ServiceCIDR", verbs=("get", "patch", "update"), type=ServiceCIDR),),
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
)
