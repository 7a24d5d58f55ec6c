"""What is done with a volume whose claim has gone, by its reclaim policy; pure.

Retain leaves it to people; Recycle empties it by a pod (`recycling.py`) for the next claim; Delete is the work of the
provisioner that made it, who watches for Released volumes (k8s.io/kubernetes
`pkg/controller/volume/persistentvolume`, reclaimVolume).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.gotext import quote
from kijabi.api.storage.matching import MIGRATED_TO, PROVISIONED_BY
from kijabi.api.storage.migration import OWN
from kijabi.controllers.persistentvolume.plan import Note, failed
from kijabi.controllers.persistentvolume.provisioning import HOST_PATH, NFS

_NO_DELETER = "no deletable volume plugin matched"


class Reclaim(NamedTuple):
    """How the volume shall be, what to tell, and whether a pod is to empty it."""

    volume: PersistentVolume
    notes: tuple[Note, ...] = ()
    recycle: bool = False


def reclaim(volume: PersistentVolume, users: Sequence[str]) -> Reclaim:
    """What comes next for a Released (or Failed) volume.

    users: pods that still run with the claim's name, `namespace/name`, if there is no claim of that name any more.
    """
    policy = volume.spec.persistentVolumeReclaimPolicy
    if volume.metadata.annotations.get(MIGRATED_TO) or policy == "Retain":
        return Reclaim(volume)
    if policy == "Delete":
        why = _undeletable(volume)
        return _failure(volume, "VolumeFailedDelete", why) if why else Reclaim(volume)
    if policy != "Recycle":
        text = "Volume has unrecognized PersistentVolumeReclaimPolicy"
        return _failure(volume, "VolumeUnknownReclaimPolicy", text)
    if users:
        note = Note(volume, "Normal", "VolumeFailedRecycle", f"Volume is used by pods: {','.join(sorted(users))}")
        return Reclaim(volume, (note,))
    if volume.spec.hostPath is None and volume.spec.nfs is None:
        return _failure(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!")
    return Reclaim(volume, recycle=True)


def _failure(volume: PersistentVolume, reason: str, message: str) -> Reclaim:
    """Told when the volume becomes Failed, and not again."""
    notes = () if volume.status.phase == "Failed" else (Note(volume, "Warning", reason, message),)
    return Reclaim(failed(volume, message), notes)


def _undeletable(volume: PersistentVolume) -> str:
    """Why nobody deletes the volume; empty if a provisioner is to."""
    provisioner = volume.metadata.annotations.get(PROVISIONED_BY, "")
    if provisioner:
        if not provisioner.startswith(OWN):
            return ""
        if provisioner not in (HOST_PATH, NFS):
            return f"no volume plugin matched name: {provisioner}"
        return _NO_DELETER if provisioner == NFS else _host_path(volume)
    if volume.spec.csi is not None:
        return ""
    if volume.spec.hostPath is not None:
        return _host_path(volume)
    why = _NO_DELETER if volume.spec.nfs is not None else "no volume plugin matched"
    return f"error getting deleter volume plugin for volume {quote(volume.metadata.name)}: {why}"


def _host_path(volume: PersistentVolume) -> str:
    """Directories of nodes are not the controllers' to delete; upstream does, below /tmp of its own machine."""
    source = volume.spec.hostPath
    if source is None:
        name = quote(volume.metadata.name)
        return f"failed to create deleter for volume {name}: spec.PersistentVolumeSource.HostPath is nil"
    return f"host_path deleter only supports /tmp/.+ but received provided {source.path}"
