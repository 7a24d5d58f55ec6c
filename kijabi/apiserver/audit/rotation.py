"""A log file that is put away when it is full; old ones are compressed and in the end removed.

`logfile.py` writes through it, from its thread; the tidying of old files has a thread of its own, for compressing
takes seconds. Names and rules are those of lumberjack, which upstream's API server uses, so that whatever collects its
logs finds ours: `audit-2006-01-02T15-04-05.000.log`, UTC, `.gz` at the end when compressed.
"""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from kijabi.base import clock

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024
MODE, FOLDER_MODE = 0o600, 0o700
_FORMAT = "%Y-%m-%dT%H-%M-%S"
_COMPRESSED = ".gz"


class Limits(NamedTuple):
    """size: bytes of a file, 0 for no end. backups: old files kept; days: for so long; 0 of either for no limit."""

    size: int = 100 * MEGABYTE
    backups: int = 100
    days: int = 366
    compress: bool = False


class Descriptor:
    """An open file that nobody rotates, such as standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, lines: Sequence[bytes]) -> None:
        """See logfile.Output."""
        write_all(self._descriptor, b"".join(lines))

    def close(self) -> None:
        """See logfile.Output: whoever opened it closes it."""


class RotatingFile:
    """A file of limited size. Made by `opened`."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._descriptor = -1
        self._size = 0
        self._tidier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-tidy")

    def write(self, lines: Sequence[bytes]) -> None:
        """See logfile.Output."""
        most, first, size = self._limits.size, 0, 0
        self._open()
        for index, line in enumerate(lines):
            if most and self._size + size + len(line) > most and self._size + size:
                self._append(lines[first:index])
                self._rotate()
                first, size = index, 0
            size += len(line)
        self._append(lines[first:])

    def close(self) -> None:
        """See logfile.Output."""
        self._tidier.shutdown(wait=True)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, lines: Sequence[bytes]) -> None:
        data = b"".join(lines)
        write_all(self._descriptor, data)
        self._size += len(data)

    def _open(self) -> None:
        """The file as it is, on the first write and after a failure."""
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, MODE)
            self._size = os.fstat(self._descriptor).st_size
            self._tidy()

    def _rotate(self) -> None:
        """Put the file away under the present moment, and begin a new one with the same rights."""
        mode = stat.S_IMODE(os.fstat(self._descriptor).st_mode)
        os.close(self._descriptor)
        self._descriptor = -1
        os.rename(self._path, backup(self._path, clock.now()))
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, mode)
        self._size = 0
        self._tidy()

    def _tidy(self) -> None:
        self._tidier.submit(tidy, self._path, self._limits, clock.now())


def opened(path: Path, limits: Limits) -> RotatingFile | Descriptor:
    """The log at a path, its folder made; `-` is standard output. Raises OSError."""
    if str(path) == "-":
        return Descriptor(1)
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, MODE))
    return RotatingFile(path, limits)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, in as many goes as it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def backup(path: Path, moment: datetime) -> Path:
    """What a file is called that is put away at a moment."""
    digits = f"{moment.astimezone(UTC).strftime(_FORMAT)}.{moment.microsecond // 1000:03d}"
    return path.with_name(f"{path.stem}-{digits}{path.suffix}")


def moment_of(path: Path, name: str) -> datetime | None:
    """When the file of this name was put away; None if it is no old file of the log at `path`."""
    text = name.removesuffix(_COMPRESSED)
    if not (text.startswith(f"{path.stem}-") and text.endswith(path.suffix)):
        return None
    digits = text[len(path.stem) + 1 : len(text) - len(path.suffix)]
    seconds, dot, millis = digits.partition(".")
    try:
        found = datetime.strptime(seconds, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found + timedelta(milliseconds=int(millis)) if dot and len(millis) == 3 and millis.isdigit() else None


class Chores(NamedTuple):
    """What is to be done with old files."""

    remove: tuple[str, ...]
    compress: tuple[str, ...]


def chores(path: Path, names: Iterable[str], limits: Limits, now: datetime) -> Chores:
    """Which old files go and which are compressed; pure. A file counts once, compressed or not."""
    found = sorted(((moment, name) for name in names if (moment := moment_of(path, name))), reverse=True)
    oldest = now - timedelta(days=limits.days)
    kept: set[str] = set()
    remove: list[str] = []
    rest: list[str] = []
    for moment, name in found:
        kept.add(name.removesuffix(_COMPRESSED))
        many = limits.backups and len(kept) > limits.backups
        old = limits.days and moment < oldest
        (remove if many or old else rest).append(name)
    packed = tuple(name for name in rest if limits.compress and not name.endswith(_COMPRESSED))
    return Chores(tuple(remove), packed)


def tidy(path: Path, limits: Limits, now: datetime) -> None:
    """Remove and compress old files. What cannot be done now is tried after the next rotation."""
    try:
        work = chores(path, (entry.name for entry in os.scandir(path.parent)), limits, now)
        for name in work.remove:
            path.with_name(name).unlink(missing_ok=True)
        for name in work.compress:
            _compress(path.with_name(name))
    except OSError as error:
        log.warning("old audit logs not tidied", extra={"path": str(path), "reason": str(error)})


def _compress(path: Path) -> None:
    packed = path.with_name(path.name + _COMPRESSED)
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        descriptor = os.open(packed, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode)
        with path.open("rb") as source, open(descriptor, "wb") as raw, gzip.GzipFile("", "wb", 6, raw) as target:
            shutil.copyfileobj(source, target, MEGABYTE)
    except OSError:
        packed.unlink(missing_ok=True)
        raise
    path.unlink()
