"""Images: what our builder writes, that it writes it twice alike, and that the programs in them run."""

from __future__ import annotations

import asyncio
import io
import json
import os
import platform
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from kijabi.kubelet.runtime import oci, pause
from kijabi.kubelet.runtime.cri import CriRuntime
from kijabi.kubelet.runtime.interface import ContainerConfig, SandboxConfig
from kijabi.testing.images import build, debian
from tests.kubelet.runtime.realnode import RealNode

FILES = {"bin": oci.File(0o755), "bin/x": oci.File(0o755, b"#!"), "bin/y": oci.File(0o777, link="x")}


def test_an_archive_is_an_oci_layout() -> None:
    archive = oci.image("docker.io/library/x:1", oci.layer_of(FILES), oci.ImageConfig(cmd=("x",), ports=(80,)))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
    (manifest,) = json.loads(content["index.json"])["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "docker.io/library/x:1"
    blob = json.loads(content["blobs/sha256/" + manifest["digest"].removeprefix("sha256:")])
    config = json.loads(content["blobs/sha256/" + blob["config"]["digest"].removeprefix("sha256:")])
    assert config["config"]["Cmd"] == ["x"]
    assert config["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert "Entrypoint" not in config["config"]


def test_a_directory_is_packed_the_same_whenever(tmp_path: Path) -> None:
    layers = []
    for number, name in enumerate(("a", "b")):
        root = tmp_path / name
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
        (root / "bin").symlink_to("usr/bin")
        os.utime(root / "etc" / "hosts", (number, number))
        layers.append(oci.layer_of_directory(root))
    assert layers[0] == layers[1]
    with tarfile.open(fileobj=io.BytesIO(layers[0])) as tar:
        assert tar.getnames() == ["bin", "etc", "etc/hosts"]


def test_dependencies_are_read_off_apt() -> None:
    lines = ["a", "  PreDepends: b", " |Depends: c", " |Depends: d", "  Depends: e", "  Depends: <virtual>"]
    text = "\n".join([*lines, "  Depends: f", "b", "<virtual>", ""])
    assert debian.parse_dependencies(text) == {"a": ["b", "c", "f"], "b": [], "<virtual>": []}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the program is for x86-64")
def test_the_pause_program_waits_and_obeys(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(pause.program())
    program.chmod(0o755)
    with subprocess.Popen((program,)) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.terminate()
        assert process.wait(2) == 0


PROGRAMS = {
    "nginx": ("wget -qO- http://127.0.0.1/", "Welcome to nginx!"),
    "redis": ("redis-cli set a b && redis-cli get a", "b"),
    "python": ("python3 -c 'import ssl, sqlite3, json, urllib.request; print(json.dumps([1]))'", "[1]"),
}


@pytest.mark.node
@pytest.mark.parametrize("name", PROGRAMS)
async def test_programs_run(name: str, busybox_node: tuple[RealNode, str]) -> None:
    node, _ = busybox_node
    image = await asyncio.to_thread(node.add_image, name)
    runtime = await node.runtime()
    box = SandboxConfig(name=name, namespace="default", uid=name, cgroup_parent=node.cgroups.pod("Burstable", name))
    sandbox_id = await runtime.run_sandbox(box)
    try:
        command = ("sleep", "100") if name == "python" else ()
        container_id = await runtime.create_container(
            sandbox_id, ContainerConfig(name=name, image=image, command=command), box
        )
        await runtime.start_container(container_id)
        await answers(runtime, container_id, *PROGRAMS[name])
    finally:
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)
        await runtime.close()


async def answers(runtime: CriRuntime, container_id: str, script: str, wanted: str) -> None:
    """Ask until the program is up."""
    said = ""
    for _ in range(50):
        result = await runtime.exec_sync(container_id, ("sh", "-c", script), 10)
        said = (result.stdout + result.stderr).decode()
        if wanted in said:
            return
        await asyncio.sleep(0.1)
    pytest.fail(said)


@pytest.mark.node
def test_a_build_is_repeatable(tmp_path: Path) -> None:
    """The packages come from the common cache, the image is built twice."""
    cache = build.DEFAULT_CACHE.expanduser()
    first = build.ensure("busybox").archive.read_bytes()
    (tmp_path / "packages").symlink_to(cache / "packages")
    assert build.build("busybox", tmp_path).archive.read_bytes() == first
