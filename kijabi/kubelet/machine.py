"""What the kubelet reads off its machine: who it is, how big, and how full.

`node.py` reports it, `pressure.py` acts on it. `LocalMachine` reads /proc and the file system; `FakeMachine` is a
machine that never fills up, for hollow nodes and simulations.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Protocol

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Names of the machine, as NodeSystemInfo shows them."""

    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""
    kernel: str = ""
    os_image: str = ""
    architecture: str = "amd64"


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How big the machine is: thousandths of CPU, bytes."""

    cpu: int
    memory: int
    storage: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How full it is: bytes and inodes that are still free, of how many. cpu: nanoseconds that all CPUs have worked."""

    memory_free: int
    memory: int
    disk_free: int
    disk: int
    inodes_free: int
    inodes: int
    pids_free: int = 1 << 20
    cpu: int = 0


class Machine(Protocol):
    """A machine. Calls are quick and do not raise."""

    def identity(self) -> Identity: ...
    def capacity(self) -> Capacity: ...
    def usage(self) -> Usage: ...
    def read(self, path: str) -> str:
        """The text of a small system file, "" if it cannot be read."""
        ...


class FakeMachine:
    """A machine of the given size that is always nearly empty."""

    def __init__(self, name: str, cpu: int, memory: int, storage: int) -> None:
        self._name = name
        self._capacity = Capacity(cpu=cpu, memory=memory, storage=storage)

    def identity(self) -> Identity:
        """See Machine."""
        return Identity(machine_id=self._name, system_uuid=self._name, boot_id=self._name, os_image="none")

    def capacity(self) -> Capacity:
        """See Machine."""
        return self._capacity

    def usage(self) -> Usage:
        """See Machine."""
        size = self._capacity
        return Usage(
            memory_free=size.memory,
            memory=size.memory,
            disk_free=size.storage,
            disk=size.storage,
            inodes_free=1 << 20,
            inodes=1 << 20,
        )

    def read(self, path: str) -> str:
        """See Machine."""
        return ""


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}


class LocalMachine:
    """This machine; `root` is the directory whose file system counts."""

    def __init__(self, root: str, cpu: int = 0, memory: int = 0, storage: int = 0) -> None:
        self._root = root
        self._given = (cpu, memory, storage)

    def identity(self) -> Identity:
        """See Machine."""
        release = dict(line.split("=", 1) for line in self.read("/etc/os-release").splitlines() if line.count("=") >= 1)
        machine = self.read("/etc/machine-id").strip()
        return Identity(
            machine_id=machine,
            system_uuid=self.read("/sys/class/dmi/id/product_uuid").strip() or machine,
            boot_id=self.read("/proc/sys/kernel/random/boot_id").strip(),
            kernel=platform.release(),
            os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
            architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        )

    def capacity(self) -> Capacity:
        """See Machine."""
        cpu, memory, storage = self._given
        disk = os.statvfs(self._root)
        return Capacity(
            cpu=cpu or len(os.sched_getaffinity(0)) * 1000,
            memory=memory or self._memory("MemTotal"),
            storage=storage or disk.f_blocks * disk.f_frsize,
        )

    def usage(self) -> Usage:
        """See Machine."""
        disk = os.statvfs(self._root)
        return Usage(
            memory_free=self._memory("MemAvailable"),
            memory=self._memory("MemTotal"),
            disk_free=disk.f_bavail * disk.f_frsize,
            disk=disk.f_blocks * disk.f_frsize,
            inodes_free=disk.f_favail,
            inodes=disk.f_files,
            pids_free=self._pids_free(),
            cpu=self._cpu(),
        )

    def read(self, path: str) -> str:
        """See Machine."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def _memory(self, name: str) -> int:
        for line in self.read("/proc/meminfo").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def _cpu(self) -> int:
        """What /proc/stat counts as work: all of its first line but the times of idling, and guests twice."""
        ticks = self.read("/proc/stat").partition("\n")[0].split()[1:9]
        if len(ticks) < 8:
            return 0
        user, nice, system, _, _, irq, softirq, steal = map(int, ticks)
        return (user + nice + system + irq + softirq + steal) * 10**9 // os.sysconf("SC_CLK_TCK")

    def _pids_free(self) -> int:
        limit = self.read("/proc/sys/kernel/pid_max").strip()
        load = self.read("/proc/loadavg").split()
        used = load[3].partition("/")[2] if len(load) > 3 else "0"
        return int(limit or 1 << 20) - int(used or 0)
