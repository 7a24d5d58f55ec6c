"""The few Linux calls that Python 3.11 lacks: mounts, network namespaces of a thread, waiting for any process.

`containerd`, `network` and `cri` use it. Everything here is a thin wrapper that raises OSError.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

CLONE_NEWNET = 0x40000000
MNT_DETACH = 2
MS_RDONLY, MS_NOEXEC, MS_REMOUNT = 1, 8, 32
MS_BIND, MS_PRIVATE, MS_SHARED = 4096, 1 << 18, 1 << 20
_OCTAL = re.compile(r"\\([0-7]{3})")

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


class MountPoint(msgspec.Struct, frozen=True):
    """One line of mountinfo. shared: mounts below it propagate to other mount namespaces."""

    path: str
    shared: bool
    type: str


def mount(source: str, target: str, flags: int, fstype: str = "", options: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), target.encode(), fstype.encode() or None, flags, options.encode() or None)
    _check(result, target)


def unmount(target: str) -> None:
    """umount2(2), lazily: the mount disappears from the tree at once, busy or not."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), target)


def mounts() -> list[MountPoint]:
    """This process's mounts, oldest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        path = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        found.append(MountPoint(path, any(tag.startswith("shared:") for tag in fields[6:]), right.split(" ")[0]))
    return found


def unmount_below(*directories: Path) -> int:
    """Unmount everything at and below the directories, newest first; gives how many."""
    prefixes = tuple(str(directory) for directory in directories)
    victims = [m.path for m in mounts() if m.path in prefixes or m.path.startswith(tuple(p + "/" for p in prefixes))]
    for path in reversed(victims):
        unmount(path)
    return len(victims)


def enter_netns(path: str) -> None:
    """Move the calling thread into a network namespace; a process does it before it has other threads."""
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(target, CLONE_NEWNET), path)
    finally:
        os.close(target)


def in_netns(path: str, work: Callable[[], T]) -> T:
    """Run `work` in a network namespace, in a thread of its own, and wait; sockets made there stay in it."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter_netns(path)
            outcome.append(work())
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    # The thread ends in the other namespace: it must be a fresh one, never one of a pool.
    thread = threading.Thread(target=body, name="in-netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def socket_in(netns: str, family: int, kind: int) -> socket.socket:
    """A socket that lives in another network namespace."""
    return in_netns(netns, lambda: socket.socket(family, kind))


async def exited(pid: int) -> None:
    """Wait until a process has ended, child or not; at once if there is none with this id."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(handle, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def reap(pid: int) -> None:
    """Collect an ended child; nothing to do where somebody else is its parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


async def kill(pids: Iterable[int], sig: signal.Signals = signal.SIGKILL) -> None:
    """Signal processes and wait until all have ended."""
    victims = list(pids)
    for pid in victims:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            continue
    for pid in victims:
        await exited(pid)
        reap(pid)


def processes(match: Callable[[list[str]], bool]) -> list[int]:
    """The processes whose command line matches."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words and match(words):
                found.append(int(entry))
    return found


def _check(result: int, subject: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)
