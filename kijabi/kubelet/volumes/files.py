"""Everything that volumes do to a file system, behind one small interface.

`LocalFiles` does it on this machine; `NullFiles` does nothing and is what a simulated or hollow node has, so that the
volume manager above runs there unchanged, without threads and without a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kijabi.base.process import CommandFailed, run
from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.runtime import linux
from kijabi.kubelet.volumes import atomic, subpaths
from kijabi.kubelet.volumes.payload import File

log = logging.getLogger(__name__)

MESSAGE_LIMIT = 4096
# What the root of a volume must let its group do: all, and hand itself down.
ROOT_BITS = 0o2770


class Files(Protocol):
    """File system effects. Paths are absolute. Calls raise OSError or VolumeProblem."""

    async def make_directory(self, path: str, mode: int, group: int | None, on_mismatch_only: bool) -> None:
        """Make an emptyDir's directory, owned by fsGroup if there is one."""
        ...

    async def mount_memory(self, path: str, size: int, mode: int, group: int | None) -> None:
        """Make the directory and mount a tmpfs of that size (bytes, 0: the default) there; once."""
        ...

    def write_payload(self, path: str, payload: Mapping[str, File], group: int | None) -> bool:
        """Show these files in the directory, atomically; whether anything changed."""
        ...

    def check_host_path(self, volume: str, path: str, kind: str) -> None:
        """Check or make what a hostPath of that type names. Raises VolumeProblem."""
        ...

    def bind_sub_path(self, root: str, sub: str, target: str) -> None:
        """Mount `sub` of a volume at `target`, made as a directory if absent, never outside the volume.

        Raises VolumeProblem.
        """
        ...

    def write_file(self, path: str, data: bytes, mode: int) -> None:
        """Write a small file of the pod (hosts, termination message)."""
        ...

    def read_tail(self, path: str, limit: int) -> bytes:
        """The last bytes of a file, b"" if it is not there."""
        ...

    def pods(self, root: str) -> tuple[str, ...]:
        """The pod uids that have a directory under root."""
        ...

    async def remove_tree(self, path: str) -> None:
        """Unmount what is mounted below a path, then delete it; nothing if it is gone."""
        ...

    async def mount(self, source: str, target: str, kind: str, options: tuple[str, ...]) -> bool:
        """Make the directory and mount there, by mount(8), what outlives the pod; False if it was mounted already."""
        ...

    async def unmount(self, target: str) -> None:
        """Unmount what `mount` did and remove the directory, which must be empty then; nothing if it is gone."""
        ...

    async def own(self, path: str, group: int, on_mismatch_only: bool) -> None:
        """Give a volume to fsGroup; if wanted, only when the volume's root is not its own yet."""
        ...

    def group_of(self, path: str) -> int:
        """The group that a file or directory belongs to."""
        ...


class LocalFiles:
    """File system effects on this machine. What may take long runs in a thread."""

    async def make_directory(self, path: str, mode: int, group: int | None, on_mismatch_only: bool) -> None:
        """See Files."""
        fresh = self._make(path, mode)
        if group is None or (on_mismatch_only and not fresh and self.group_of(path) == group):
            return
        if fresh:
            atomic.own_by_group(Path(path), group, read_only=False)
        else:
            await asyncio.to_thread(atomic.own_by_group, Path(path), group, read_only=False)

    async def mount_memory(self, path: str, size: int, mode: int, group: int | None) -> None:
        """See Files."""
        self._make(path, mode)
        if self._is_mount(path):
            return
        options = [f"mode={mode:o}"] + ([f"size={size}"] if size else [])
        linux.mount("tmpfs", path, 0, "tmpfs", ",".join(options))
        if group is not None:
            atomic.own_by_group(Path(path), group, read_only=False)

    @staticmethod
    def _make(path: str, mode: int) -> bool:
        """Make a directory with exactly this mode; whether it was not there before."""
        if os.path.isdir(path):
            return False
        os.makedirs(path)
        os.chmod(path, mode)
        return True

    @staticmethod
    def _is_mount(path: str) -> bool:
        return os.path.ismount(path)

    def group_of(self, path: str) -> int:
        """See Files."""
        return os.stat(path).st_gid

    async def own(self, path: str, group: int, on_mismatch_only: bool) -> None:
        """See Files."""
        root = os.stat(path)
        if not (on_mismatch_only and root.st_gid == group and root.st_mode & ROOT_BITS == ROOT_BITS):
            await asyncio.to_thread(atomic.own_by_group, Path(path), group, read_only=False)

    async def mount(self, source: str, target: str, kind: str, options: tuple[str, ...]) -> bool:
        """See Files."""
        if target in _mounted_below(target):
            return False
        os.makedirs(target, mode=0o750, exist_ok=True)
        how = [*(("-t", kind) if kind else ()), *(("-o", ",".join(dict.fromkeys(options))) if options else ())]
        try:
            await run("mount", *how, "--", source, target)
        except CommandFailed as problem:
            await self.unmount(target)
            raise OSError(str(problem)) from problem
        return True

    async def unmount(self, target: str) -> None:
        """See Files. The directory goes only by rmdir: whatever is in it is not ours to delete."""
        for mounted in _mounted_below(target):
            linux.unmount(mounted)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(target)

    def write_payload(self, path: str, payload: Mapping[str, File], group: int | None) -> bool:
        """See Files."""
        try:
            return atomic.write(Path(path), payload, group)
        except ValueError as problem:
            raise VolumeProblem(Path(path).name, str(problem)) from problem

    def check_host_path(self, volume: str, path: str, kind: str) -> None:
        """See Files."""
        if ".." in path.split("/"):
            raise VolumeProblem(volume, f"invalid HostPath `{path}`: must not contain '..'")
        target = Path(path)
        if kind == "DirectoryOrCreate" and not target.exists():
            target.mkdir(mode=0o755, parents=True)
        elif kind == "FileOrCreate" and not target.exists():
            if not target.parent.is_dir():
                raise VolumeProblem(volume, f"hostPath type check failed: {path} is not a file")
            target.touch(mode=0o644)
        expected = _EXPECTED.get(kind)
        if expected is None:
            return
        word, test = expected
        if not target.exists() or not test(target.stat().st_mode):
            raise VolumeProblem(volume, f"hostPath type check failed: {path} is not a {word}")

    def bind_sub_path(self, root: str, sub: str, target: str) -> None:
        """See Files."""
        subpaths.bind(root, sub, target)

    def write_file(self, path: str, data: bytes, mode: int) -> None:
        """See Files. Keeps the inode of a file that is there, which containers may have mounted."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(data)
        os.chmod(path, mode)

    def read_tail(self, path: str, limit: int) -> bytes:
        """See Files."""
        try:
            with open(path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - limit))
                return file.read(limit)
        except FileNotFoundError:
            return b""

    def pods(self, root: str) -> tuple[str, ...]:
        """See Files."""
        return tuple(entry.name for entry in os.scandir(root)) if os.path.isdir(root) else ()

    async def remove_tree(self, path: str) -> None:
        """See Files."""
        for mounted in _mounted_below(path):
            try:
                linux.unmount(mounted)
            except OSError as problem:
                log.warning("cannot unmount", extra={"path": mounted, "reason": str(problem)})
        left = _mounted_below(path)
        if left:
            raise OSError(f"{left[0]} is still mounted")
        await asyncio.to_thread(shutil.rmtree, path, onerror=_unless_gone)


_EXPECTED = {
    "DirectoryOrCreate": ("directory", stat.S_ISDIR),
    "Directory": ("directory", stat.S_ISDIR),
    "FileOrCreate": ("file", stat.S_ISREG),
    "File": ("file", stat.S_ISREG),
    "Socket": ("socket file", stat.S_ISSOCK),
    "CharDevice": ("character device", stat.S_ISCHR),
    "BlockDevice": ("block device", stat.S_ISBLK),
}


def _unless_gone(function: object, path: str, info: tuple[type[BaseException], BaseException, object]) -> None:
    """For rmtree: what is already gone is fine, everything else is raised."""
    if not isinstance(info[1], FileNotFoundError):
        raise info[1]


def _mounted_below(path: str) -> list[str]:
    """Mount points at or below a path, the last mounted first."""
    points = [mount.path for mount in linux.mounts()]
    return [point for point in reversed(points) if point == path or point.startswith(path + "/")]


class NullFiles:
    """No file system at all: everything succeeds and nothing is kept but which pods have a directory."""

    def __init__(self) -> None:
        self._pods: set[str] = set()

    async def make_directory(self, path: str, mode: int, group: int | None, on_mismatch_only: bool) -> None:
        """See Files."""

    async def mount_memory(self, path: str, size: int, mode: int, group: int | None) -> None:
        """See Files."""

    def write_payload(self, path: str, payload: Mapping[str, File], group: int | None) -> bool:
        """See Files."""
        return False

    def check_host_path(self, volume: str, path: str, kind: str) -> None:
        """See Files."""

    def bind_sub_path(self, root: str, sub: str, target: str) -> None:
        """See Files."""

    def write_file(self, path: str, data: bytes, mode: int) -> None:
        """See Files."""

    def read_tail(self, path: str, limit: int) -> bytes:
        """See Files."""
        return b""

    def pods(self, root: str) -> tuple[str, ...]:
        """See Files."""
        return ()

    async def remove_tree(self, path: str) -> None:
        """See Files."""

    async def mount(self, source: str, target: str, kind: str, options: tuple[str, ...]) -> bool:
        """See Files."""
        return True

    async def unmount(self, target: str) -> None:
        """See Files."""

    async def own(self, path: str, group: int, on_mismatch_only: bool) -> None:
        """See Files."""

    def group_of(self, path: str) -> int:
        """See Files."""
        return 0
