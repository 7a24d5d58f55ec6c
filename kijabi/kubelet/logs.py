"""The format of container logs (CRI): one line for each write, with time, stream and whether the line goes on.

    2026-11-22T12:00:00.123456789Z stdout F the text

Pure; `logreader.py` serves logs with it, `messages.py` reads tails.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One log entry. full: whether the line ends here; text: with its newline if so."""

    time: bytes
    stream: bytes
    full: bool
    text: bytes


def parse(line: bytes) -> Entry | None:
    """Read one line, without its newline; None for what is no entry (cut off, damaged)."""
    time, _, rest = line.partition(b" ")
    stream, _, rest = rest.partition(b" ")
    tag, separator, text = rest.partition(b" ")
    if stream not in (b"stdout", b"stderr") or not (separator or tag):
        return None
    if len(time) < 20 or time[4:5] != b"-":
        return None
    full = not tag.startswith(b"P")
    return Entry(time, stream, full, text + b"\n" if full else text)


def lines_of(raw: bytes, *, partial_first: bool = False) -> list[bytes]:
    """The texts of raw log bytes. partial_first: the first line may be cut off at its start."""
    lines = raw.split(b"\n")
    if partial_first and lines and parse(lines[0]) is None:
        lines = lines[1:]
    entries = (parse(line) for line in lines if line)
    return [entry.text for entry in entries if entry is not None]
