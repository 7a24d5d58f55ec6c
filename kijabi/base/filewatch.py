"""Waiting for files in a directory to change, by inotify, without polling and without threads.

The kubelet's `logreader.py` waits for logs; `follow` takes up configuration files that were changed. Where the kernel's
watches are used up, waiting falls back to its own time limit.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

log = logging.getLogger(__name__)

_LIBC = ctypes.CDLL(None, use_errno=True)
CHECK = 60.0  # seconds after which a followed file is read again in any case
_MODIFY, _MOVED_TO, _CREATE, _CLOSE_WRITE = 0x2, 0x80, 0x100, 0x8


class FileWatch:
    """Watches a directory from its making to `close`. A directory that is not there is simply never seen to change."""

    def __init__(self, directory: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._fd = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            log.info("no inotify", extra={"reason": os.strerror(ctypes.get_errno())})
            return
        mask = _MODIFY | _MOVED_TO | _CREATE | _CLOSE_WRITE
        if _LIBC.inotify_add_watch(self._fd, os.fsencode(directory), mask) < 0:
            log.info("cannot watch", extra={"path": directory, "reason": os.strerror(ctypes.get_errno())})
        self._loop.add_reader(self._fd, self._readable)

    async def wait(self, longest: float) -> None:
        """Return at the next change since the last wait, or after so many seconds."""
        try:
            async with asyncio.timeout(longest):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()

    def notify(self) -> None:
        """End the wait that is under way, or the next one."""
        self._changed.set()

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _readable(self) -> None:
        try:
            os.read(self._fd, 4096)
        except BlockingIOError:
            return
        self._changed.set()


async def follow(path: Path, content: bytes, changed: Callable[[bytes], Awaitable[bool]]) -> None:
    """Call `changed` with the file's content whenever it is another than before, at first than `content`; for ever.

    When it says False the content is offered again with the next event or check. Replacing the file by a rename, or the
    link that leads to it, is seen too.
    """
    watch = FileWatch(str(path.parent))
    try:
        while True:
            found = _content(path)
            if found is not None and found != content and await changed(found):
                content = found
            await watch.wait(CHECK)
    finally:
        watch.close()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError as error:
        log.warning("file not read again", extra={"path": str(path), "reason": str(error)})
        return None
