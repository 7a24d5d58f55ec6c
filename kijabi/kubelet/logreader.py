"""Reading a container's log as `kubectl logs` asks for it: tail, since, timestamps, streams, and following.

Called by `server.py`; gives chunks of plain text. A followed log is waited for by inotify (`base/filewatch.py`),
survives rotation, and ends when its container has ended.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO, Literal

import msgspec

from kijabi.api.meta import Time
from kijabi.base.filewatch import FileWatch
from kijabi.kubelet.logs import Entry, parse

CHUNK = 64 * 1024
# How long a follower trusts its watch before it looks anyway, in seconds.
LOOK_AGAIN = 5.0


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What of the log is wanted. since: seconds since the epoch; tail: lines, None for all; limit: bytes."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: float | None = None
    stream: Literal["All", "Stdout", "Stderr"] = "All"


class _Writer:
    """Turns entries into text: filters, adds timestamps, and stops at the limit."""

    def __init__(self, options: LogOptions) -> None:
        self._options = options
        self._left = options.limit
        self._stream = {"Stdout": b"stdout", "Stderr": b"stderr"}.get(options.stream)
        self._fresh = {b"stdout": True, b"stderr": True}
        self._late = options.since is None

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self._left is not None and self._left <= 0

    def text(self, entry: Entry) -> bytes:
        """What an entry adds to the output."""
        if self._stream is not None and entry.stream != self._stream:
            return b""
        if not self._late:
            assert self._options.since is not None
            if Time.parse(entry.time.decode()).timestamp() + _fraction(entry.time) < self._options.since:
                return b""
            self._late = True
        text = entry.text
        if self._options.timestamps and self._fresh[entry.stream]:
            text = entry.time + b" " + text
        self._fresh[entry.stream] = entry.full
        if self._left is not None:
            text = text[: self._left]
            self._left -= len(text)
        return text


def _fraction(time: bytes) -> float:
    """The part of a second in an RFC 3339 time."""
    digits = time.partition(b".")[2].rstrip(b"Z").partition(b"+")[0].partition(b"-")[0]
    return float(b"0." + digits) if digits.isdigit() else 0.0


async def read(
    path: str, options: LogOptions, running: Callable[[], bool], following: Callable[[FileWatch], None] | None = None
) -> AsyncIterator[bytes]:
    """The log in chunks. running: whether the container still runs, so that following goes on.

    following(watch) is called when the log is followed, so that the caller can `notify` that the container ended.
    Raises FileNotFoundError if there is no log and none can come.
    """
    watch = FileWatch(os.path.dirname(path)) if options.follow else None
    if watch is not None and following is not None:
        following(watch)
    try:
        while watch is not None and not _exists(path) and running():
            await watch.wait(LOOK_AGAIN)
        async for chunk in _read(path, options, running, watch):
            yield chunk
    finally:
        if watch is not None:
            watch.close()


async def _read(
    path: str, options: LogOptions, running: Callable[[], bool], watch: FileWatch | None
) -> AsyncIterator[bytes]:
    writer = _Writer(options)
    log = _open(path)
    try:
        log.seek(_tail_offset(log, options.tail))
        rest = b""
        while not writer.full:
            alive = watch is not None and running()
            raw = log.read(CHUNK)
            if raw:
                *lines, rest = (rest + raw).split(b"\n")
                out = b"".join(writer.text(entry) for line in lines if (entry := parse(line)) is not None)
                if out:
                    yield out
                continue
            if _replaced(log, path):
                log.close()
                log, rest = _open(path), b""
            elif not alive:
                return
            else:
                assert watch is not None
                await watch.wait(LOOK_AGAIN)
    finally:
        log.close()


def _exists(path: str) -> bool:
    return os.path.exists(path)


def _open(path: str) -> BinaryIO:
    """Opened here and closed by `_read`, which replaces it when the log is rotated."""
    return open(path, "rb")


def _replaced(log: BinaryIO, path: str) -> bool:
    """Whether the log was rotated: another file has its name now."""
    try:
        now, own = os.stat(path), os.fstat(log.fileno())
    except FileNotFoundError:
        return False
    return (now.st_ino, now.st_dev) != (own.st_ino, own.st_dev)


def _tail_offset(log: BinaryIO, lines: int | None) -> int:
    """Where the last `lines` lines begin."""
    if lines is None:
        return 0
    size = log.seek(0, os.SEEK_END)
    if lines == 0:
        return size
    wanted = lines + 1
    at = size
    while at > 0:
        step = min(CHUNK, at)
        at -= step
        log.seek(at)
        block = log.read(step)
        if at + step == size and not block.endswith(b"\n"):
            wanted -= 1
        found = block.count(b"\n")
        if found < wanted:
            wanted -= found
            continue
        position = len(block)
        for _ in range(wanted):
            position = block.rindex(b"\n", 0, position)
        return at + position + 1
    return 0
