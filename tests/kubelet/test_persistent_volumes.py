"""Volumes that outlive their pods: which claims a pod may use, what is mounted, and that nothing but mounts goes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.container import Container, VolumeDevice, VolumeMount
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.security import PodSecurityContext
from kijabi.api.core.volume import EphemeralVolumeSource, PersistentVolumeClaimVolumeSource, Volume
from kijabi.api.meta import OwnerReference
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.references import Ref
from kijabi.kubelet.volumes.files import LocalFiles
from kijabi.kubelet.volumes.persistent import Persistent
from tests.kubelet.things import c
from tests.kubelet.things import pod as make_pod
from tests.kubelet.world import World, play, running

CLAIM: dict[str, Any] = {
    "metadata": {"name": "data", "namespace": "ns", "uid": "c1"},
    "spec": {"volumeName": "pv"},
    "status": {"phase": "Bound"},
}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def claim(**more: Any) -> PersistentVolumeClaim:
    return codec.from_builtins(PersistentVolumeClaim, {**CLAIM, **more})


def pv(name: str = "pv", uid: str = "c1", **spec: Any) -> PersistentVolume:
    ref = {"namespace": "ns", "name": "data", "uid": uid}
    given = {"claimRef": ref, "volumeMode": "Filesystem", "accessModes": ["ReadWriteOnce"], **spec}
    return codec.from_builtins(PersistentVolume, {"metadata": {"name": name}, "spec": given})


def pod(uid: str = "u1", *, read_only: bool = False, group: int | None = None, device: bool = False) -> Pod:
    source = PersistentVolumeClaimVolumeSource(claimName="data", readOnly=read_only)
    used: dict[str, Any] = {"volumeMounts": (VolumeMount(name="v", mountPath="/data"),)}
    if device:
        used = {"volumeDevices": (VolumeDevice(name="v", devicePath="/dev/x"),)}
    made = make_pod(c(**used), volumes=(Volume(name="v", persistentVolumeClaim=source),))
    made.metadata.uid = uid
    if group is not None:
        made.spec.securityContext = PodSecurityContext(fsGroup=group)
    return made


class Known:
    """References to what is given; and Reports."""

    def __init__(self, *objects: PersistentVolumeClaim | PersistentVolume) -> None:
        self.objects = {(type(each), each.metadata.name): each for each in objects}
        self.said: list[str] = []

    async def get(self, ref: Ref) -> Any:
        return self.objects.get((PersistentVolumeClaim if ref.kind == "claim" else PersistentVolume, ref.name))

    def pod(self, pod: Pod, type: str, reason: str, message: str) -> None:
        self.said.append(f"{type} {reason} {message}")


def persistent(root: Path, *objects: PersistentVolumeClaim | PersistentVolume) -> tuple[Persistent, Known]:
    known = Known(*objects)
    made = Persistent(LocalFiles(), known, known, lambda: {"zone": "a"}, str(root))  # type: ignore[arg-type]
    return made, known


UNREADY = "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], "
UNREADY += "failed to process volumes=[v]: "
OF_CLAIM = f"{UNREADY}error processing PVC ns/data: "


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ((), f'{OF_CLAIM}failed to fetch PVC from API server: persistentvolumeclaims "data" not found'),
        ((claim(status={"phase": "Pending"}),), f"{OF_CLAIM}PVC is not bound"),
        ((claim(spec={}),), f"{OF_CLAIM}PVC has empty pvc.Spec.VolumeName"),
        (
            (claim(metadata={**CLAIM["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}),),
            f"{OF_CLAIM}PVC is being deleted",
        ),
        (
            (claim(),),
            f'{OF_CLAIM}failed to fetch PV pv from API server: persistentvolumes "pv" not found',
        ),
        (
            (claim(), pv(claimRef=None)),
            f"{OF_CLAIM}found PV object pv but it has a nil pv.Spec.ClaimRef "
            "indicating it is not yet bound to the claim",
        ),
        (
            (claim(), pv(uid="c2")),
            f"{OF_CLAIM}found PV object pv but its pv.Spec.ClaimRef.UID c2 does not point to claim.UID c1",
        ),
        (
            (claim(), pv(volumeMode="Block")),
            f"{UNREADY}volume v has volumeMode Block, but is specified in volumeMounts",
        ),
        (
            (claim(), pv(local={"path": "/x"}, nodeAffinity={"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]}})),
            'MountVolume.NodeAffinity check failed for volume "pv" : no matching NodeSelectorTerms',
        ),
        (
            (claim(), pv(hostPath={"path": "/x"}, mountOptions=["ro"])),
            'MountVolume.MountOptionSupport check failed for volume "pv" : '
            "mount options are not supported for this volume type",
        ),
        (
            (claim(), pv(hostPath={"path": "/no/such", "type": "Directory"})),
            'MountVolume.SetUp failed for volume "pv" : hostPath type check failed: /no/such is not a directory',
        ),
        (
            (claim(), pv(quobyte={"registry": "r", "volume": "v"})),
            'MountVolume.FindPluginBySpec failed for volume "pv" : no volume plugin matched',
        ),
    ],
)  # fmt: skip
async def test_why_a_volume_is_not_mounted(tmp_path: Path, objects: tuple[Any, ...], said: str) -> None:
    made, _ = persistent(tmp_path, *objects)
    with pytest.raises(VolumeProblem) as caught:
        await made.setup(pod(), pod().spec.volumes[0])
    assert caught.value.said == said
    assert made.place("u1", "v") is None


async def test_a_claim_is_used_while_it_is_protected(tmp_path: Path) -> None:
    meta = {**CLAIM["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
    guarded = claim(metadata={**meta, "finalizers": ["kubernetes.io/pvc-protection"]})
    made, _ = persistent(tmp_path, guarded, pv(hostPath={"path": "/"}))
    await made.setup(pod(read_only=True), pod(read_only=True).spec.volumes[0])
    place = made.place("u1", "v")
    assert place is not None
    assert (place.path, place.read_only, place.volume) == ("/", True, "pv")


async def test_an_ephemeral_volume_is_of_its_pod(tmp_path: Path) -> None:
    given = pod()
    given.spec.volumes = (Volume(name="v", ephemeral=EphemeralVolumeSource()),)
    owned = claim(metadata={**CLAIM["metadata"], "name": "web-v"})
    made, _ = persistent(tmp_path, owned, pv(hostPath={"path": "/"}))
    with pytest.raises(VolumeProblem) as caught:
        await made.setup(given, given.spec.volumes[0])
    assert caught.value.message == "PVC ns/web-v was not created for pod ns/web (pod is not owner)"
    owner = OwnerReference(apiVersion="v1", kind="Pod", name="web", uid="u1", controller=True)
    owned.metadata.ownerReferences = (owner,)
    await made.setup(given, given.spec.volumes[0])
    assert made.place("u1", "v") is not None


@needs_root
async def test_a_local_volume_from_mount_to_unmount(tmp_path: Path) -> None:
    disk, pods = tmp_path / "disk", tmp_path / "pods"
    disk.mkdir()
    (disk / "kept").write_text("data")
    made, _ = persistent(pods, claim(), pv(local={"path": str(disk)}))
    given = pod(group=2000)
    await made.setup(given, given.spec.volumes[0])
    await made.setup(given, given.spec.volumes[0])
    place = made.place("u1", "v")
    assert place is not None
    path = pods / "u1" / "volumes" / "kubernetes.io~local-volume" / "pv"
    assert place.path == str(path)
    assert (path / "kept").read_text() == "data"
    for owned in (disk, disk / "kept"):
        assert os.stat(owned).st_gid == 2000
    assert stat.S_IMODE(os.stat(disk).st_mode) & 0o2770 == 0o2770
    # Another kubelet, after a crash, knows of nothing and finds the mount.
    after, _ = persistent(pods, claim(), pv(local={"path": str(disk)}))
    await after.setup(given, given.spec.volumes[0])
    assert mounts_below(pods) == [place.path]
    await after.release("u1")
    await after.release("u1")
    assert mounts_below(pods) == []
    assert not path.exists()
    assert (disk / "kept").read_text() == "data"


def mounts_below(path: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(str(path))]


@needs_root
async def test_what_is_not_a_mount_is_not_deleted(tmp_path: Path) -> None:
    """Should a mount have been taken away by somebody, files may lie in its directory: they stay."""
    made, _ = persistent(tmp_path)
    stray = tmp_path / "u1" / "volumes" / "kubernetes.io~local-volume" / "pv"
    stray.mkdir(parents=True)
    (stray / "file").write_text("whose?")
    with pytest.raises(OSError, match="not empty"):
        await made.release("u1")
    assert (stray / "file").read_text() == "whose?"


@needs_root
async def test_mount_options_and_what_mount_says(tmp_path: Path) -> None:
    disk, pods = tmp_path / "disk", tmp_path / "pods"
    disk.mkdir()
    made, known = persistent(pods, claim(), pv(local={"path": str(disk)}, mountOptions=["noexec"]))
    await made.setup(pod(), pod().spec.volumes[0])
    try:
        assert os.statvfs(f"{pods}/u1/volumes/kubernetes.io~local-volume/pv").f_flag & os.ST_NOEXEC
    finally:
        await made.release("u1")
    known.objects[PersistentVolume, "pv"] = pv(local={"path": "/no/such/disk"})
    with pytest.raises(VolumeProblem, match="/no/such/disk") as caught:
        await made.setup(pod(), pod().spec.volumes[0])
    assert caught.value.volume == "pv"
    assert mounts_below(pods) == []


@needs_root
async def test_two_pods_with_one_volume(tmp_path: Path) -> None:
    disk, pods = tmp_path / "disk", tmp_path / "pods"
    disk.mkdir()
    made, known = persistent(pods, claim(), pv(local={"path": str(disk)}))
    first, second = pod("u1", group=2000), pod("u2", group=3000)
    try:
        await made.setup(first, first.spec.volumes[0])
        await made.setup(second, second.spec.volumes[0])
        assert os.stat(disk).st_gid == 2000
        text = "The requested fsGroup is 3000, but the volume pv has GID 2000. The volume may not be shareable."
        assert known.said == [f"Warning AlreadyMountedVolume {text}"]
        known.objects[PersistentVolume, "pv"] = pv(local={"path": str(disk)}, accessModes=["ReadWriteOncePod"])
        third = pod("u3")
        with pytest.raises(VolumeProblem, match="ReadWriteOncePod access mode and is already in use by another pod"):
            await made.setup(third, third.spec.volumes[0])
    finally:
        for uid in ("u1", "u2", "u3"):
            await made.release(uid)


@needs_root
async def test_a_block_device(tmp_path: Path) -> None:
    device = tmp_path / "sdx"
    os.mknod(device, 0o600 | stat.S_IFBLK, os.makedev(7, 200))
    made, known = persistent(tmp_path / "pods", claim(), pv(local={"path": str(device)}, volumeMode="Block"))
    given = pod(device=True)
    await made.setup(given, given.spec.volumes[0])
    place = made.place("u1", "v")
    assert place is not None
    assert (place.path, place.device) == (str(device), True)
    known.objects[PersistentVolume, "pv"] = pv(local={"path": str(tmp_path)}, volumeMode="Block")
    other = pod("u2", device=True)
    with pytest.raises(VolumeProblem, match="is not a block device"):
        await made.setup(other, other.spec.volumes[0])


def test_a_pod_waits_for_its_claim_and_starts_when_it_is_bound() -> None:
    async def scene(world: World) -> None:
        wanted = claim(metadata={"name": "data", "namespace": "default"}, spec=SPEC, status={})
        made = await world.client.create(wanted)
        mount = VolumeMount(name="v", mountPath="/data")
        source = PersistentVolumeClaimVolumeSource(claimName="data")
        await world.create(
            Container(name="c", image="app:1", volumeMounts=(mount,)),
            volumes=(Volume(name="v", persistentVolumeClaim=source),),
        )
        await world.until(lambda p: p.status.phase == "Pending" and p.status.startTime is not None)
        volume = pv("pv-1", made.metadata.uid, hostPath={"path": "/x"}, capacity={"storage": "1Gi"})
        assert volume.spec.claimRef is not None
        volume.spec.claimRef.namespace = "default"
        await world.client.create(volume)
        asked = len(world.transport.requests)
        await world.client.patch(PersistentVolumeClaim, "data", {"spec": {"volumeName": "pv-1"}}, namespace="default")
        status = {"status": {"phase": "Bound"}}
        await world.client.patch(PersistentVolumeClaim, "data", status, namespace="default", subresource="status")
        await world.until(running)
        assert "/api/v1/persistentvolumes/pv-1" in [path for _, path, _ in world.transport.requests[asked:]]
        assert any(
            reason == "FailedMount" and text.endswith("error processing PVC default/data: PVC is not bound")
            for reason, text in await world.events()
        )

    play(scene)


SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
