"""Writing all files of a volume at once: a reader sees the old set or the new set, never a mixture.

The layout is the one that programs know from Kubernetes and watch:

    volume/..2026_11_22_12_00_00.1234   the files themselves
    volume/..data -> that directory     renamed over the old link, which is the moment of change
    volume/name   -> ..data/name        what the container opens

Called by `files.LocalFiles`; blocks only for small writes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kijabi.base import clock
from kijabi.kubelet.volumes.payload import File

DATA, NEW_DATA = "..data", "..data_tmp"
MAX_PATH, MAX_NAME = 4096, 255


def write(directory: Path, payload: Mapping[str, File], group: int | None) -> bool:
    """Make the directory show exactly this payload; False if it did already.

    group: fsGroup, which then owns everything. Raises ValueError for a path that would leave the directory, OSError.
    """
    for path in payload:
        check_path(path)
    current = directory / DATA
    old = Path(os.readlink(current)) if current.is_symlink() else None
    if old is not None and _same(directory / old, payload):
        _link(directory, payload)
        return False
    fresh = _write_new(directory, payload, group)
    link = directory / NEW_DATA
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    os.replace(link, current)
    _link(directory, payload)
    _unlink_gone(directory, payload)
    if old is not None:
        shutil.rmtree(directory / old, ignore_errors=True)
    return True


def check_path(path: str) -> None:
    """Raise ValueError unless the path stays in its volume and keeps clear of our own names."""
    parts = path.split("/")
    if not path or path.startswith("/") or len(path) > MAX_PATH:
        raise ValueError(f"invalid path: must be a relative path: {path!r}")
    if ".." in parts or parts[0].startswith(".."):
        raise ValueError(f"invalid path: must not contain or start with '..': {path}")
    if any(len(part) > MAX_NAME for part in parts):
        raise ValueError(f"invalid path: filenames must be less than or equal to {MAX_NAME} characters")


def _same(held: Path, payload: Mapping[str, File]) -> bool:
    """Whether the present files are these, with these modes."""
    present = {str(Path(root, name).relative_to(held)) for root, _, names in os.walk(held) for name in names}
    if present != {os.path.normpath(path) for path in payload}:
        return False
    return all((held / path).read_bytes() == file.data for path, file in payload.items())


def _write_new(directory: Path, payload: Mapping[str, File], group: int | None) -> Path:
    stamp = clock.now().strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=stamp, dir=directory))
    fresh.chmod(0o755)
    for path, file in payload.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode)
        if file.user is not None:
            os.chown(target, file.user, -1)
    if group is not None:
        own_by_group(directory, group, read_only=True)
    return fresh


def own_by_group(directory: Path, group: int, *, read_only: bool) -> None:
    """Give a tree to fsGroup: group read (and write), set-gid on directories (k8s `pkg/volume/volume_linux.go`)."""
    for root, _, names in os.walk(directory):
        _own(Path(root), group, 0o2550 if read_only else 0o2770)
        for name in names:
            path = Path(root, name)
            if path.is_symlink():
                os.lchown(path, -1, group)
            else:
                _own(path, group, 0o440 if read_only else 0o660)


def _own(path: Path, group: int, bits: int) -> None:
    os.chown(path, -1, group)
    path.chmod((path.stat().st_mode & 0o7777) | bits)


def _link(directory: Path, payload: Mapping[str, File]) -> None:
    """Make the names that containers see; each is a link into `..data`."""
    for first in {path.split("/")[0] for path in payload}:
        link = directory / first
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{first}")


def _unlink_gone(directory: Path, payload: Mapping[str, File]) -> None:
    keep = {path.split("/")[0] for path in payload}
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in keep and entry.is_symlink():
            entry.unlink()
