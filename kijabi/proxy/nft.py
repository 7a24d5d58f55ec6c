"""The thin end of the proxy: hands scripts to `nft` and to `conntrack`, and nothing else.

Both run in the network namespace of this process, which is the node's.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.base.process import run
from kijabi.proxy.services import Backend, Frontend


async def apply(script: str) -> None:
    """Apply a script as one transaction, or raise CommandFailed and change nothing."""
    await run("nft", "-f", "-", input=script)


async def remove(table: str) -> None:
    """Delete a table; none is as good."""
    await apply(f"table ip {table}\ndelete table ip {table}\n")


async def set_route(cidr: str, device: str, source: str) -> None:
    """A route for Service addresses, so that a host without a default route can reach them as well."""
    await run("ip", "route", "replace", cidr, "dev", device, "src", source)


async def forget(flows: Sequence[tuple[Frontend, Backend | None]]) -> None:
    """Drop conntrack entries of UDP flows, see rules.lost_udp. That there were none is no error."""
    for frontend, backend in flows:
        command = ["conntrack", "-D", "-p", frontend.protocol, "--orig-port-dst", str(frontend.port)]
        if frontend.address:
            command += ["--orig-dst", frontend.address]
        if backend is not None:
            command += ["--reply-src", backend.address]
        await run(*command, ok=(0, 1))  # 1: there was none
