"""Every node publishes its DNS server: one Service, a slice each."""

from __future__ import annotations

from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.dns.app import DnsConfig, publish
from kijabi.testing.cluster import cluster


async def test_nodes_publish_one_service_and_a_slice_each_and_may_come_back_with_another_address() -> None:
    async with cluster(nodes=0) as world:
        for node, address in (("a", "10.0.1.1"), ("b", "10.0.2.1"), ("a", "10.0.3.1")):
            config = DnsConfig(address=address, node=node, service_ip="10.96.0.10")
            await publish(world.admin, config)
        service = await world.admin.get(Service, "kube-dns", "kube-system")
        assert service.spec.clusterIP == "10.96.0.10"
        found = await world.admin.list(EndpointSlice, "kube-system", labels="kubernetes.io/service-name=kube-dns")
        assert {each.endpoints[0].addresses for each in found.items} == {("10.0.3.1",), ("10.0.2.1",)}
