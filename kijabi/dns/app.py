"""The DNS component: keeps `records` true from the informers and this node's server behind the `kube-dns` Service.

Every node answers for itself: the Service has internalTrafficPolicy Local and one EndpointSlice per node, written
here, so a pod's question never leaves its node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import AlreadyExists, ApiError, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.dns.forward import Forwarder
from kijabi.dns.records import Records, service_records
from kijabi.dns.server import Server

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
SERVICE = "kube-dns"
SERVICE_LABEL = "kubernetes.io/service-name"
RETRY = 1.0


class DnsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """address, port: where to listen. node: whose server this is ("" to publish nothing). upstream: other servers."""

    domain: str = "cluster.local"
    address: str
    port: int = 53
    node: str = ""
    upstream: Sequence[str] = ()


class Feed:
    """Turns informer events into records, one Service at a time."""

    def __init__(self, informers: Informers, records: Records) -> None:
        self._records = records
        self._services = informers.of(Service)
        self._slices = informers.of(EndpointSlice, indexes={"dns-service": service_of})
        self._services.add_handler(self._on_service)
        self._slices.add_handler(self._on_slice)

    async def wait_synced(self) -> None:
        await self._services.wait_synced()
        await self._slices.wait_synced()

    def _on_service(self, old: Service | None, new: Service | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr]
        self._refresh(f"{meta.namespace}/{meta.name}")

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for key in {key for slice_ in (old, new) if slice_ is not None for key in service_of(slice_)}:
            self._refresh(key)

    def _refresh(self, key: str) -> None:
        service = self._services.get(key)
        if service is None:
            self._records.remove_service(key)
            return
        slices = sorted(self._slices.index("dns-service", key), key=lambda s: s.metadata.name)
        self._records.set_service(key, service_records(service, slices, self._records.domain))


def service_of(slice_: EndpointSlice) -> tuple[str, ...]:
    """`namespace/name` of the Service that a slice belongs to."""
    name = slice_.metadata.labels.get(SERVICE_LABEL, "")
    return (f"{slice_.metadata.namespace}/{name}",) if name else ()


def published_slice(config: DnsConfig) -> EndpointSlice:
    """This node's server as an endpoint of the kube-dns Service."""
    return EndpointSlice(
        metadata=ObjectMeta(
            name=f"{SERVICE}-{config.node}",
            namespace=NAMESPACE,
            labels={SERVICE_LABEL: SERVICE, "endpointslice.kubernetes.io/managed-by": "dns.kijabi"},
        ),
        addressType="IPv4",
        endpoints=(
            Endpoint(
                addresses=(config.address,),
                nodeName=config.node,
                conditions=EndpointConditions(ready=True, serving=True, terminating=False),
            ),
        ),
        ports=(
            EndpointPort(name="dns", protocol="UDP", port=config.port),
            EndpointPort(name="dns-tcp", protocol="TCP", port=config.port),
        ),
    )


async def publish(client: Client, config: DnsConfig) -> None:
    """Make the slice be so; tries until the API server takes it."""
    wanted = published_slice(config)
    while True:
        try:
            try:
                have = await client.get(EndpointSlice, wanted.metadata.name, NAMESPACE)
            except NotFound:
                await client.create(wanted)
                return
            if (have.endpoints, have.ports) != (wanted.endpoints, wanted.ports):
                wanted.metadata.resourceVersion = have.metadata.resourceVersion
                await client.update(wanted)
            return
        except AlreadyExists:
            continue
        except (ApiError, ConnectionLost) as error:
            log.warning("publishing the DNS server failed", extra={"error": str(error)})
            await asyncio.sleep(RETRY)


async def run(
    config: DnsConfig, client: Client, informers: Informers, started: asyncio.Event | None = None
) -> None:
    """Serve DNS until cancelled. The caller runs the informers."""
    records = Records(config.domain)
    feed = Feed(informers, records)
    await feed.wait_synced()
    server = Server(records, Forwarder(config.upstream))
    listening = started or asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(config.address, config.port, listening), name="dns server")
        await listening.wait()
        if config.node:
            await publish(client, config)
