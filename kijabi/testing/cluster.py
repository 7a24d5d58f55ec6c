"""A whole cluster in one process, for simulations and for tests of operators.

The API server, controllers, scheduler and kubelets are the real ones; only the store is in memory and the containers
pretend. Each component speaks through a `FaultyTransport` of its own and can be crashed and started again. On a
`simloop.SimLoop` hours pass in seconds and a seed replays everything; on an ordinary loop it is simply a small, fast
cluster:

    async with cluster(nodes=2) as world:
        await world.admin.create(deployment)
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from kijabi.api import codec
from kijabi.api.core.cloud import PROVIDED_IP, UNINITIALIZED
from kijabi.api.core.node import Taint
from kijabi.apiserver.app import App, Security, Settings, open_to_all
from kijabi.apiserver.attributes import UserInfo
from kijabi.apiserver.authz.node import Graph, NodeAuthorizer
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import Union
from kijabi.apiserver.server import ApiServer
from kijabi.apiserver.subresources.backend import Dial, dial
from kijabi.base.errors import ConnectionLost, NotFound
from kijabi.client import cache
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.controllers import app as controllers
from kijabi.controllers.config import Config
from kijabi.kubelet import app as kubelet
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.localpath.agent import Agent
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.kubelet.runtime.fake import FakeRuntime
from kijabi.scheduler import app as scheduler
from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore
from kijabi.testing import cloud as clouds
from kijabi.testing.cloud import FakeCloud
from kijabi.testing.direct import ADMIN, Believing, Direct
from kijabi.testing.faults import NONE, Faults, FaultyTransport
from kijabi.testing.interrupt import Waits
from kijabi.testing.simloop import MACHINE

Work = Callable[[], Awaitable[None]]

MANAGER = UserInfo("system:kube-controller-manager")
SCHEDULER = UserInfo("system:kube-scheduler")
LOCAL_PATH = UserInfo("system:kijabi-local-path")

PORT = 10250
# The connections on which `Faults.late` happens. A kubelet's late status is overwritten by its next one, and a late
# binding is turned away by the kubelet where there is no room: right in the end, but for a while against the rules.
LATE = ("controllers", "volumes")
# Where the machines of a cloud stand, in turn.
ZONES = ("a", "b")


class Component:
    """Something that runs until it is crashed, and can be started again."""

    def __init__(self, name: str, work: Work, group: asyncio.TaskGroup) -> None:
        self.name = name
        self._work = work
        self._group = group
        self._task: asyncio.Task[None] | None = None
        self.started = 0.0  # when it was last, on the loop's clock

    def start(self) -> None:
        """Run it; it must not be running."""
        self.started = asyncio.get_running_loop().time()
        self._task = self._group.create_task(self._run(), name=self.name)

    async def _run(self) -> None:
        MACHINE.set(self.name)  # In the context of this task and of all that it starts.
        await self._work()

    async def crash(self) -> None:
        """End it at once, wherever it is: nothing is finished, nothing is said to anybody."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    @property
    def running(self) -> bool:
        """Whether it was started and not crashed since."""
        return self._task is not None


class World:
    """A running cluster. admin: a client without faults; links: each component's connection, by its name.

    store outlives crashes of the API server, runtimes and disks those of the nodes, as containers and directories do.
    """

    def __init__(
        self, store: Store, faults: Faults, group: asyncio.TaskGroup, settings: Settings | None = None
    ) -> None:
        self.store = store
        self.settings = settings or Settings()
        self.faults = faults
        self.app: App | None = None
        self.links: dict[str, FaultyTransport] = {}
        self.components: dict[str, Component] = {}
        self.runtimes: dict[str, FakeRuntime] = {}
        self.dial: Dial = dial  # how the API server reaches kubelets; another makes them say that they listen
        self.disks: dict[str, NullDisk] = {}  # for local-path volumes, of the nodes that make any
        self.cloud: FakeCloud | None = None  # where the nodes' machines stand
        self.config = Config(root_ca="test")  # the controllers'
        self.informers: dict[str, Informers] = {}
        self.up = asyncio.Event()
        self._calls = Waits()
        self.admin = Client(Direct(self._server, calls=self._calls), user_agent="test")
        self._group = group

    def _server(self) -> ApiServer | None:
        return self.app.api if self.app is not None and self.up.is_set() else None

    def client(self, name: str, user: UserInfo) -> Client:
        """A client whose connection misbehaves as the world's faults say."""
        link = self.links.get(name)
        if link is None:
            link = self.links[name] = FaultyTransport(
                Direct(self._server, user, self._calls),
                self.faults,
                group=self._group if name.rpartition("/")[2] in LATE else None,
            )
        return Client(link, user_agent=name)

    def add(self, name: str, work: Work) -> None:
        """One more component, started now."""
        self.components[name] = Component(name, work, self._group)
        self.components[name].start()

    async def restart(self, name: str, pause: float = 0.0) -> None:
        """Crash a component and start it again after a pause (seconds)."""
        await self.components[name].crash()
        await asyncio.sleep(pause)
        self.components[name].start()

    async def until(self, condition: Callable[[], Awaitable[Any]], seconds: float = 120.0) -> Any:
        """Ask again and again until the condition gives something true, and give that.

        What is not there yet, or a server that is away, counts as not yet. Raises TimeoutError after so many seconds.
        """
        async with asyncio.timeout(seconds):
            while True:
                try:
                    found = await condition()
                except (NotFound, ConnectionLost):
                    found = None
                if found:
                    return found
                await asyncio.sleep(0.5)

    def reachable(self, node: str) -> bool:
        """Whether the kubelet of a node runs and is not cut off."""
        link, component = self.links.get(node), self.components.get(node)
        return component is not None and component.running and link is not None and not link.down

    def heal(self) -> None:
        """No more faults from now on."""
        self.faults = NONE
        for link in self.links.values():
            link.heal()

    # ---- the components

    async def apiserver(self) -> None:
        """The API server over the world's store, until crashed."""
        app = App(self.store, self.settings)
        try:
            await app.load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(app.run(), name="watch cache")
                await app.start(protected(app, lambda address: self.dial(address)))
                self.app = app
                self.up.set()
                await asyncio.Event().wait()
        finally:
            self.up.clear()
            self.app = None
            for kept in app.caches.by_prefix.values():
                kept.cut_watchers()
            self._calls.abort("the API server died before it answered")

    async def control(self) -> None:
        """Controllers and scheduler with one cache, as one process."""
        manager = self.client("controllers", MANAGER)
        informers = self.informers["control"] = Informers(manager)
        config = self.config
        if self.cloud is not None:
            clouds.HERE.set(self.cloud)  # In the context of this task and of all that it starts.
            config = dataclasses.replace(config, cloud_provider=clouds.NAME)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(controllers.run(config, manager, informers), name="controllers")
            tasks.create_task(scheduler.run(self.client("scheduler", SCHEDULER), informers), name="scheduler")
            tasks.create_task(informers.run(), name="informers")

    async def node(self, name: str) -> None:
        """A kubelet over its fake runtime, and if the node has a disk the agent of its volumes."""
        user = UserInfo(f"system:node:{name}", groups=("system:nodes",))
        number = list(self.runtimes).index(name)
        port = PORT if self.dial is not dial else 0
        config = KubeletConfig(node=name, address=_address(number), port=port, root=f"/{name}", fake=True)
        if self.cloud is not None:
            config = _in_cloud(config)
        client = self.client(name, user)
        informers = self.informers[name] = Informers(client)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informers.run(), name="informers")
            made = kubelet.make(config, client, self.runtimes[name], informers)  # without the server of `kubelet.run`
            tasks.create_task(made.run(), name="kubelet")
            if name in self.disks:
                maker = self.client(f"{name}/volumes", LOCAL_PATH)
                followed = self.informers[f"{name}/volumes"] = Informers(maker)
                agent = Agent(name, maker, followed, self.disks[name])
                tasks.create_task(followed.run(), name="local path informers")
                tasks.create_task(agent.run(), name="local path")

    # ---- nobody writes to what is shared

    def verify_caches(self) -> None:
        """Raise MutatedCache if anybody wrote to an object of an informer (needs `detect_mutations`) or of the API
        server's cache."""
        for informers in self.informers.values():
            informers.verify()
        for kept in self.app.caches.by_prefix.values() if self.app is not None else ():
            for item in kept.range():
                fresh: Any = codec.decode(kept.cls, item.value)
                fresh.metadata.resourceVersion = str(item.revision)
                if fresh != item.obj:
                    raise cache.MutatedCache(f"somebody wrote to the served {type(item.obj).__name__} {item.key}")


def _address(number: int) -> str:
    """Of the node of a number, from 0."""
    return f"172.30.0.{number + 1}"


def _in_cloud(config: KubeletConfig) -> KubeletConfig:
    """A kubelet whose node waits until a cloud has told about it."""
    taints = (Taint(key=UNINITIALIZED, value="true", effect="NoSchedule"),)
    annotations = {PROVIDED_IP: config.address}
    return msgspec.structs.replace(config, external_cloud=True, taints=taints, annotations=annotations)


def protected(app: App, open_: Dial = dial) -> Security:
    """Real authorisation and admission; only who somebody is, is believed. open_: how kubelets are reached."""
    graph, rbac = Graph(), Rbac()
    graph.start(app.caches)
    rbac.start(app.caches)
    authorizer = Union((NodeAuthorizer(graph), rbac))
    return open_to_all(app.caches, open_)._replace(authenticator=Believing(), authorizer=authorizer)


@asynccontextmanager
async def cluster(
    nodes: int = 1,
    *,
    faults: Faults = NONE,
    store: Store | None = None,
    controllers_too: bool = True,
    volumes: bool | Callable[[str], NullDisk] = False,
    detect_mutations: bool = False,
    settings: Settings | None = None,
    cloud: FakeCloud | None = None,
    config: Config | None = None,
) -> AsyncIterator[World]:
    """A cluster with so many nodes, gone when the context ends.

    controllers_too: with controllers and scheduler. volumes: nodes make volumes for claims (local-path), on plain disks
    or on what makes one for each. settings: the API server's, if they are not the usual ones. detect_mutations: fail
    when anybody writes to an object that caches share, at its next change; `verify_caches` looks at all. cloud: where
    the nodes' machines are to stand. config: the controllers', if it is not the usual one.
    """
    before, cache.DETECT_MUTATIONS = cache.DETECT_MUTATIONS, detect_mutations or cache.DETECT_MUTATIONS
    try:
        disk = volumes if callable(volumes) else (lambda name: NullDisk()) if volumes else None
        async with _cluster(
            nodes, faults, store or MemoryStore(), controllers_too, disk, settings, cloud, config
        ) as world:
            yield world
    finally:
        cache.DETECT_MUTATIONS = before


@asynccontextmanager
async def _cluster(
    nodes: int,
    faults: Faults,
    store: Store,
    controllers_too: bool,
    disk: Callable[[str], NullDisk] | None,
    settings: Settings | None,
    cloud: FakeCloud | None,
    config: Config | None,
) -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as group:
        world = World(store, faults, group, settings)
        world.cloud = cloud
        world.config = config or world.config
        world.add("apiserver", world.apiserver)
        await world.up.wait()
        if controllers_too:
            world.add("control", world.control)
        for number in range(nodes):
            name = f"node-{number + 1}"
            world.runtimes[name] = FakeRuntime(pod_cidr=f"10.244.{number + 1}.0/24")
            if disk is not None:
                world.disks[name] = disk(name)
            if cloud is not None:
                cloud.install(name, _address(number), ZONES[(number + 1) % len(ZONES)])
            world.add(name, lambda name=name: world.node(name))  # type: ignore[misc]
        try:
            yield world
        finally:
            for component in reversed(world.components.values()):
                await component.crash()


__all__ = ["ADMIN", "Component", "World", "cluster", "protected"]
