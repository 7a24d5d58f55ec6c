"""The world of `benchmarks/controllers.py`: many objects of every kind that controllers care for, and what befalls
them.

`make` fills a world, `touches` gives the events. Objects are written as users write them and through the API server;
`World.kubelets` stands for all kubelets and the scheduler: it binds, makes ready, and ends what is deleted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import catalog, codec
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.api.core.binding import Binding
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informers

SHARE = 10  # objects for each namespace and each node
OWNERS: tuple[type[Any], ...] = (Deployment, StatefulSet, DaemonSet, Job, ReplicationController)
Touch = Callable[[int], Awaitable[None]]


class World:
    """Where it all happens. size: how many objects of each kind; namespaces and nodes are a tenth."""

    def __init__(self, client: Client, size: int) -> None:
        self.client = client
        self.size = size
        self.nodes = max(size // SHARE, 1)
        self.informers = Informers(client)
        self.pods = self.informers.of(Pod, indexes={"app": lambda pod: (pod.metadata.labels.get("app", ""),)})
        self._changed: deque[Pod] = deque()
        self._wake = asyncio.Event()
        self.pods.add_handler(self._on_pod)
        self._turn = 0

    def place(self, number: int) -> str:
        """The namespace of the object with this number."""
        return f"ns-{number // SHARE}"

    def pod(self, kind: type[Any], number: int) -> Pod | None:
        """The pod of a workload, if it is there and alive."""
        found = [pod for pod in self.pods.index("app", _app(kind, number)) if pod.metadata.deletionTimestamp is None]
        return found[0] if found else None

    async def create(self, cls: type[Any], data: dict[str, Any]) -> None:
        """Create an object from wire data."""
        resource = catalog.by_type(cls)
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **data}
        await self.client.create(codec.from_builtins(cls, whole))

    async def patch(self, cls: type[Any], name: str, place: str, patch: dict[str, Any], sub: str = "") -> None:
        """Change an object."""
        await self.client.patch(cls, name, patch, namespace=place, type="merge", subresource=sub)

    # ---- kubelets and scheduler

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            self._changed.append(new)
            self._wake.set()

    async def kubelets(self) -> None:
        """Bind, make ready, and end, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.informers.run())
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._changed:
                    await self._advance(self._changed.popleft())

    async def _advance(self, pod: Pod) -> None:
        meta = pod.metadata
        try:
            if meta.deletionTimestamp is not None:
                await self.client.delete(Pod, meta.name, meta.namespace, grace=0, uid=meta.uid)
            elif not pod.spec.nodeName:
                await self._bind(pod)
            elif not pod.status.phase or pod.status.phase == "Pending":
                await self.ready(pod, True)
        except (NotFound, Conflict):  # it went on meanwhile: its next event says how
            return

    async def _bind(self, pod: Pod) -> None:
        meta = pod.metadata
        body = Binding(
            apiVersion="v1",
            kind="Binding",
            metadata=ObjectMeta(name=meta.name, namespace=meta.namespace),
            target=ObjectReference(kind="Node", name=self._node_for(pod)),
        )
        await self.client.subresource("POST", catalog.by_type(Pod), meta.name, meta.namespace, "binding", body)

    def _node_for(self, pod: Pod) -> str:
        """The node that a daemon's pod names, any other in turn."""
        affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
        wanted = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
        if wanted is not None:
            return wanted.nodeSelectorTerms[0].matchFields[0].values[0]
        self._turn += 1
        return f"n-{self._turn % self.nodes}"

    async def ready(self, pod: Pod, is_so: bool) -> None:
        """Report a pod running, and ready or not."""
        now, number = str(time_now()), int(pod.metadata.uid[:6], 16)
        address = f"172.{16 + number % 16}.{number // 16 % 256}.{number // 4096 % 254 + 1}"
        conditions = [
            {"type": kind, "status": str(is_so), "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")
        ]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions,
                  "startTime": now}  # fmt: skip
        meta = pod.metadata
        await self.client.patch(
            Pod, meta.name, {"metadata": {"uid": meta.uid}, "status": status},
            namespace=meta.namespace, type="strategic", subresource="status",
        )  # fmt: skip


def _app(kind: type[Any], number: int) -> str:
    return f"{kind.__name__.lower()}-{number}"


def _template(app: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "10m"}}}
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}


async def make(world: World) -> None:
    """Fill the world."""
    for number in range(world.nodes):
        labels = {"kubernetes.io/hostname": f"n-{number}", "topology.kubernetes.io/zone": f"z-{number % 3}"}
        await world.create(Node, {"metadata": {"name": f"n-{number}", "labels": labels}})
        conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": str(time_now())}]
        allocatable = {"cpu": "32", "memory": "64Gi", "pods": "1000"}
        status = {"conditions": conditions, "allocatable": allocatable, "capacity": allocatable}
        await world.patch(Node, f"n-{number}", "", {"status": status}, "status")
    for number in range(world.size):
        place = world.place(number)
        if number % SHARE == 0:
            await world.create(Namespace, {"metadata": {"name": place}})
            await asyncio.sleep(0.1)  # it gets its service account
            quota = {"metadata": {"name": "all", "namespace": place}, "spec": {"hard": {"pods": "1000"}}}
            await world.create(ResourceQuota, quota)
            await world.create(ClusterRole, {"metadata": {"name": place}, "rules": []})
            outside = [{"addresses": [{"ip": f"203.0.113.{number % 250 + 1}"}], "ports": [{"port": 80}]}]
            await world.create(Endpoints, {"metadata": {"name": "outside", "namespace": place}, "subsets": outside})
            service = {"metadata": {"name": "outside", "namespace": place}, "spec": {"ports": [{"port": 80}]}}
            await world.create(Service, service)
        await _workloads(world, number, place)
        await _beside(world, number, place)


async def _workloads(world: World, number: int, place: str) -> None:
    for kind in (Deployment, StatefulSet, DaemonSet):
        app = _app(kind, number)
        spec: dict[str, Any] = {"selector": {"matchLabels": {"app": app}}, "template": _template(app)}
        if kind is StatefulSet:
            spec["serviceName"] = app
        if kind is DaemonSet:
            spec["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": f"n-{number % world.nodes}"}
        await world.create(kind, {"metadata": {"name": app, "namespace": place}, "spec": spec})
    app = _app(ReplicationController, number)
    spec = {"selector": {"app": app}, "template": _template(app)}
    await world.create(ReplicationController, {"metadata": {"name": app, "namespace": place}, "spec": spec})
    job = {"template": _template(_app(Job, number), restartPolicy="Never")}
    await world.create(Job, {"metadata": {"name": _app(Job, number), "namespace": place}, "spec": job})
    job = {"template": _template("yearly", restartPolicy="Never")}
    yearly = {"schedule": "0 0 1 7 *", "jobTemplate": {"spec": job}}
    await world.create(CronJob, {"metadata": {"name": f"c-{number}", "namespace": place}, "spec": yearly})


async def _beside(world: World, number: int, place: str) -> None:
    app = _app(Deployment, number)
    meta = {"name": app, "namespace": place}
    await world.create(Service, {"metadata": meta, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}}
    await world.create(PodDisruptionBudget, {"metadata": meta, "spec": budget})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    await world.create(PersistentVolumeClaim, {"metadata": meta, "spec": {**claim, "volumeName": app}})
    volume = {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/nowhere"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": app, "namespace": place},
    }  # fmt: skip
    await world.create(PersistentVolume, {"metadata": {"name": app}, "spec": volume})
    await world.create(ConfigMap, {"metadata": meta, "data": {"a": "b"}})
    if number % (SHARE * SHARE) == 0:  # each is asked every 15 s, whatever happens
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app}
        await world.create(
            HorizontalPodAutoscaler, {"metadata": meta, "spec": {"scaleTargetRef": target, "maxReplicas": 3}}
        )


def touches(world: World) -> list[Touch]:
    """What befalls the objects of a number, one thing each."""
    found: list[Touch] = []
    for kind in OWNERS:
        found += [_relabelled(world, kind), _flickers(world, kind), _loses(world, kind)]
    found += [_relabelled(world, kind) for kind in (Service, PodDisruptionBudget, PersistentVolumeClaim, ConfigMap)]
    return [*found, *_others(world)]


def _name(kind: type[Any], number: int) -> str:
    return _app(kind if kind in OWNERS else Deployment, number)


def _relabelled(world: World, kind: type[Any]) -> Touch:
    async def touch(number: int) -> None:
        patch = {"metadata": {"labels": {"touched": str(time_now()).replace(":", "-")}}}
        await world.patch(kind, _name(kind, number), world.place(number), patch)

    return touch


def _flickers(world: World, kind: type[Any]) -> Touch:
    """A pod becomes unready and ready again."""

    async def touch(number: int) -> None:
        pod = world.pod(kind, number)
        if pod is not None:
            await world.ready(pod, False)
            await asyncio.sleep(1)
            await world.ready(pod, True)

    return touch


def _loses(world: World, kind: type[Any]) -> Touch:
    """A pod is deleted."""

    async def touch(number: int) -> None:
        pod = world.pod(kind, number)
        if pod is not None:
            await world.client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace=30)

    return touch


def _others(world: World) -> list[Touch]:
    async def scale(number: int) -> None:
        for replicas in (2, 1):
            patch = {"spec": {"replicas": replicas}}
            await world.patch(Deployment, _app(Deployment, number), world.place(number), patch)
            await asyncio.sleep(1)

    async def volume(number: int) -> None:
        patch = {"metadata": {"labels": {"touched": str(time_now()).replace(":", "-")}}}
        await world.patch(PersistentVolume, _app(Deployment, number), "", patch)

    async def node(number: int) -> None:
        name = f"n-{number % world.nodes}"
        for taints in ([{"key": "a", "effect": "NoSchedule"}], None):
            await world.patch(Node, name, "", {"spec": {"taints": taints}})
            await asyncio.sleep(1)

    async def account(number: int) -> None:
        await world.client.delete(ServiceAccount, "default", world.place(number))

    async def quota(number: int) -> None:
        patch = {"spec": {"hard": {"pods": str(900 + number % 100)}}}
        await world.patch(ResourceQuota, "all", world.place(number), patch)

    async def endpoints(number: int) -> None:
        outside = [{"addresses": [{"ip": f"203.0.113.{number % 240 + 5}"}], "ports": [{"port": 81}]}]
        await world.patch(Endpoints, "outside", world.place(number), {"subsets": outside})

    async def namespace(number: int) -> None:
        await world.create(Namespace, {"metadata": {"name": "short-lived"}})
        await asyncio.sleep(1)
        await world.client.delete(Namespace, "short-lived")
        await asyncio.sleep(5)

    async def owner(number: int) -> None:
        """A workload is deleted with all that is its own, and made again."""
        app, place = _app(Deployment, number), world.place(number)
        kept = await world.client.get(Deployment, app, place)
        await world.client.delete(Deployment, app, place)
        await asyncio.sleep(5)
        kept.metadata = ObjectMeta(name=app, namespace=place, labels=dict(kept.metadata.labels))
        await world.client.create(kept)

    return [scale, volume, node, account, quota, endpoints, namespace, owner]
