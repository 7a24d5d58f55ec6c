"""The proxy as a process runs it: `cmd` hands in the informers and the node's network."""

from __future__ import annotations

import asyncio
import ipaddress

import msgspec

from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.proxy import nft
from kijabi.proxy.announcer import Announcer
from kijabi.proxy.loop import Proxy
from kijabi.proxy.rules import ProxyConfig


class NodeNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A node's name, the bridge its pods hang on, and the bridge's address.

    routed: networks besides that of Services that no link has, and that must lead somewhere to be translated.
    """

    node: str
    bridge: str
    address: str
    routed: tuple[str, ...] = ()


async def run(
    config: ProxyConfig, network: NodeNetwork, informers: Informers, programmed: asyncio.Event | None = None
) -> None:
    """Proxy until cancelled. The caller runs the informers. The table stays when this ends: connections go on."""
    ipaddress.ip_network(config.service_cidr)
    for cidr in (config.service_cidr, *network.routed) if network.bridge else ():
        await nft.set_route(cidr, network.bridge, network.address)
    recorder = Recorder(informers.client, "kube-proxy", network.node)
    proxy = Proxy(config, network.node, informers, recorder)
    if programmed is not None:
        proxy.programmed = programmed
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(proxy.run(), name="rules")
        tasks.create_task(recorder.run(), name="events")
        tasks.create_task(Announcer(network.node, informers).run(), name="announcer")
