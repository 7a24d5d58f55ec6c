"""A machine that runs pods; registered and reported by its kubelet."""

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, UNKNOWN, column
from kijabi.api.core.kinds import TAINT_EFFECTS
from kijabi.api.core.nodestatus import NodeConfigSource, NodeStatus
from kijabi.api.core.resources_rules import validate_amount
from kijabi.api.formats import label_value, qualified_name
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import cidr_legacy, duplicate, each, forbidden, invalid, one_of, required


class Taint(Struct):
    """A mark that keeps pods away, or drives them out, unless they tolerate it."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    effect: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    timeAdded: Annotated[Time | None, Tag(4)] = None


class NodePodPreemptionPolicy(Struct):
    """Whether pods on this node may be evicted to make room for others."""

    disableResizePreemption: Annotated[tuple[str, ...], Tag(1, listType="set")] = ()


class NodeSpec(Struct):
    """The pod network, taints, and whether new pods may come."""

    podCIDR: Annotated[str, Tag(1)] = ""
    podCIDRs: Annotated[tuple[str, ...], Tag(7, listType="set", strategy="merge")] = ()
    providerID: Annotated[str, Tag(3)] = ""
    unschedulable: Annotated[bool, Tag(4)] = False
    taints: Annotated[tuple[Taint, ...], Tag(5, listType="atomic")] = ()
    configSource: Annotated[NodeConfigSource | None, Tag(6)] = None
    externalID: Annotated[str, Tag(2)] = ""
    podPreemptionPolicy: Annotated[
        NodePodPreemptionPolicy | None,
        Tag(8, gate="InPlacePodVerticalScalingSchedulerPreemption"),
    ] = None

    def set_defaults(self) -> None:
        """The first range stands in podCIDR too."""
        if self.podCIDR and self.podCIDRs[:1] != (self.podCIDR,):
            self.podCIDRs = (self.podCIDR,)
        elif self.podCIDRs:
            self.podCIDR = self.podCIDRs[0]


class Node(Object):
    """A machine of the cluster."""

    spec: Annotated[NodeSpec, Tag(2)] = field(default_factory=NodeSpec)
    status: Annotated[NodeStatus, Tag(3)] = field(default_factory=NodeStatus)


def _status(obj: Node) -> str:
    ready = next((each.status for each in obj.status.conditions if each.type == "Ready"), None)
    shown = "Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if obj.spec.unschedulable else shown


def _roles(obj: Node) -> str:
    prefix, labels = "node-role.kubernetes.io/", obj.metadata.labels
    roles = {key.removeprefix(prefix) for key in labels if key.startswith(prefix)}
    roles.add(labels.get("kubernetes.io/role", ""))
    return ",".join(sorted(roles - {""})) or NONE


def _address(kind: str) -> Callable[[Node], str]:
    return lambda obj: next((each.address for each in obj.status.addresses if each.type == kind), NONE)


def _kernel(obj: Node) -> str:
    info = obj.status.nodeInfo
    suffix = f" ({info.architecture})" if info.architecture else ""
    return f"{info.kernelVersion or UNKNOWN}{suffix}"


COLUMNS = (
    NAME,
    column("Status", _status, "Whether it is ready and takes new pods."),
    column("Roles", _roles, "What it is for."),
    AGE,
    column("Version", lambda obj: obj.status.nodeInfo.kubeletVersion, "The version of its kubelet."),
    column("Internal-IP", _address("InternalIP"), "Its address in the cluster.", wide=True),
    column("External-IP", _address("ExternalIP"), "Its address outside.", wide=True),
    column("OS-Image", lambda obj: obj.status.nodeInfo.osImage or UNKNOWN, "Its operating system.", wide=True),
    column("Kernel-Version", _kernel, "Its kernel.", wide=True),
    column(
        "Container-Runtime",
        lambda obj: obj.status.nodeInfo.containerRuntimeVersion or UNKNOWN,
        "What runs its containers.",
        wide=True,
    ),
)


def validate(obj: Node) -> Sequence[FieldError]:
    """Taints, ranges of pod addresses and amounts are well formed."""
    errors = _validate_taints(obj.spec.taints)
    for name in ("capacity", "allocatable"):
        for key, amount in getattr(obj.status, name).items():
            errors += validate_amount(f"status.{name}.{key}", key, amount)
    ranges = obj.spec.podCIDRs
    for index, text in enumerate(ranges):
        errors += cidr_legacy(f"spec.podCIDRs[{index}]", text)
    if len(ranges) > 2 or len({":" in text for text in ranges}) < len(ranges):
        errors.append(invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family"))
    return errors


def _validate_taints(taints: tuple[Taint, ...]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        path = f"metadata.taints[{index}]"  # sic: upstream's path
        errors += each(f"{path}.key", taint.key, qualified_name(taint.key))
        wrong = ";".join(label_value(taint.value))
        if wrong:
            errors.append(invalid(f"{path}.value", taint.value, wrong))
        if not taint.effect:
            errors.append(required(f"{path}.effect"))
        else:
            errors += one_of(f"{path}.effect", taint.effect, TAINT_EFFECTS)
        if (taint.key, taint.effect) in seen:
            detail = "taints must be unique by key and effect pair"
            text = f"{duplicate(path, taint).message}: {detail}"
            errors.append(FieldError(path, "FieldValueDuplicate", text))
        seen.add((taint.key, taint.effect))
    return errors


def validate_update(new: Node, old: Node) -> Sequence[FieldError]:
    """Addresses once, and what is given for good stays."""
    errors: list[FieldError] = []
    addresses = [(address.type, address.address) for address in new.status.addresses]
    for index, address in enumerate(addresses):
        if address in addresses[:index]:
            errors.append(duplicate(f"status.addresses[{index}]", new.status.addresses[index]))
    if old.spec.podCIDRs and new.spec.podCIDRs != old.spec.podCIDRs:
        detail = 'node updates may not change podCIDR except from "" to valid'
        errors.append(forbidden("spec.podCIDRs", detail))
    if old.spec.providerID and new.spec.providerID != old.spec.providerID:
        detail = "field cannot be modified once set" if new.spec.providerID else "field cannot be cleared once set"
        errors.append(invalid("spec.providerID", None, detail))
    if new.spec.externalID != old.spec.externalID:
        errors.append(forbidden("spec.externalID", "may not be updated"))
    return errors


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    type=Node,
    namespaced=False,
    singular="node",
    short=("no",),
    subresources=(
        Subresource(
            name="proxy",
            kind="NodeProxyOptions",
            verbs=("create", "delete", "get", "patch", "update"),
        ),
        Subresource(name="status", kind="Node", verbs=("get", "patch", "update"), type=Node),
    ),
    columns=COLUMNS,
    fields=(("spec.unschedulable", lambda node: "true" if node.spec.unschedulable else "false"),),
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_update,
)
