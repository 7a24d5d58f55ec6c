"""What drivers, their nodes, capacities, attribute classes and attachments must be; pure.

The files of the kinds give these to their Resources. Texts are those of k8s.io/kubernetes
`pkg/apis/storage/validation`, of the beta features that are on by default in v1.37.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api.core.volume_rules import validate_driver
from kijabi.api.formats import dns_subdomain, qualified_name, size
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    NEGATIVE,
    duplicate,
    each,
    forbidden,
    immutable,
    invalid,
    non_negative,
    one_of,
    required,
    too_long,
    unchanged,
    validate_label_selector,
)

if TYPE_CHECKING:
    from kijabi.api.storage.csidriver import CSIDriver, TokenRequest
    from kijabi.api.storage.csinode import CSINode, CSINodeDriver
    from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
    from kijabi.api.storage.volumeattachment import VolumeAttachment, VolumeAttachmentSource, VolumeError
    from kijabi.api.storage.volumeattributesclass import VolumeAttributesClass

MOST_PARAMETERS, LONGEST_PARAMETERS = 512, 256 * 1024
_LONGEST_METADATA, _LONGEST_MESSAGE, _LONGEST_NODE_ID = 256 * 1024, 1024, 256
_SHORTEST_TOKEN, _LONGEST_TOKEN = 600, 2**32
_SHORTEST_PERIOD = 10
_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def validate_provisioner(path: str, name: str) -> list[FieldError]:
    """Errors of who makes volumes."""
    return each(path, name.lower(), qualified_name(name.lower())) if name else [required(path)]


def validate_parameters(path: str, parameters: dict[str, str]) -> list[FieldError]:
    """Errors of what a driver is told."""
    if len(parameters) > MOST_PARAMETERS:
        return [too_long(path, MOST_PARAMETERS)]
    errors = [invalid(path, "", "field can not be empty.")] if "" in parameters else []
    if sum(size(key) + size(value) for key, value in parameters.items()) > LONGEST_PARAMETERS:
        errors.append(too_long(path, LONGEST_PARAMETERS))
    return errors


def validate_attributes_class(obj: VolumeAttributesClass) -> Sequence[FieldError]:
    """Whose, and what."""
    errors = validate_provisioner("driverName", obj.driverName) + validate_parameters("parameters", obj.parameters)
    if not obj.parameters:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    return errors


def validate_attributes_class_update(new: VolumeAttributesClass, old: VolumeAttributesClass) -> Sequence[FieldError]:
    """It is given for good."""
    fixed = ("driverName", "parameters")
    changed = (name for name in fixed if getattr(new, name) != getattr(old, name))
    return [forbidden(name, f"updates to {name} are forbidden.") for name in changed]


def validate_attachment(obj: VolumeAttachment) -> Sequence[FieldError]:
    """By whom, what, where, and how it went."""
    spec, status = obj.spec, obj.status
    errors = validate_driver("spec.attacher", spec.attacher) + _validate_source("spec.source", spec.source)
    errors += each("spec.nodeName", spec.nodeName, dns_subdomain(spec.nodeName))
    if sum(size(key) + size(value) for key, value in status.attachmentMetadata.items()) > _LONGEST_METADATA:
        errors.append(too_long("status.attachmentMetadata", _LONGEST_METADATA))
    errors += _validate_error("status.attachError", status.attachError)
    errors += _validate_error("status.detachError", status.detachError)
    name = spec.source.persistentVolumeName
    return errors + ([] if name is None else each("spec.source.persistentVolumeName", name, dns_subdomain(name)))


def _validate_source(path: str, source: VolumeAttachmentSource) -> list[FieldError]:
    name, inline = source.persistentVolumeName, source.inlineVolumeSpec
    if name is None and inline is None:
        return [required(path, _ONE_SOURCE)]
    if name is not None and inline is not None:
        return [forbidden(path, _ONE_SOURCE)]
    if name == "":
        return [required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")]
    if inline is not None and inline.csi is None:
        return [required(f"{path}.inlineVolumeSpec.csi", "has to be specified in the context of inline volumes")]
    return []


def _validate_error(path: str, error: VolumeError | None) -> list[FieldError]:
    if error is None:
        return []
    errors = [too_long(f"{path}.message", _LONGEST_MESSAGE)] if size(error.message) > _LONGEST_MESSAGE else []
    if error.errorCode is not None and error.errorCode < 0:
        errors.append(invalid(f"{path}.errorCode", error.errorCode, "must be between 0 and 2147483647, inclusive"))
    return errors


def validate_attachment_update(new: VolumeAttachment, old: VolumeAttachment) -> Sequence[FieldError]:
    """What is attached to where is given for good."""
    return unchanged("spec", new.spec, old.spec)


def validate_csi_driver(obj: CSIDriver) -> Sequence[FieldError]:
    """What a driver says of itself."""
    spec = obj.spec
    errors: list[FieldError] = []
    named = (("attachRequired", "attachedRequired"), ("podInfoOnMount",) * 2, ("storageCapacity",) * 2)
    errors += [required(f"spec.{shown}") for name, shown in named if getattr(spec, name) is None]
    if spec.fsGroupPolicy is not None:
        errors += one_of("spec.fsGroupPolicy", spec.fsGroupPolicy, _POLICIES)
    errors += _validate_tokens("spec.tokenRequests", spec.tokenRequests)
    for mode in spec.volumeLifecycleModes:
        errors += one_of("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral"))
    if spec.seLinuxMount is None:
        errors.append(required("spec.seLinuxMount"))
    period = spec.nodeAllocatableUpdatePeriodSeconds
    if period is not None and period < _SHORTEST_PERIOD:
        text = "must be greater than or equal to 10 seconds"
        errors.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, text))
    if spec.serviceAccountTokenInSecrets is not None and not spec.tokenRequests:
        text = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        errors.append(invalid("spec.serviceAccountTokenInSecrets", spec.serviceAccountTokenInSecrets, text))
    return errors


def _validate_tokens(path: str, requests: Sequence[TokenRequest]) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, request in enumerate(requests):
        here, seconds = f"{path}[{index}]", request.expirationSeconds
        if request.audience in seen:
            errors.append(duplicate(f"{here}.audience", request.audience))
            continue
        seen.add(request.audience)
        if seconds is not None and seconds < _SHORTEST_TOKEN:
            text = "may not specify a duration less than 10 minutes"
            errors.append(invalid(f"{here}.expirationSeconds", seconds, text))
        if seconds is not None and seconds > _LONGEST_TOKEN:
            text = "may not specify a duration larger than 2^32 seconds"
            errors.append(invalid(f"{here}.expirationSeconds", seconds, text))
    return errors


def validate_csi_driver_update(new: CSIDriver, old: CSIDriver) -> Sequence[FieldError]:
    """Whether it attaches, and which volumes it makes, stays."""
    errors = immutable("spec.attachedRequired", new.spec.attachRequired, old.spec.attachRequired)
    modes = new.spec.volumeLifecycleModes, old.spec.volumeLifecycleModes
    return errors + immutable("spec.volumeLifecycleModes", *modes)


def validate_csi_node(obj: CSINode) -> Sequence[FieldError]:
    """The drivers of a node, each once."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, driver in enumerate(obj.spec.drivers):
        path = f"spec.drivers[{index}]"
        errors += _validate_node_driver(path, driver)
        if driver.name in seen:
            errors.append(duplicate(f"{path}.name", driver.name))
        seen.add(driver.name)
    return errors


def _validate_node_driver(path: str, driver: CSINodeDriver) -> list[FieldError]:
    errors = validate_driver(f"{path}.name", driver.name)
    if not driver.nodeID:
        errors.append(required(f"{path}.nodeID"))
    if size(driver.nodeID) > _LONGEST_NODE_ID:
        text = f"must be {_LONGEST_NODE_ID} characters or less"
        errors.append(invalid(f"{path}.nodeID", driver.nodeID, text))
    if driver.allocatable is not None:
        errors += non_negative(f"{path}.allocatable.count", driver.allocatable.count)
    for index, key in enumerate(driver.topologyKeys):
        errors += [] if key else [required(path)]
        errors += [duplicate(path, key)] if key in driver.topologyKeys[:index] else []
        errors += each(path, key, qualified_name(key))
    return errors


def validate_csi_node_update(new: CSINode, old: CSINode) -> Sequence[FieldError]:
    """What a driver is called on the node stays while it is there; how much fits may change."""
    now, before = ([structs.replace(one, allocatable=None) for one in obj.spec.drivers] for obj in (new, old))
    same = ((one, other) for one in before for other in now if one.name == other.name)
    return [error for one, other in same for error in immutable("spec.drivers", other, one)]


def validate_capacity(obj: CSIStorageCapacity) -> Sequence[FieldError]:
    """Of which class, where, and how much."""
    errors = validate_label_selector(obj.nodeTopology, "nodeTopology")
    errors += each("storageClassName", obj.storageClassName, dns_subdomain(obj.storageClassName))
    if obj.capacity is not None and obj.capacity.exact() < 0:
        errors.append(invalid("capacity", str(obj.capacity), NEGATIVE))
    return errors


def validate_capacity_update(new: CSIStorageCapacity, old: CSIStorageCapacity) -> Sequence[FieldError]:
    """Of what it is the capacity stays."""
    errors = immutable("nodeTopology", new.nodeTopology, old.nodeTopology)
    return errors + immutable("storageClassName", new.storageClassName, old.storageClassName)
