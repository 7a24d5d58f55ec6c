"""The directories of a node's local-path volumes, behind a small interface: real ones, and none for hollow nodes.

    ROOT/pvc-<uid of the claim>             a volume, for whoever is in the container to write to
    ROOT/.deleted-pvc-<uid of the claim>    one that is being deleted; nobody finds it any more

`agent.py` calls. A volume is made empty before the API knows of it and deleted before the API forgets it, so a crash
leaves at worst an empty directory or a half-deleted one, and both are told apart from data: the first by being empty,
the second by its name. What bears any other name is not ours and is never touched.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Protocol

from kijabi.kubelet.runtime import linux

NAME = re.compile(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DELETED = ".deleted-"
# Only root reaches the volumes from the outside. In containers anybody may write, whoever the image runs as, as in an
# emptyDir; fsGroup narrows nothing.
ROOT_MODE, VOLUME_MODE = 0o700, 0o777


class Disk(Protocol):
    """Directories by name. All calls can be repeated, and raise OSError."""

    def path(self, name: str) -> str:
        """Where a volume is. Raises ValueError for a name that no volume has."""
        ...

    async def make(self, name: str) -> None:
        """Make a volume, empty; what is there stays."""
        ...

    async def remove(self, name: str) -> None:
        """Delete a volume with all that is in it."""
        ...

    async def discard(self, name: str) -> None:
        """Delete a volume that nobody ever had: only if it is empty."""
        ...

    async def names(self) -> tuple[str, ...]:
        """The volumes there are, after finishing what a crash left half-deleted."""
        ...

    def free(self) -> int:
        """How many bytes are free."""
        ...


class Directories:
    """Volumes below a directory of this machine. What may take long runs in a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> str:
        """See Disk."""
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a volume")
        return str(self._root / name)

    async def make(self, name: str) -> None:
        """See Disk."""
        await asyncio.to_thread(self._make, self.path(name))

    async def remove(self, name: str) -> None:
        """See Disk."""
        await asyncio.to_thread(self._remove, self.path(name))

    async def discard(self, name: str) -> None:
        """See Disk."""
        try:
            os.rmdir(self.path(name))
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                raise

    async def names(self) -> tuple[str, ...]:
        """See Disk."""
        return await asyncio.to_thread(self._names)

    def free(self) -> int:
        """See Disk."""
        self._open()
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def _open(self) -> None:
        self._root.mkdir(mode=ROOT_MODE, parents=True, exist_ok=True)

    def _make(self, path: str) -> None:
        self._open()
        if not os.path.isdir(path):
            os.mkdir(path)
        os.chmod(path, VOLUME_MODE)
        self._sync()

    def _remove(self, path: str) -> None:
        """Rename first: at any moment a volume is whole, or gone. What is mounted in it is not ours to delete."""
        if inside := next((mount.path for mount in linux.mounts() if mount.path.startswith(f"{path}/")), ""):
            raise OSError(f"{inside} is a mount point")
        gone = str(self._root / f"{DELETED}{os.path.basename(path)}")
        _delete(gone)
        if os.path.isdir(path):
            os.rename(path, gone)
            self._sync()
            _delete(gone)
        self._sync()

    def _names(self) -> tuple[str, ...]:
        self._open()
        every = sorted(os.listdir(self._root))
        for name in every:
            if name.startswith(DELETED) and NAME.fullmatch(name.removeprefix(DELETED)):
                _delete(str(self._root / name))
        return tuple(name for name in every if NAME.fullmatch(name))

    def _sync(self) -> None:
        """Make what was done to the root last through a power loss."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _delete(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)


class NullDisk:
    """No disk: names only. What a hollow or simulated node has; it outlives the agent, as a disk does."""

    def __init__(self, free: int = 1 << 40) -> None:
        self.volumes: set[str] = set()
        self.room = free

    def path(self, name: str) -> str:
        """See Disk."""
        return f"/volumes/{name}"

    async def make(self, name: str) -> None:
        """See Disk."""
        self.volumes.add(name)

    async def remove(self, name: str) -> None:
        """See Disk."""
        self.volumes.discard(name)

    async def discard(self, name: str) -> None:
        """See Disk."""
        self.volumes.discard(name)

    async def names(self) -> tuple[str, ...]:
        """See Disk."""
        return tuple(self.volumes)

    def free(self) -> int:
        """See Disk."""
        return self.room
