"""Volumes on a real directory: what containers see, and how it changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.env import ObjectFieldSelector
from kijabi.api.core.pod import Pod
from kijabi.api.core.secret import Secret
from kijabi.api.core.volume import (
    ClusterTrustBundleProjection,
    ConfigMapProjection,
    ConfigMapVolumeSource,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    KeyToPath,
    ProjectedVolumeSource,
    SecretProjection,
    SecretVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.references import Ref
from kijabi.kubelet.volumes import atomic
from kijabi.kubelet.volumes.files import LocalFiles
from kijabi.kubelet.volumes.payload import File, Sources, TokenWanted, payload
from tests.kubelet.things import c, pod

OBJECTS = {
    Ref("configmap", "ns", "cm"): ConfigMap(data={"a": "1", "b": "2"}, binaryData={"z": b"\0"}),
    Ref("secret", "ns", "s"): Secret(data={"p": b"word"}),
}
SOURCES = Sources(objects=OBJECTS, tokens={TokenWanted("", 3600): "tok"})


def shown(volume: Volume, given: Pod | None = None) -> dict[str, tuple[bytes, int]]:
    return {path: (file.data, file.mode) for path, file in payload(given or pod(), volume, SOURCES).items()}


def test_payloads() -> None:
    configmap = ConfigMapVolumeSource(name="cm")
    assert shown(Volume(name="v", configMap=configmap)) == {"a": (b"1", 0o644), "b": (b"2", 0o644), "z": (b"\0", 0o644)}
    items = (KeyToPath(key="a", path="x/y", mode=0o400),)
    picked = ConfigMapVolumeSource(name="cm", items=items, defaultMode=0o600)
    assert shown(Volume(name="v", configMap=picked)) == {"x/y": (b"1", 0o400)}
    secret = SecretVolumeSource(secretName="s", defaultMode=0o440)
    assert shown(Volume(name="v", secret=secret)) == {"p": (b"word", 0o440)}
    optional = SecretVolumeSource(secretName="no", optional=True)
    assert shown(Volume(name="v", secret=optional)) == {}
    name = DownwardAPIVolumeFile(path="n", fieldRef=ObjectFieldSelector(fieldPath="metadata.name"))
    assert shown(Volume(name="v", downwardAPI=DownwardAPIVolumeSource(items=(name,)))) == {"n": (b"web", 0o644)}


def test_projected() -> None:
    sources = (
        VolumeProjection(serviceAccountToken=ServiceAccountTokenProjection(path="token")),
        VolumeProjection(configMap=ConfigMapProjection(name="cm", items=(KeyToPath(key="a", path="ca.crt"),))),
        VolumeProjection(secret=SecretProjection(name="s")),
        VolumeProjection(clusterTrustBundle=ClusterTrustBundleProjection(name="none", path="b", optional=True)),
    )
    volume = Volume(name="v", projected=ProjectedVolumeSource(sources=sources))
    assert {path: data for path, (data, _) in shown(volume).items()} == {
        "token": b"tok", "ca.crt": b"1", "p": b"word", "b": b"",
    }  # fmt: skip
    from kijabi.api.core.security import SecurityContext

    given = pod(c(securityContext=SecurityContext(runAsUser=1000)))
    assert payload(given, volume, SOURCES)["token"] == File(b"tok", 0o600, 1000)


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        (Volume(name="v", configMap=ConfigMapVolumeSource(name="no")), 'configmap "no" not found'),
        (Volume(name="v", secret=SecretVolumeSource(secretName="no")), 'secret "no" not found'),
        (
            Volume(name="v", configMap=ConfigMapVolumeSource(name="cm", items=(KeyToPath(key="x", path="x"),))),
            "configmap references non-existent config key: x",
        ),
        (
            Volume(name="v", secret=SecretVolumeSource(secretName="s", items=(KeyToPath(key="x", path="x"),))),
            "references non-existent secret key: x",
        ),
    ],
)
def test_what_is_missing(volume: Volume, text: str) -> None:
    with pytest.raises(VolumeProblem) as caught:
        payload(pod(), volume, SOURCES)
    assert caught.value.message == text


def files(**data: str) -> dict[str, File]:
    return {name.replace("_", "/"): File(text.encode(), 0o644) for name, text in data.items()}


def test_the_atomic_writer(tmp_path: Path) -> None:
    assert atomic.write(tmp_path, files(a="1", d_b="2"), None)
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "d" / "b").read_text() == "2"
    assert os.readlink(tmp_path / "a") == "..data/a"
    first = os.readlink(tmp_path / "..data")
    assert not atomic.write(tmp_path, files(a="1", d_b="2"), None)
    assert os.readlink(tmp_path / "..data") == first
    reader = open(tmp_path / "a")  # noqa: SIM115
    assert atomic.write(tmp_path, files(a="new", c="3"), None)
    assert (tmp_path / "a").read_text() == "new"
    assert reader.read() == "1"
    reader.close()
    assert not (tmp_path / "d").is_symlink()
    assert not (tmp_path / first).exists()
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith("..")) == ["a", "c"]


@pytest.mark.parametrize("path", ["/x", "../x", "a/../../x", "..x", "", "a" * 300])
def test_paths_stay_inside(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        atomic.write(tmp_path, {path: File(b"", 0o644)}, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_fs_group(tmp_path: Path) -> None:
    local = LocalFiles()
    volume = str(tmp_path / "v")
    await local.make_directory(volume, 0o777, 2000, False)
    assert (os.stat(volume).st_gid, stat.S_IMODE(os.stat(volume).st_mode)) == (2000, 0o2777)
    local.write_payload(volume, {"p": File(b"x", 0o400)}, 2000)
    found = os.stat(tmp_path / "v" / "p")
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (2000, 0o440)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_memory_is_mounted_and_unmounted(tmp_path: Path) -> None:
    local = LocalFiles()
    volume = tmp_path / "pod" / "v"
    await local.mount_memory(str(volume), 1 << 20, 0o777, None)
    await local.mount_memory(str(volume), 1 << 20, 0o777, None)
    try:
        assert is_mount(volume)
        assert os.statvfs(volume).f_blocks * os.statvfs(volume).f_frsize == 1 << 20
        (volume / "x").write_text("x")
    finally:
        await local.remove_tree(str(tmp_path / "pod"))
    assert not volume.parent.exists()
    await local.remove_tree(str(tmp_path / "pod"))


def is_mount(path: Path) -> bool:
    return os.path.ismount(path)


def test_host_paths(tmp_path: Path) -> None:
    local = LocalFiles()
    local.check_host_path("v", str(tmp_path / "new"), "DirectoryOrCreate")
    assert (tmp_path / "new").is_dir()
    local.check_host_path("v", str(tmp_path / "file"), "FileOrCreate")
    local.check_host_path("v", str(tmp_path / "file"), "File")
    local.check_host_path("v", str(tmp_path / "none"), "")
    for path, kind in (
        ("file", "Directory"),
        ("new", "File"),
        ("none", "Directory"),
        ("file", "Socket"),
        ("no/x", "FileOrCreate"),
    ):
        with pytest.raises(VolumeProblem, match="hostPath type check failed"):
            local.check_host_path("v", str(tmp_path / path), kind)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_sub_paths_stay_in_their_volume(tmp_path: Path) -> None:
    local = LocalFiles()
    pod, volume, target = tmp_path / "pod", tmp_path / "v", tmp_path / "pod" / "volume-subpaths" / "v" / "c" / "0"
    volume.mkdir()
    volume.chmod(0o2775)
    os.chown(volume, -1, 2000)
    try:
        local.bind_sub_path(str(volume), "a/b", str(target))
        (target / "file").write_text("x")
        assert (volume / "a" / "b" / "file").read_text() == "x"
        assert (os.stat(volume / "a" / "b").st_gid, stat.S_IMODE(os.stat(volume / "a").st_mode)) == (2000, 0o2775)
        # The next container: what was meant may have become another directory.
        (volume / "a" / "b").rename(volume / "a" / "old")
        local.bind_sub_path(str(volume), "a/b", str(target))
        assert list(target.iterdir()) == []
        (volume / "inside").symlink_to("a/old")
        local.bind_sub_path(str(volume), "inside/file", str(target.parent / "1"))
        assert (target.parent / "1").read_text() == "x"
        for name, to in (("evil", "/etc"), ("up", "../pod"), ("root", "/")):
            (volume / name).symlink_to(to)
            with pytest.raises(VolumeProblem, match="leaves the volume"):
                local.bind_sub_path(str(volume), f"{name}/passwd", str(target.parent / "2"))
    finally:
        await local.remove_tree(str(pod))
    assert (volume / "a" / "old" / "file").read_text() == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_link_that_is_put_there_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at the path and the mount, another container swaps a directory for a link."""
    volume, target = tmp_path / "v", tmp_path / "pod" / "0"
    (volume / "sub").mkdir(parents=True)
    real = os.path.realpath

    def swapped(path: str) -> str:
        found = real(path)
        if found.endswith("/sub"):
            (volume / "sub").rmdir()
            (volume / "sub").symlink_to("/etc")
        return found

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(VolumeProblem, match="was changed while it was looked at"):
        LocalFiles().bind_sub_path(str(volume), "sub", str(target))
    assert not target.exists()
