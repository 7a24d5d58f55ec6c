"""What happened, as JSON lines: one object a line with time, level, component, logger, message and fields.

Modules log through the standard library, `logging.getLogger(__name__).info("synced", extra={"kind": "Pod"})`;
a process calls `setup` once and everything goes to its file in the data directory, or to standard error.
`kijabi logs` reads it back with `render`.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

# A log file is turned over at this many bytes, and so many old ones are kept.
MAX_BYTES = 20 << 20
KEEP = 3
# The longest text of a message or a field, in characters.
MAX_TEXT = 16_384

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_HEAD = ("time", "level", "component", "logger", "message")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: what is given as `extra` as fields, an exception as `traceback`."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self.component = component

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "component": self.component,
            "logger": record.name,
            "message": _bounded(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line[name if name not in line else f"{name}_"] = _bounded(value)
        if record.exc_info:
            line["traceback"] = _bounded(self.formatException(record.exc_info))
        try:
            return _encode(line).decode()
        except (TypeError, ValueError, RecursionError):
            return _encode({name: str(value) for name, value in line.items()}).decode()


def _bounded(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return value[:MAX_TEXT] + f"… ({len(value)} characters)"
    return value


class RotatingFile(logging.Handler):
    """Lines to a file that is turned over when it is full: `x.log`, `x.log.1` … `x.log.<keep>`.

    A full disk loses lines, not the process: `lost` counts them.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        super().__init__()
        self.path = path
        self.max_bytes = max_bytes
        self.keep = keep
        self.lost = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._opened()
        self._size = self._file.tell()

    def _opened(self) -> io.FileIO:
        # Logs may hold names and addresses: nobody else's business. Unbuffered, so that a crash loses
        # nothing.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        file = io.FileIO(descriptor, "a")
        file.seek(0, io.SEEK_END)
        return file

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        line = self.format(record).encode() + b"\n"
        try:
            if self._size and self._size + len(line) > self.max_bytes:
                self._turn()
            self._file.write(line)
            self._size += len(line)
        except OSError:
            self.lost += 1

    def _turn(self) -> None:
        self._file.close()
        for number in range(self.keep, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        self._file = self._opened()
        self._size = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def setup(
    component: str,
    path: Path | None = None,
    *,
    level: str = "info",
    max_bytes: int = MAX_BYTES,
    keep: int = KEEP,
) -> logging.Handler:
    """Send everything that is logged from `level` on to a file (None: standard error). Calling it again
    replaces it.

    component: who we are, such as `apiserver`. Returns the handler, to be closed by nobody but the
    interpreter.
    """
    handler: logging.Handler
    if path is not None:
        handler = RotatingFile(path, max_bytes=max_bytes, keep=keep)
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(component))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for noisy in ("asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    return handler


def render(line: str) -> str:
    """A line for people: `12:00:00.000 INFO  informer: synced kind=Pod`. What is no JSON stays as it is."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return line.rstrip("\n")
    if not isinstance(found, Mapping) or "message" not in found:
        return line.rstrip("\n")
    head = {name: str(found.get(name, "")) for name in _HEAD}
    fields = " ".join(
        f"{name}={_shown(value)}" for name, value in found.items() if name not in _HEAD and name != "traceback"
    )
    logger = head["logger"].removeprefix("kijabi.")
    text = f"{head['time']} {head['level'].upper():7} {logger}: {head['message']}"
    traceback = str(found.get("traceback", ""))
    return text + (f" {fields}" if fields else "") + (f"\n{traceback}" if traceback else "")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value and '"' not in value else _encode(value).decode()
    return _encode(value).decode()
