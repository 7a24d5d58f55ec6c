"""The proxy as a process runs it: `cmd` hands in the informers and the node's network."""

from __future__ import annotations

import asyncio
import ipaddress

import msgspec

from kijabi.client.informer import Informers
from kijabi.proxy import nft
from kijabi.proxy.loop import Proxy
from kijabi.proxy.rules import ProxyConfig


class NodeNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A node's name, the bridge its pods hang on, and the bridge's address."""

    node: str
    bridge: str
    address: str


async def run(
    config: ProxyConfig, network: NodeNetwork, informers: Informers, programmed: asyncio.Event | None = None
) -> None:
    """Proxy until cancelled. The caller runs the informers. The table stays when this ends: connections go on."""
    ipaddress.ip_network(config.service_cidr)
    if network.bridge:
        await nft.set_route(config.service_cidr, network.bridge, network.address)
    proxy = Proxy(config, network.node, informers)
    if programmed is not None:
        proxy.programmed = programmed
    await proxy.run()
