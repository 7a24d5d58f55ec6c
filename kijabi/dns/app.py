"""The DNS component: keeps `records` true from the informers and this node's server behind the `kube-dns` Service.

Every node answers for itself: the Service has internalTrafficPolicy Local and one EndpointSlice per node, written
here, so a pod's question never leaves its node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import (
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    service_of,
)
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
RETRY = 1.0


class DnsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """address, port: where to listen. node: whose server this is ("" to publish nothing). upstream: other servers.

    service_ip: the address that pods are told (the kube-dns Service's).
    """

    domain: str = "cluster.local"
    address: str
    port: int = 53
    node: str = ""
    service_ip: str = ""
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


def published_slice(config: DnsConfig) -> EndpointSlice:
    """This node's server as an endpoint of the kube-dns Service."""
    return EndpointSlice(
        metadata=ObjectMeta(
            name=f"{SERVICE}-{config.node}",
            namespace=NAMESPACE,
            labels={SERVICE_NAME: SERVICE, "endpointslice.kubernetes.io/managed-by": "dns.kijabi"},
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


def published_service(config: DnsConfig) -> Service:
    """The Service at the cluster DNS address; each node answers for itself."""
    return Service(
        metadata=ObjectMeta(
            name=SERVICE,
            namespace=NAMESPACE,
            labels={"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "KubeDNS"},
        ),
        spec=ServiceSpec(
            type="ClusterIP",
            clusterIP=config.service_ip,
            clusterIPs=(config.service_ip,),
            internalTrafficPolicy="Local",
            ports=(
                ServicePort(name="dns", port=53, protocol="UDP", targetPort=53),
                ServicePort(name="dns-tcp", port=53, protocol="TCP", targetPort=53),
            ),
        ),
    )


async def publish(client: Client, config: DnsConfig) -> None:
    """Make the Service and this node's slice of it be so; tries until the API server takes them."""
    while True:
        try:
            await _create(client, published_service(config))
            wanted = published_slice(config)
            if not await _create(client, wanted):
                have = await client.get(EndpointSlice, wanted.metadata.name, NAMESPACE)
                if (have.endpoints, have.ports) != (wanted.endpoints, wanted.ports):
                    wanted.metadata.resourceVersion = have.metadata.resourceVersion
                    await client.update(wanted)
            return
        except (ApiError, ConnectionLost) as error:
            log.warning("publishing the DNS server failed", extra={"error": str(error)})
            await asyncio.sleep(RETRY)


async def _create(client: Client, wanted: Service | EndpointSlice) -> bool:
    """Create an object; False if it is there already.

    Looks first: a Service made by another node holds the address, so that creating it is not a conflict but invalid.
    """
    try:
        await client.get(type(wanted), wanted.metadata.name, wanted.metadata.namespace)
    except NotFound:
        try:
            await client.create(wanted)
            return True
        except AlreadyExists:
            return False
    return False


async def run(config: DnsConfig, client: Client, informers: Informers, started: asyncio.Event | None = None) -> None:
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
