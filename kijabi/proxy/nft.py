"""The thin end of the proxy: hands scripts to `nft` and to `conntrack`, and nothing else.

Both run in the network namespace of this process, which is the node's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from kijabi.base.errors import KijabiError
from kijabi.proxy.services import Backend, Frontend

log = logging.getLogger(__name__)


class NftFailed(KijabiError):
    """nft refused a script; nothing of it was applied."""


async def _run(*command: str, text: str = "") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(text.encode())
    return process.returncode or 0, errors.decode(errors="replace").strip()


async def apply(script: str) -> None:
    """Apply a script as one transaction, or raise NftFailed and change nothing."""
    code, errors = await _run("nft", "-f", "-", text=script)
    if code:
        raise NftFailed(errors)


async def remove(table: str) -> None:
    """Delete a table; none is as good."""
    await apply(f"table ip {table}\ndelete table ip {table}\n")


async def set_route(cidr: str, device: str, source: str) -> None:
    """A route for Service addresses, so that a host without a default route can reach them as well."""
    code, errors = await _run("ip", "route", "replace", cidr, "dev", device, "src", source)
    if code:
        raise KijabiError(f"no route to {cidr} by {device}: {errors}")


async def forget(flows: Sequence[tuple[Frontend, Backend | None]]) -> None:
    """Drop conntrack entries of UDP flows, see rules.lost_udp. That there were none is no error."""
    for frontend, backend in flows:
        command = ["conntrack", "-D", "-p", frontend.protocol, "--orig-port-dst", str(frontend.port)]
        if frontend.address:
            command += ["--orig-dst", frontend.address]
        if backend is not None:
            command += ["--reply-src", backend.address]
        code, errors = await _run(*command)
        if code and "0 flow entries" not in errors:
            log.warning("conntrack", extra={"command": " ".join(command), "error": errors})
