"""A part of a volume (subPath) as a mount of its own, so that nobody can swap it for something else meanwhile.

Called by `files.LocalFiles` before a container starts. Whoever else has the volume may put a link to the node's files
where the sub-path was looked at a moment ago (CVE-2017-1002101). So the path is walked once, component by component
and without following links, and what was reached then is bound by its descriptor; the container is given that mount.
The way is that of k8s.io/kubernetes `pkg/volume/util/subpath`.
"""

from __future__ import annotations

import os
import stat

from kijabi.kubelet.problems import VolumeProblem
from kijabi.kubelet.runtime import linux


def bind(root: str, sub: str, target: str) -> None:
    """Mount `sub` of the volume at `root` at `target`, anew if something is mounted there; made if it is not there.

    Raises VolumeProblem where it would leave the volume, OSError.
    """
    base = os.path.realpath(root)
    real = os.path.realpath(os.path.join(base, sub))
    if real != base and not real.startswith(base.rstrip("/") + "/"):
        raise VolumeProblem(os.path.basename(root), f'subPath "{sub}" leaves the volume')
    parts = os.path.relpath(real, base).split("/") if real != base else []
    found = os.open(base, os.O_PATH | os.O_DIRECTORY)
    try:
        owner = os.fstat(found)
        for part in parts:
            found = _step(found, part, owner, sub)
        _mount(found, target)
    finally:
        os.close(found)


def _step(directory: int, part: str, owner: os.stat_result, sub: str) -> int:
    """The entry of a directory, made as a directory like the volume's root if there is none; closes the directory."""
    try:
        found = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        os.mkdir(part, dir_fd=directory)
        found = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=directory)
        os.chown(_path(found), -1, owner.st_gid)
        os.chmod(_path(found), stat.S_IMODE(owner.st_mode))
    if stat.S_ISLNK(os.fstat(found).st_mode):
        os.close(found)
        raise VolumeProblem(part, f'subPath "{sub}" was changed while it was looked at')
    os.close(directory)
    return found


def _mount(found: int, target: str) -> None:
    if any(mount.path == target for mount in linux.mounts()):
        linux.unmount(target)
    if stat.S_ISDIR(os.fstat(found).st_mode):
        os.makedirs(target, mode=0o750, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    linux.mount(_path(found), target, linux.MS_BIND)


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
