"""Write OCI images: from files in memory or a directory to one tar archive that `ctr images import` takes.

Used for the pause image here and by `kijabi.testing.images` for the demo images. Pure and deterministic: the same
files give the same digests, whatever the time, the user and the machine (OCI image specification 1.0).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

EPOCH = "1970-01-01T00:00:00Z"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says about running it; the members of `config` in the OCI image configuration."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = (PATH,)
    ports: tuple[int, ...] = ()
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""


class File(msgspec.Struct, frozen=True):
    """One entry of a layer: a regular file with content, a link with a target, or (neither) a directory."""

    mode: int
    content: bytes | None = None
    link: str = ""


def architecture() -> str:
    """This machine's architecture by its OCI name."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def layer_of(files: Mapping[str, File]) -> bytes:
    """A layer tar from a mapping of paths (no leading slash), in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, file in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = file.mode
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.link
            elif file.content is None:
                entry.type = tarfile.DIRTYPE
            else:
                entry.size = len(file.content)
            archive.addfile(entry, io.BytesIO(file.content or b""))
    return buffer.getvalue()


def layer_of_directory(root: Path) -> bytes:
    """A layer tar from a directory tree, sorted, without times and names of users; all owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for directory, names, files in os.walk(root):
            names.sort()
            for name in sorted(names + files):
                full = Path(directory, name)
                entry = archive.gettarinfo(full, str(full.relative_to(root)))
                entry.mtime = entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                if stat.S_ISREG(full.lstat().st_mode) and entry.isreg():
                    archive.addfile(entry, io.BytesIO(full.read_bytes()))
                else:
                    archive.addfile(entry)
            names[:] = [name for name in names if not Path(directory, name).is_symlink()]
    return buffer.getvalue()


def image(name: str, layer: bytes, config: ImageConfig, *, level: int = 6) -> bytes:
    """The archive of a one-layer image called `name` (with tag); level: of gzip."""
    blob = gzip.compress(layer, level, mtime=0)
    described: dict[str, Any] = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Env": list(config.env),
        "ExposedPorts": {f"{port}/tcp": {} for port in config.ports},
        "User": config.user,
        "WorkingDir": config.working_dir,
        "StopSignal": config.stop_signal,
    }
    configuration = _json(
        {
            "created": EPOCH,
            "architecture": architecture(),
            "os": "linux",
            "config": {key: value for key, value in described.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created": EPOCH, "created_by": "kijabi"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", blob)],
        }
    )
    described_manifest = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    described_manifest["platform"] = {"os": "linux", "architecture": architecture()}
    described_manifest["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [described_manifest],
    }
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": _json(index)}
    for content in (configuration, blob, manifest):
        files["blobs/sha256/" + _digest(content).removeprefix("sha256:")] = content
    return layer_of({path: File(0o644, content) for path, content in files.items()})


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
