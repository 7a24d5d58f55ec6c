"""The contract of providers, on the fake one and on the built-in one over the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.base.errors import NotFound
from kijabi.client.informer import Informers
from kijabi.controllers import runtime
from kijabi.controllers.cloud.bare.provider import Bare
from kijabi.controllers.cloud.interface import InstanceMetadata, Provider, Site
from kijabi.controllers.config import Config
from kijabi.controllers.runtime import Context
from kijabi.testing.cloud import FakeCloud, FakeProvider
from kijabi.testing.cloud_suite import CloudSuite
from kijabi.testing.cluster import World, cluster


class TestFake(CloudSuite):
    async def open(self) -> Provider:
        cloud = FakeCloud()
        cloud.machines["n1"] = InstanceMetadata(provider_id="fake://1")
        return FakeProvider(cloud)


class TestBare(CloudSuite):
    """With its own reclaimer, which makes deletions true."""

    @pytest.fixture(autouse=True)
    async def _world(self) -> AsyncIterator[None]:
        async with cluster(nodes=0, controllers_too=False) as world, asyncio.TaskGroup() as tasks:
            self.world: World = world
            informers = Informers(world.admin)
            context = Context(Config(load_balancer_pool=("10.0.0.1-10.0.0.9",)), world.admin, informers)
            self.provider = Bare(Site(config="", cluster="test", context=context))
            running = [tasks.create_task(informers.run())]
            running += [
                tasks.create_task(runtime.run(controller, 1))
                for controller in (build(context) for build in self.provider.controllers[:1])
            ]
            await informers.wait_synced()
            yield
            for task in running:
                task.cancel()

    async def open(self) -> Provider:
        return self.provider

    async def service(self, name: str) -> Service:
        spec = ServiceSpec(type="LoadBalancer", ports=(ServicePort(port=80),))
        return await self.world.admin.create(Service(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))

    async def settled(self, service: Service) -> None:
        """The claim is given back when the Service is gone."""
        await self.world.admin.delete(Service, service.metadata.name, "default")

        async def gone() -> bool:
            try:
                await self.world.admin.get(IPAddress, "10.0.0.1")
            except NotFound:
                return await self.provider.load_balancers.get(service) is None
            return False

        await self.world.until(gone)
