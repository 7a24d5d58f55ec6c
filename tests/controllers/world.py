"""The real API server in memory, the real controllers, and nodes that only pretend, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import catalog
from kijabi.api.coordination.lease import Lease, LeaseSpec
from kijabi.api.core import nodefit
from kijabi.api.core.binding import Binding
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeCondition, NodeStatus
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta, micro_now, time_now
from kijabi.apiserver.admission.chain import Chain, plugins
from kijabi.apiserver.app import App, Security, Settings, open_to_all
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.base import rand
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.client.transport import Transport
from kijabi.controllers import app as controllers
from kijabi.controllers import pods as podlib
from kijabi.controllers.config import Config
from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.cluster import MANAGER
from kijabi.testing.direct import Believing, Direct
from kijabi.testing.faults import NONE, FaultyTransport


def security(app: App) -> Security:
    """As in a real cluster, but for certificates: what the controllers may not do, they cannot."""
    rbac = Rbac()
    rbac.start(app.caches)
    free = open_to_all(app.caches)
    return free._replace(authenticator=Believing(), authorizer=rbac, admission=Chain(plugins(app.caches, rbac, rbac)))


class World:
    """What a test holds: `client` speaks to the server without faults, the controllers through `network`."""

    def __init__(self, client: Client, network: FaultyTransport, tasks: asyncio.TaskGroup) -> None:
        self.client = client
        self.network = network
        self.tasks = tasks
        self.silent: set[str] = set()  # nodes whose kubelet died

    async def until(self, condition: Callable[[], Awaitable[Any]], seconds: float = 120) -> Any:
        """Wait until it gives something true, and give that; AssertionError if it takes longer."""
        end = asyncio.get_running_loop().time() + seconds
        while not (result := await condition()):
            assert asyncio.get_running_loop().time() < end, f"not within {seconds} s: {condition}"
            await asyncio.sleep(0.1)
        return result

    async def gone(self, cls: type[Any], name: str, namespace: str = "", seconds: float = 120) -> None:
        """Wait until an object does not exist."""

        async def absent() -> bool:
            try:
                await self.client.get(cls, name, namespace)
            except NotFound:
                return True
            return False

        await self.until(absent, seconds)

    async def namespace(self, name: str = "ns") -> None:
        """A namespace to work in."""
        await self.client.create(Namespace(metadata=ObjectMeta(name=name)))
        await asyncio.sleep(0.1)

    async def node(self, name: str, **labels: str) -> None:
        """A node that is ready and renews its lease every 10 s, and whose kubelet runs what is bound to it."""
        made = await self.client.create(Node(metadata=ObjectMeta(name=name, labels=labels)))
        made.status = NodeStatus(conditions=(NodeCondition(type="Ready", status="True", lastHeartbeatTime=time_now()),))
        await self.client.update_status(made)
        meta = ObjectMeta(name=name, namespace="kube-node-lease")
        await self.client.create(Lease(metadata=meta, spec=LeaseSpec(renewTime=micro_now(), leaseDurationSeconds=40)))
        self.tasks.create_task(self._renew(name))

    async def _renew(self, name: str) -> None:
        while True:
            await asyncio.sleep(10)
            if name in self.silent:
                continue
            lease = await self.client.get(Lease, name, "kube-node-lease")
            lease.spec.renewTime = micro_now()
            await self.client.update(lease)

    async def run_pods(self) -> None:
        """Bind pods to nodes in turn, make them run and be ready, and end those that are deleted."""
        informer = Informers(self.client).of(Pod)
        changed = asyncio.Event()
        informer.add_handler(lambda old, new: changed.set())
        self.tasks.create_task(informer.run())
        turn = 0
        while True:
            await changed.wait()
            changed.clear()
            await asyncio.sleep(rand.rng().uniform(0.01, 0.3))
            nodes = [n for n in (await self.client.list(Node)).items if n.metadata.name not in self.silent]
            for pod in tuple(informer.items()):
                fitting = [n.metadata.name for n in nodes if nodefit.selects(pod.spec, n)]
                if pod.spec.nodeName in self.silent or not fitting:
                    continue
                turn += 1
                try:
                    await self._advance(pod, fitting[turn % len(fitting)])
                except (NotFound, Conflict):
                    continue

    async def _advance(self, pod: Pod, node: str) -> None:
        meta = pod.metadata
        if meta.deletionTimestamp is not None:
            if pod.spec.nodeName:
                await self.client.delete(Pod, meta.name, meta.namespace, grace=0, uid=meta.uid)
            return
        if not pod.spec.nodeName:
            live = await self.client.get(Pod, meta.name, meta.namespace)
            if not live.spec.nodeName:
                await self.bind(live, node)
        elif podlib.ready(pod) and pod.spec.containers[0].image.startswith("exit:"):
            await self._end(pod, pod.spec.containers[0].image.removeprefix("exit:"))
        elif not podlib.terminal(pod) and not podlib.ready(pod) and pod.spec.containers[0].image != "broken":
            address = f"10.9.{rand.rng().randrange(250)}.{rand.rng().randrange(1, 250)}"
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": str(time_now())}
            status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready],
                      "startTime": str(time_now())}  # fmt: skip
            await self.client.patch(
                Pod,
                meta.name,
                {"metadata": {"uid": meta.uid}, "status": status},
                namespace=meta.namespace,
                type="strategic",
                subresource="status",
            )

    async def _end(self, pod: Pod, how: str) -> None:
        """Its container ends: with this code, with its index modulo 2 (`odd`), or by chance (`chance`)."""
        index = int(pod.metadata.annotations.get("batch.kubernetes.io/job-completion-index", "0"))
        code = {"odd": index % 2, "chance": int(rand.rng().random() < 0.3)}.get(how)
        code = int(how) if code is None else code
        now = str(time_now())
        ended = {"name": pod.spec.containers[0].name, "image": "x", "imageID": "x", "restartCount": 0, "ready": False,
                 "state": {"terminated": {"exitCode": code, "finishedAt": now, "startedAt": now}}}  # fmt: skip
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": now}
        phase = "Failed" if code else "Succeeded"
        status = {"phase": phase, "conditions": [ready], "containerStatuses": [ended]}
        await self.client.patch(
            Pod, pod.metadata.name, {"metadata": {"uid": pod.metadata.uid}, "status": status},
            namespace=pod.metadata.namespace, type="strategic", subresource="status",
        )  # fmt: skip

    async def bind(self, pod: Pod, node: str) -> None:
        """Bind as a scheduler does."""
        meta = pod.metadata
        body = Binding(
            apiVersion="v1",
            kind="Binding",
            metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid),
            target=ObjectReference(kind="Node", name=node),
        )
        await self.client.subresource("POST", catalog.by_type(Pod), meta.name, meta.namespace, "binding", body)


def play(
    story: Callable[[World], Awaitable[None]],
    *,
    seed: int = 1,
    faults: Any = None,
    config: Config | None = None,
    nodes: int = 2,
    store: Store | None = None,
    between: Callable[[Transport], Transport] = lambda transport: transport,
) -> None:
    """Run a story in a world of its own, in virtual time. between: what the controllers' requests go through."""

    async def main() -> None:
        app = App(store or MemoryStore(), Settings())
        await app.load()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(app.run())
            await app.start(security(app))
            network = FaultyTransport(Direct(lambda: app.api, MANAGER), faults or NONE, seed=seed)
            world = World(Client(Direct(lambda: app.api)), network, tasks)
            client = Client(between(network))
            informers = Informers(client)
            settings = config or Config(root_ca="CERTIFICATE", host="test")
            running = tasks.create_task(controllers.run(settings, client, informers), name="controllers")
            tasks.create_task(informers.run(), name="informers")
            for number in range(nodes):
                await world.node(f"n{number + 1}")
            tasks.create_task(world.run_pods(), name="nodes")
            await world.namespace()
            await story(world)
            assert not running.done()
            raise Over

    try:
        simloop.run(main(), seed)
    except* Over:
        pass


class Over(Exception):
    """The story has been told."""
