"""Log rotation: a log that grew too big is renamed, the runtime begins a new one, the oldest go.

    0.log   0.log.20261122-120000   0.log.20261122-110000.gz …

Every few seconds for running containers only; hands on to the runtime by `reopen_log`. Names and numbers are those of
k8s.io/kubernetes `pkg/kubelet/logs` (10 MiB, 5 files).
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
from collections.abc import Sequence

from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.parts import Parts
from kijabi.kubelet.runtime.interface import ContainerInfo, RuntimeFailure

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0


class Rotation:
    """Rotates the logs of this node's containers."""

    def __init__(self, parts: Parts, config: KubeletConfig) -> None:
        self._parts, self._config = parts, config

    async def run(self) -> None:
        """Rotate for ever; a node without real files has nothing to do."""
        while not self._config.fake:
            await asyncio.sleep(EVERY_SECONDS)
            for uid in self._parts.cache.uids():
                for info in self._parts.cache.view(uid).running:
                    if _size(info.log_path) > self._config.log_bytes:
                        await self._rotate(info)

    async def _rotate(self, info: ContainerInfo) -> None:
        try:
            await asyncio.to_thread(shelve, info.log_path, self._config.log_files)
            stamp = clock.now().strftime("%Y%m%d-%H%M%S")
            os.rename(info.log_path, f"{info.log_path}.{stamp}")
            await self._parts.runtime.reopen_log(info.id)
        except (RuntimeFailure, ConnectionLost, OSError) as problem:
            log.warning("log not rotated", extra={"path": info.log_path, "reason": str(problem)})


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def rotated(path: str) -> list[str]:
    """The rotated files of a log, oldest first."""
    folder, name = os.path.split(path)
    try:
        found = [entry for entry in os.listdir(folder) if entry.startswith(name + ".")]
    except FileNotFoundError:
        return []
    return [f"{folder}/{entry}" for entry in sorted(found) if not entry.endswith(".tmp")]


def surplus(files: Sequence[str], keep: int) -> Sequence[str]:
    """The files that must go so that a new rotated one and the live one make `keep`; pure."""
    return files[: max(0, len(files) - max(keep - 2, 0))]


def shelve(path: str, keep: int) -> None:
    """Delete the oldest rotated files and compress all others. Raises OSError."""
    files = rotated(path)
    for old in surplus(files, keep):
        os.unlink(old)
        files.remove(old)
    for each in files:
        if not each.endswith(".gz"):
            with open(each, "rb") as source, gzip.open(f"{each}.tmp", "wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(f"{each}.tmp", f"{each}.gz")
            os.unlink(each)
