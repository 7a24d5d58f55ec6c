"""The control groups of pods: where they are, how they are made, limited, read and removed.

The kubelet asks for a pod's parent group by QoS class and hands its name to the runtime, which puts the containers
under it. A node's groups live below one prefix of its own, so several clusters share a machine. Works on cgroup v1
(one tree per controller, also "hybrid", where an empty v2 tree lies beside them) and on v2 (one tree).

containerd never removes a pod's group; `remove` does, bottom-up. All calls are plain file access and block only for
microseconds.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from kijabi.kubelet.runtime.interface import Resources

log = logging.getLogger(__name__)

QoS = Literal["Guaranteed", "Burstable", "BestEffort"]
CGROUP_ROOT = Path("/sys/fs/cgroup")
# v2 controllers that pods need; enabled on the way down to a pod's group.
V2_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
MIN_SHARES, MAX_SHARES = 2, 262144
REMOVE_ATTEMPTS = 50  # rounds of killing leftover processes before giving up


def shares_to_weight(shares: int) -> int:
    """cpu.shares of v1 (2…262144) as cpu.weight of v2 (1…10000), by the linear map of KEP-2254."""
    shares = max(MIN_SHARES, min(shares, MAX_SHARES))
    return 1 + ((shares - MIN_SHARES) * 9999) // (MAX_SHARES - MIN_SHARES)


class Cgroups:
    """The groups of one node. prefix: path below the cgroup root, such as `/kijabi-1a2b3c4d/node1`."""

    def __init__(self, prefix: str, root: Path = CGROUP_ROOT) -> None:
        self.prefix = "/" + prefix.strip("/")
        self.root = root
        self.version = 2 if (root / "cgroup.controllers").exists() else 1

    @property
    def hybrid(self) -> bool:
        """Whether a v2 tree lies beside v1's controllers; crun refuses to run while it is visible."""
        return self.version == 1 and (self.root / "unified" / "cgroup.procs").exists()

    def kubepods(self, qos: QoS = "Guaranteed") -> str:
        """The parent of all pods of a QoS class; guaranteed pods are right below `kubepods`, as upstream's."""
        return f"{self.prefix}/kubepods" + ("" if qos == "Guaranteed" else f"/{qos.lower()}")

    def pod(self, qos: QoS, uid: str) -> str:
        """A pod's group, to be given to the runtime as `cgroup_parent`."""
        return f"{self.kubepods(qos)}/pod{uid}"

    def create(self, group: str, resources: Resources = Resources()) -> None:
        """Make a group with its parents and set its limits; repeating it updates them."""
        for tree in self._trees():
            path = tree / group.lstrip("/")
            if self.version == 2:
                self._enable_controllers(path)
            path.mkdir(parents=True, exist_ok=True)
            if tree.name == "cpuset":
                self._inherit_cpuset(tree, group)
        self.update(group, resources)

    def update(self, group: str, resources: Resources) -> None:
        """Set a group's limits; zeros mean none."""
        for controller, file, value in _settings(self.version, resources):
            path = self._tree(controller) / group.lstrip("/") / file
            try:
                path.write_text(value)
            except FileNotFoundError:
                log.debug("cgroup controller not mounted", extra={"path": str(path)})

    def exists(self, group: str) -> bool:
        """Whether any controller still has the group."""
        return any((tree / group.lstrip("/")).is_dir() for tree in self._trees())

    def pids(self, group: str) -> set[int]:
        """The processes in a group and everything below it."""
        found: set[int] = set()
        for tree in self._trees():
            for directory in _bottom_up(tree / group.lstrip("/")):
                try:
                    found.update(map(int, (directory / "cgroup.procs").read_text().split()))
                except (FileNotFoundError, OSError) as error:
                    log.debug("cgroup vanished while read", extra={"path": str(directory), "error": str(error)})
        return found - {0}

    def kill(self, group: str) -> set[int]:
        """SIGKILL everything in a group; gives the processes that were there."""
        victims = self.pids(group)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return victims

    def remove(self, group: str) -> bool:
        """Remove a group and all below it, leaves first; False while processes are still in it. Repeatable."""
        clean = True
        for tree in self._trees():
            for directory in _bottom_up(tree / group.lstrip("/")):
                try:
                    directory.rmdir()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.debug("cgroup not removed yet", extra={"path": str(directory), "error": str(error)})
                    clean = False
        return clean

    def remove_all(self) -> bool:
        """Remove the node's groups, and the parents of its prefix that nobody else uses."""
        clean = self.remove(self.prefix)
        for tree in self._trees():
            for parent in (tree / self.prefix.lstrip("/")).parents:
                if parent == tree or not parent.is_dir() or any(entry.is_dir() for entry in parent.iterdir()):
                    break
                parent.rmdir()
        return clean

    def pods(self) -> dict[str, str]:
        """The pod groups that exist: uid → group, also those that nobody remembers (after a crash)."""
        found: dict[str, str] = {}
        for qos in get_args(QoS):
            parent = self.kubepods(qos)
            for tree in self._trees():
                for path in (tree / parent.lstrip("/")).glob("pod*"):
                    found[path.name.removeprefix("pod")] = f"{parent}/{path.name}"
        return found

    def _tree(self, controller: str) -> Path:
        return self.root if self.version == 2 else self.root / controller

    def _trees(self) -> list[Path]:
        """Every mounted hierarchy once (`cpu` and `cpuacct` are often one mount with links to it)."""
        if self.version == 2:
            return [self.root]
        return [
            entry
            for entry in sorted(self.root.iterdir())
            if entry.is_dir() and not entry.is_symlink() and (entry / "cgroup.procs").exists()
        ]

    def _enable_controllers(self, path: Path) -> None:
        """v2: a child gets a controller only if its parent passes it on."""
        ancestors = [parent for parent in reversed(path.parents) if parent.is_relative_to(self.root)]
        for parent in ancestors:
            parent.mkdir(exist_ok=True)
            available = set((parent / "cgroup.controllers").read_text().split())
            wanted = [f"+{name}" for name in V2_CONTROLLERS if name in available]
            (parent / "cgroup.subtree_control").write_text(" ".join(wanted))

    def _inherit_cpuset(self, tree: Path, group: str) -> None:
        """v1: a new cpuset is empty and takes no process until it has its parent's CPUs and memory nodes."""
        path = tree
        for part in group.strip("/").split("/"):
            parent, path = path, path / part
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not (path / file).read_text().strip():
                    (path / file).write_text((parent / file).read_text())


def _settings(version: int, resources: Resources) -> Iterator[tuple[str, str, str]]:
    """(controller, file, text) for the limits; the order matters to nobody."""
    period = resources.cpu_period
    if version == 2:
        if resources.cpu_shares:
            yield "cpu", "cpu.weight", str(shares_to_weight(resources.cpu_shares))
        quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
        yield "cpu", "cpu.max", f"{quota} {period}"
        yield "memory", "memory.max", str(resources.memory_limit) if resources.memory_limit else "max"
        return
    if resources.cpu_shares:
        yield "cpu", "cpu.shares", str(resources.cpu_shares)
    yield "cpu", "cpu.cfs_period_us", str(period)
    yield "cpu", "cpu.cfs_quota_us", str(resources.cpu_quota if resources.cpu_quota > 0 else -1)
    yield "memory", "memory.limit_in_bytes", str(resources.memory_limit or -1)


def _bottom_up(path: Path) -> list[Path]:
    """A directory and all directories below it, children before parents."""
    if not path.is_dir():
        return []
    return [Path(directory) for directory, _, _ in os.walk(path, topdown=False)]
