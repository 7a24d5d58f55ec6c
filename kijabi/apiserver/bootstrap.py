"""What every cluster has from its first moment: namespaces, the kubernetes Service, priority classes, default roles,
a storage class.

`app.py` calls `ensure` once the caches are loaded, at every start: what is missing is made, what a cluster must have
right (the address behind the kubernetes Service, rights of default roles) is mended, everything else is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

from kijabi.api import catalog, codec
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import SERVICE_NAME, Endpoint, EndpointConditions, EndpointSlice
from kijabi.api.discovery.endpointslice import EndpointPort as SlicePort
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.api.networking.servicecidr import ServiceCIDR, ServiceCIDRSpec
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.api.storage.storageclass import StorageClass
from kijabi.apiserver import flowdefaults, metadata
from kijabi.apiserver.authz import defaults
from kijabi.apiserver.registry import key_of
from kijabi.apiserver.storage import Changed, Storage
from kijabi.apiserver.strategy import prepare

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = (
    (
        2000000000,
        "system-cluster-critical",
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        2000001000,
        "system-node-critical",
        "Used for system critical pods that must not be moved from their current node.",
    ),
)
# Since when the use of tokens kept in Secrets is written down (`authn/legacy.py`): who cleans up those that nobody uses
# waits a year from then (KEP-2799).
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
# What is made once in a cluster's life and belongs to its administrator from then on: who deletes it, does not get it
# back. Here is written down what was made.
ONCE = "kijabi-made-once"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
Mend = Callable[[Any, Any], bool]


def never(there: Any, wanted: Any) -> bool:
    """What is there stays as it is."""
    return False


class Bootstrap:
    """Makes the default objects. address and port: where the API server is reached; cidr: of Services."""

    def __init__(self, storage: Storage, *, address: str, port: int, service_ip: str, service_cidr: str) -> None:
        self.storage = storage
        self.address = address
        self.port = port
        self.service_ip = service_ip
        self.service_cidr = service_cidr

    async def ensure(self) -> None:
        """Make and mend everything; idempotent."""
        for name in NAMESPACES:
            labels = {"kubernetes.io/metadata.name": name}
            await self.place(Namespace(metadata=ObjectMeta(name=name, labels=labels)))
        for value, name, text in PRIORITIES:
            await self.place(PriorityClass(metadata=ObjectMeta(name=name), value=value, description=text))
        async with asyncio.TaskGroup() as together:  # so that the store writes 170 objects in few transactions
            for default in defaults.all_defaults():
                together.create_task(self.place(codec.clone(default), defaults.mended))
            for flow in flowdefaults.all_defaults():
                together.create_task(self.place(codec.clone(flow), flowdefaults.mend))
        await self._service()
        since = ObjectMeta(name=TRACKING, namespace="kube-system")
        await self.place(ConfigMap(metadata=since, data={"since": time_now()[:10]}), mend_since)
        await self._once("storageclass-local-path", storage_class())

    async def _service(self) -> None:
        """The kubernetes Service and what is behind it."""
        cidr = ServiceCIDR(metadata=ObjectMeta(name="kubernetes"), spec=ServiceCIDRSpec(cidrs=(self.service_cidr,)))
        await self.place(cidr)
        labels = {"component": "apiserver", "provider": "kubernetes"}
        service = Service(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels=labels),
            spec=ServiceSpec(
                clusterIP=self.service_ip,
                clusterIPs=(self.service_ip,),
                type="ClusterIP",
                ports=(ServicePort(name="https", port=443, protocol="TCP", targetPort=self.port),),
            ),
        )
        await self.place(service, mend_service)
        endpoints = Endpoints(
            metadata=ObjectMeta(
                name="kubernetes", namespace="default", labels={"endpointslice.kubernetes.io/skip-mirror": "true"}
            ),
            subsets=(
                EndpointSubset(
                    addresses=(EndpointAddress(ip=self.address),),
                    ports=(EndpointPort(name="https", port=self.port, protocol="TCP"),),
                ),
            ),
        )
        await self.place(endpoints, mend_endpoints)
        points = EndpointSlice(
            metadata=ObjectMeta(name="kubernetes", namespace="default", labels={SERVICE_NAME: "kubernetes"}),
            addressType="IPv4",
            endpoints=(Endpoint(addresses=(self.address,), conditions=EndpointConditions(ready=True)),),
            ports=(SlicePort(name="https", port=self.port, protocol="TCP"),),
        )
        await self.place(points, mend_slice)

    async def _once(self, mark: str, wanted: Any) -> None:
        """Make an object unless that was done before, whatever has become of it since."""
        cache = self.storage.caches.of(catalog.by_type(ConfigMap))
        record = ConfigMap(metadata=ObjectMeta(name=ONCE, namespace="kube-system"), data={mark: time_now()[:10]})
        item = cache.get(key_of(record))
        if item is not None and mark in item.obj.data:
            return
        await self.place(wanted)
        await self.place(record, mend_record)

    async def place(self, wanted: Any, mend: Mend = never) -> None:
        """See `place` below."""
        await place(self.storage, wanted, mend)


async def place(storage: Storage, wanted: Any, mend: Mend = never) -> None:
    """Create an object, or mend the one that is there; whoever else does the same at the moment is right too."""
    resource = catalog.by_type(type(wanted))
    cache = storage.caches.of(resource)
    hook = storage.hooks.get(resource.qualified)
    await storage.caches.fresh()
    item = cache.get(key_of(wanted))
    try:
        if item is None:
            metadata.begin_create(wanted)
            resource.defaults(wanted)
            prepare(resource, wanted, None)
            metadata.count_generation(resource, wanted, None)
            if hook is not None:
                hook.prepare(wanted, None)
            effects = storage.effects(cache, wanted, None)
            await storage.put(cache, key_of(wanted), wanted, 0, effects)
            return
        there = codec.clone(item.obj)
        if mend(there, wanted):
            resource.defaults(there)
            metadata.count_generation(resource, there, item.obj)
            effects = storage.effects(cache, there, item.obj)
            await storage.put(cache, item.key, there, item.revision, effects)
    except Changed:
        return


def storage_class() -> StorageClass:
    """Serves claims that name no class, with directories on the disk of their pod's node (`kubelet/localpath/`)."""
    meta = ObjectMeta(name="local-path", annotations={DEFAULT_CLASS: "true"})
    return StorageClass(
        metadata=meta,
        provisioner="kijabi.dev/local-path",
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )


def mend_record(there: ConfigMap, wanted: ConfigMap) -> bool:
    """What was made now is added to what was made before."""
    there.data = {**there.data, **wanted.data}
    return True


def mend_service(there: Service, wanted: Service) -> bool:
    """The port behind the kubernetes Service follows the server's."""
    if there.spec.ports and there.spec.ports[0].targetPort == wanted.spec.ports[0].targetPort:
        return False
    there.spec.ports = wanted.spec.ports
    return True


def mend_since(there: ConfigMap, wanted: ConfigMap) -> bool:
    """The day stays, unless it is none."""
    try:
        date.fromisoformat(there.data.get("since", ""))
    except ValueError:
        there.data = {**there.data, **wanted.data}
        return True
    return False


def mend_endpoints(there: Endpoints, wanted: Endpoints) -> bool:
    """The Endpoints are the server's address."""
    changed = there.subsets != wanted.subsets
    there.subsets = wanted.subsets
    return changed


def mend_slice(there: EndpointSlice, wanted: EndpointSlice) -> bool:
    """The EndpointSlice is the server's address."""
    changed = (there.endpoints, there.ports) != (wanted.endpoints, wanted.ports)
    there.endpoints, there.ports = wanted.endpoints, wanted.ports
    return changed
