"""Runs the machine's own tools: `ip`, `nft`, `ctr`, `conntrack`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable

from kijabi.base.errors import KijabiError

MAX_COMPLAINT = 2000  # characters of what a tool complained of; nft repeats its whole input


class CommandFailed(KijabiError):
    """A tool ended with a code that its caller did not expect; the message has what it complained of."""


async def run(*command: str, input: str = "", ok: Iterable[int] = (0,)) -> str:
    """Run a tool to its end and give what it printed. Raises CommandFailed.

    The input is a memory file and not a pipe: a tool that ends before it has read everything is then no error here.
    """
    descriptor = _memory_file(input.encode())
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=descriptor, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    finally:
        os.close(descriptor)
    out, errors = await process.communicate()
    if process.returncode not in tuple(ok):
        complaint = errors.decode(errors="replace").strip()[:MAX_COMPLAINT]
        raise CommandFailed(f"{' '.join(command)}: exit {process.returncode}: {complaint}")
    return out.decode(errors="replace")


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
