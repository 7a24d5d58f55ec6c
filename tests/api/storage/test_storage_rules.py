"""What volumes, drivers, nodes' drivers, capacities, attribute classes and attachments must be."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import catalog, codec, defaults
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolume_rules import prepare_status
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.meta import Time
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.api.storage.volumeattributesclass import VolumeAttributesClass

DISK = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
HERE = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}
ATTACHED = {"attacher": "d.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
CSI = {"driver": "d", "volumeHandle": "h"}
ERROR = {"time": None, "message": "x" * 1025}
WANTED = {"accessModes": ["ReadWriteOnce"]}
TOKENS = [{"audience": "a", "expirationSeconds": 1}, {"audience": "a"}, {"audience": "b", "expirationSeconds": 2**33}]
NODE = {"drivers": [{"name": "d", "nodeID": "", "topologyKeys": ["a", "a"]}, {"name": "d", "nodeID": "x" * 257}]}


def obj(cls: type[Any], **fields: Any) -> Any:
    """An object with defaults."""
    made = codec.from_builtins(cls, {"metadata": {"name": "x", **fields.pop("metadata", {})}, **fields})
    defaults.apply(made)
    return made


def wrong(new: Any, old: Any | None = None) -> set[str]:
    """The fields of which something is wrong."""
    resource = catalog.by_type(type(new))
    return {error.field for error in (resource.validate(new) if old is None else resource.validate_update(new, old))}


@pytest.mark.parametrize(
    ("made", "fields"),
    [
        (obj(PersistentVolume, spec={**DISK, "local": {"path": "/x"}, "nodeAffinity": HERE}), set()),
        (obj(PersistentVolume, spec={**DISK, "local": {"path": "/x"}}), {"spec.nodeAffinity"}),
        (obj(PersistentVolume, spec={**DISK, "local": {"path": "/../x"}, "nodeAffinity": HERE}), {"spec.local.path"}),
        (obj(PersistentVolume, spec={**DISK, "gcePersistentDisk": {"pdName": ""}}), {"spec.persistentDisk.pdName"}),
        (obj(PersistentVolume, spec={**DISK, "fc": {"wwids": ["w"]}}), set()),
        (obj(PersistentVolume, spec={**DISK, "fc": {}}), {"spec.fc.targetWWNs"}),
        (obj(PersistentVolume, spec={**DISK, "fc": {"targetWWNs": ["a"]}}), {"spec.fc.lun"}),
        (obj(PersistentVolume, spec={**DISK, "fc": {"targetWWNs": ["a"], "lun": 256}}), {"spec.fc.lun"}),
        (obj(PersistentVolume, spec={**DISK, "csi": CSI, "hostPath": {"path": "/x"}}), {"spec.csi"}),
        (obj(VolumeAttachment, spec=ATTACHED), set()),
        (obj(VolumeAttachment, spec={**ATTACHED, "source": {}}), {"spec.source"}),
        (
            obj(VolumeAttachment, spec={**ATTACHED, "nodeName": "N_1", "attacher": ""}),
            {"spec.nodeName", "spec.attacher"},
        ),
        (
            obj(VolumeAttachment, spec=ATTACHED, status={"attached": False, "attachError": ERROR}),
            {"status.attachError.message"},
        ),
        (obj(CSIDriver, spec={}), set()),
        (obj(CSIDriver, spec={"fsGroupPolicy": "No"}), {"spec.fsGroupPolicy"}),
        (obj(CSIDriver, spec={"volumeLifecycleModes": ["Never"]}), {"spec.volumeLifecycleModes"}),
        (obj(CSIDriver, spec={"serviceAccountTokenInSecrets": True}), {"spec.serviceAccountTokenInSecrets"}),
        (
            obj(CSIDriver, spec={"tokenRequests": TOKENS}),
            {
                "spec.tokenRequests[0].expirationSeconds",
                "spec.tokenRequests[1].audience",
                "spec.tokenRequests[2].expirationSeconds",
            },
        ),
        (
            obj(CSINode, spec=NODE),
            {"spec.drivers[0].nodeID", "spec.drivers[0]", "spec.drivers[1].nodeID", "spec.drivers[1].name"},
        ),
        (obj(CSIStorageCapacity, storageClassName="fast", capacity="1Gi"), set()),
        (obj(CSIStorageCapacity, storageClassName="Fast!", capacity="-1"), {"storageClassName", "capacity"}),
        (obj(VolumeAttributesClass, driverName="d", parameters={"a": "b"}), set()),
        (obj(VolumeAttributesClass, driverName="d"), {"parameters"}),
        (obj(VolumeAttributesClass, driverName="", parameters={"": "b"}), {"driverName", "parameters"}),
    ],
)
def test_what_is_wrong(made: Any, fields: set[str]) -> None:
    assert wrong(made) == fields


@pytest.mark.parametrize(
    ("new", "old", "fields"),
    [
        (obj(VolumeAttachment, spec={**ATTACHED, "nodeName": "n2"}), obj(VolumeAttachment, spec=ATTACHED), {"spec"}),
        (
            obj(CSIDriver, spec={"attachRequired": False, "volumeLifecycleModes": ["Ephemeral"]}),
            obj(CSIDriver, spec={}),
            {"spec.attachedRequired", "spec.volumeLifecycleModes"},
        ),
        (
            obj(CSINode, spec={"drivers": [{"name": "d", "nodeID": "2", "allocatable": {"count": 2}}]}),
            obj(CSINode, spec={"drivers": [{"name": "d", "nodeID": "1"}, {"name": "e", "nodeID": "1"}]}),
            {"spec.drivers"},
        ),
        (
            obj(CSINode, spec={"drivers": [{"name": "d", "nodeID": "1", "allocatable": {"count": 2}}]}),
            obj(CSINode, spec={"drivers": [{"name": "d", "nodeID": "1"}]}),
            set(),
        ),
        (
            obj(PersistentVolumeClaim, spec=WANTED, status={"phase": "Bound"}),
            obj(PersistentVolumeClaim, spec={**WANTED, "resources": {"requests": {"storage": "1Gi"}}}),
            {"spec", "spec.resources.requests.storage"},
        ),
        (
            obj(CSIStorageCapacity, storageClassName="b"),
            obj(CSIStorageCapacity, storageClassName="a"),
            {"storageClassName"},
        ),
        (
            obj(VolumeAttributesClass, driverName="e", parameters={"a": "c"}),
            obj(VolumeAttributesClass, driverName="d", parameters={"a": "b"}),
            {"driverName", "parameters"},
        ),
    ],
)
def test_what_stays(new: Any, old: Any, fields: set[str]) -> None:
    assert wrong(new, old) == fields


def test_mount_options_of_the_old_kind_are_for_what_a_node_mounts() -> None:
    old_way = {"annotations": {"volume.beta.kubernetes.io/mount-options": "ro"}}
    assert not wrong(obj(PersistentVolume, metadata=old_way, spec={**DISK, "nfs": {"server": "s", "path": "/"}}))
    (path,) = wrong(obj(PersistentVolume, metadata=old_way, spec={**DISK, "hostPath": {"path": "/x"}}))
    assert path == "metadata.annotations.volume.beta.kubernetes.io/mount-options"


def test_a_volume_tells_when_its_phase_changed() -> None:
    then = Time.parse("2025-01-01T00:00:00Z")
    old = obj(PersistentVolume, spec={**DISK, "hostPath": {"path": "/x"}})
    old.status.phase, old.status.lastPhaseTransitionTime = "Pending", then
    same, changed = codec.clone(old), codec.clone(old)
    same.status.lastPhaseTransitionTime = None
    prepare_status(same, old)
    assert same.status.lastPhaseTransitionTime == then
    changed.status.phase = "Available"
    changed.spec.storageClassName = "other"
    prepare_status(changed, old)
    assert changed.status.lastPhaseTransitionTime != then
    assert changed.spec == old.spec
