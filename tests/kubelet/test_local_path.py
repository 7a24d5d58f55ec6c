"""Volumes that are directories of a node: what claims get, why not, and what happens on the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.meta import Time
from kijabi.api.quantity import Quantity
from kijabi.api.storage.storageclass import StorageClass
from kijabi.kubelet.localpath import growth
from kijabi.kubelet.localpath.disk import Directories
from kijabi.kubelet.localpath.plan import fate, refusal, shortage, volume_for, wants

UID = "01234567-89ab-cdef-0123-456789abcdef"
NAME = f"pvc-{UID}"
NOTES = {"volume.kubernetes.io/storage-provisioner": "kijabi.dev/local-path"}
LABELS = {"kubernetes.io/hostname": "n1", "zone": "a"}


def claim(name: str = "data", node: str = "n1", size: str = "1Gi", **spec: Any) -> PersistentVolumeClaim:
    notes = {**NOTES, "volume.kubernetes.io/selected-node": node} if node else NOTES
    given = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "local-path",
        "resources": {"requests": {"storage": size}}, **spec,
    }  # fmt: skip
    meta = {"name": name, "namespace": "default", "uid": UID, "annotations": notes}
    return codec.from_builtins(PersistentVolumeClaim, {"metadata": meta, "spec": given})


def storage_class(**more: Any) -> StorageClass:
    given = {"provisioner": "kijabi.dev/local-path", "volumeBindingMode": "WaitForFirstConsumer", **more}
    return codec.from_builtins(StorageClass, {"metadata": {"name": "local-path"}, **given})


def volume(phase: str = "Bound", policy: str = "Delete", *, going: bool = False) -> PersistentVolume:
    made = volume_for(claim(), storage_class(reclaimPolicy=policy), "n1", LABELS, f"/d/{NAME}")
    made.status.phase = phase
    if going:
        made.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    return made


def has(volume: PersistentVolume, asked: str, given: str = "1Gi") -> PersistentVolumeClaim:
    """A claim that is bound to a volume."""
    made = claim(size=asked, volumeName=volume.metadata.name)
    made.status.phase, made.status.capacity = "Bound", {"storage": Quantity(given)}
    return made


# Plans


def test_which_claims_wait() -> None:
    assert wants(claim())
    assert not wants(claim(volumeName="pv"))
    other = claim()
    other.metadata.annotations = {"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}
    assert not wants(other)
    gone = claim()
    gone.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    assert not wants(gone)


def test_the_volume_of_a_claim() -> None:
    made = volume_for(claim(), storage_class(mountOptions=["noatime"], reclaimPolicy="Retain"), "n1", LABELS, "/d/x")
    assert codec.to_builtins(made)["metadata"] == {
        "name": NAME,
        "labels": {"kijabi.dev/local-path-node": "n1"},
        "annotations": {"pv.kubernetes.io/provisioned-by": "kijabi.dev/local-path"},
        "finalizers": ["kijabi.dev/local-path"],
    }
    affinity = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}]
    assert codec.to_builtins(made)["spec"] == {
        "capacity": {"storage": "1Gi"},
        "local": {"path": "/d/x"},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {
            "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "default", "name": "data", "uid": UID,
        },
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "local-path",
        "mountOptions": ["noatime"],
        "volumeMode": "Filesystem",
        "nodeAffinity": {"required": {"nodeSelectorTerms": affinity}},
    }  # fmt: skip


def test_what_grows_and_how_far() -> None:
    ours = volume()
    assert growth.target(ours, has(ours, "1Gi")) is None
    assert growth.target(ours, has(ours, "3Gi")) == Quantity("3Gi")
    assert growth.target(volume(going=True), has(ours, "3Gi")) is None
    waits = has(ours, "3Gi")
    waits.status.phase = "Pending"
    assert growth.target(ours, waits) is None
    elsewhere = has(ours, "3Gi")
    elsewhere.spec.volumeName = "other"
    assert growth.target(ours, elsewhere) is None
    ours.spec.capacity = {"storage": Quantity("5Gi")}  # It grew, and then less was asked for.
    assert growth.target(ours, has(ours, "3Gi")) == Quantity("5Gi")


def test_growing_is_allocated_then_done() -> None:
    ours = volume()
    asked, size = has(ours, "3Gi"), Quantity("3Gi")
    marked = growth.begun(asked, size)
    assert [(one.type, one.status) for one in marked.status.conditions] == [("Resizing", "True")]
    assert marked.status.allocatedResources == {"storage": size}
    assert marked.status.allocatedResourceStatuses == {"storage": "ControllerResizeInProgress"}
    assert marked.status.capacity == {"storage": Quantity("1Gi")}
    assert growth.begun(marked, size) == marked, "said once"
    grown = growth.done(marked, size)
    assert grown.status.capacity == {"storage": size}
    assert (grown.status.conditions, grown.status.allocatedResourceStatuses) == ((), {})
    assert not growth.grows(grown)


def test_growth_that_the_disk_has_no_room_for() -> None:
    ours = volume()
    asked, size = has(ours, "3Gi"), Quantity("3Gi")
    assert growth.lack(ours, size, 2 << 30) == ""
    why = growth.lack(ours, size, 1 << 30)
    assert why == "the claim asks for 2Gi more, and the disk of the node has 1024Mi free"
    marked = growth.refused(ours, growth.begun(asked, size), why)
    assert [(one.type, one.message) for one in marked.status.conditions] == [("ControllerResizeError", why)]
    assert marked.status.allocatedResources == {"storage": Quantity("1Gi")}
    assert marked.status.allocatedResourceStatuses == {"storage": "ControllerResizeInfeasible"}
    assert growth.done(marked, size).status.conditions == ()


def test_only_who_asks_for_another_size_is_looked_at() -> None:
    ours = volume()
    asked = has(ours, "3Gi")
    assert growth.asks(None, asked)
    assert growth.asks(has(ours, "1Gi"), asked)
    assert growth.asks(has(ours, "2Gi"), asked)
    assert not growth.asks(asked, growth.begun(asked, Quantity("3Gi")))
    assert not growth.asks(asked, has(ours, "3Gi", given="3Gi"))


def test_what_is_refused() -> None:
    assert refusal(claim(), storage_class(), LABELS) == ""
    for spec, text in (
        ({"volumeMode": "Block"}, "volumeMode Block is not supported"),
        ({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}, "not ReadWriteMany"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "claim.Spec.Selector is not supported"),
        ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}}, "claim.Spec.DataSource is not supported"),
        ({"volumeAttributesClassName": "gold"}, "VolumeAttributesClassName is not supported"),
    ):
        assert text in refusal(claim(**spec), storage_class(), LABELS)
    assert "unknown parameters of the class: path" in refusal(claim(), storage_class(parameters={"path": "/x"}), LABELS)
    topology = [{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}]
    assert "allowed topologies" in refusal(claim(), storage_class(allowedTopologies=topology), LABELS)
    topology[0]["matchLabelExpressions"][0]["values"] = ["a"]
    assert refusal(claim(), storage_class(allowedTopologies=topology), LABELS) == ""
    assert "no label kubernetes.io/hostname" in refusal(claim(), storage_class(), {})


def test_room() -> None:
    assert shortage(claim(size="1Gi"), 1 << 30) == ""
    assert shortage(claim(size="2Gi"), 1 << 30) == ("the claim asks for 2Gi, and the disk of the node has 1024Mi free")


@pytest.mark.parametrize(
    ("given", "holder", "expected"),
    [
        (volume(), claim(volumeName=NAME), "keep"),
        (volume("Pending"), claim(), "keep"),
        (volume("Pending"), None, "keep"),  # the binder has not looked at it yet
        (volume("Released"), None, "delete"),
        (volume("Failed"), None, "delete"),
        (volume("Released"), claim(volumeName=NAME), "keep"),  # a cache that lags must not cost data
        (volume("Released"), claim(volumeName="other"), "delete"),
        (volume("Bound", going=True), claim(volumeName=NAME), "keep"),
        (volume("Bound", going=True), None, "delete"),
        (volume("Pending", going=True), claim(), "delete"),  # the claim never had it, and waits for another
        (volume("Pending", "Retain", going=True), claim(), "let go"),
        (volume("Pending", going=True), claim(volumeName=NAME), "keep"),
        (volume("Bound", going=True), claim(), "keep"),  # the claim is about to have it
        (volume("Released", "Retain"), None, "keep"),
        (volume("Released", "Retain", going=True), None, "let go"),
        (volume("Bound", "Retain", going=True), None, "keep"),
        (volume("Released", "Recycle"), None, "keep"),
    ],
)
def test_fate(given: PersistentVolume, holder: PersistentVolumeClaim | None, expected: str) -> None:
    assert fate(given, holder) == expected


def test_a_claim_of_the_same_name_is_another() -> None:
    other = claim(volumeName="x")
    other.metadata.uid = "fedcba98-89ab-cdef-0123-456789abcdef"
    assert fate(volume("Released"), other) == "delete"


# The disk


async def test_directories(tmp_path: Path) -> None:
    root = tmp_path / "volumes"
    disk = Directories(root)
    assert await disk.names() == ()
    assert disk.free() > 0
    await disk.make(NAME)
    await disk.make(NAME)
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(root / NAME).st_mode) == 0o777
    assert await disk.names() == (NAME,)
    (root / NAME / "deep").mkdir()
    (root / NAME / "deep" / "file").write_text("x")
    (root / NAME / "link").symlink_to(tmp_path)
    (tmp_path / "bystander").write_text("mine")
    await disk.discard(NAME)
    assert (root / NAME / "deep" / "file").exists()
    await disk.remove(NAME)
    await disk.remove(NAME)
    assert os.listdir(root) == []
    assert (tmp_path / "bystander").read_text() == "mine"
    await disk.make(NAME)
    await disk.discard(NAME)
    await disk.discard(NAME)
    assert os.listdir(root) == []


@pytest.mark.parametrize("name", ["", ".", "..", "pvc-1", f"../{NAME}", f"{NAME}/..", f"{NAME}x", "lost+found"])
async def test_only_names_of_volumes(tmp_path: Path, name: str) -> None:
    disk = Directories(tmp_path / "volumes")
    for call in (disk.make, disk.remove, disk.discard):
        with pytest.raises(ValueError, match="is not the name of a volume"):
            await call(name)


async def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    for name in ("lost+found", "backup", ".deleted-backup", "pvc-mine"):
        (tmp_path / name).mkdir()
    assert await Directories(tmp_path).names() == ()
    assert len(os.listdir(tmp_path)) == 4


async def test_a_deletion_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    half = tmp_path / f".deleted-{NAME}"
    half.mkdir()
    (half / "rest").write_text("x")
    assert await Directories(tmp_path).names() == ()
    assert os.listdir(tmp_path) == []
    half.mkdir()
    await Directories(tmp_path).remove(NAME)
    assert os.listdir(tmp_path) == []
