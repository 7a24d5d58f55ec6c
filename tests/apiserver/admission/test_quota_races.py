"""A quota is never exceeded: fifty writers, two servers over one store that come and go, a controller that recounts.

The real registry and admission on virtual time; the checker looks at every write (`testing/quotas.py`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta
from kijabi.api.quota.amounts import equal
from kijabi.api.quota.count import counted, used_by
from kijabi.api.quota.evaluators import EVALUATORS, TYPES
from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.storage import Storage
from kijabi.base import clock, rand
from kijabi.base.errors import ApiError, ConnectionLost, Forbidden
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.client.transport import Request
from kijabi.controllers import runtime
from kijabi.controllers.config import Config
from kijabi.controllers.resourcequota import ResourceQuotas
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.direct import Direct
from kijabi.testing.faults import Faults, FaultyTransport
from kijabi.testing.history import WatchedStore
from kijabi.testing.safety.quotas import QuotasKept

WRITERS = 50
HARD = {
    "pods": "12", "requests.cpu": "2", "count/configmaps": "9", "services": "6", "services.nodeports": "4",
    "persistentvolumeclaims": "5", "requests.storage": "12Gi",
    "fast.storageclass.storage.k8s.io/requests.storage": "4Gi",
}  # fmt: skip
BAD = Faults(lost_request=0.03, lost_reply=0.08, cut=0.02, loss_seconds=(0.0, 1.0))
KINDS = (Pod, ConfigMap, Service, PersistentVolumeClaim)


class Server:
    """One API server that can die and start again over what the store has."""

    def __init__(self, store: WatchedStore) -> None:
        self._store = store
        self.app: App | None = None
        self.up = asyncio.Event()

    async def live(self, seconds: Callable[[], float]) -> None:
        """Serve for a time, be away for a time, and again."""
        while True:
            app = App(self._store, Settings())
            await app.load()
            run = asyncio.ensure_future(app.run())
            try:
                await app.start(open_to_all(app.caches))
                self.app = app
                self.up.set()
                await asyncio.sleep(seconds())
            finally:
                self.app = None
                run.cancel()
            await asyncio.sleep(0.2)

    def api(self) -> Any:
        return self.app.api if self.app is not None else None


class Writer:
    """Creates, changes and deletes, sometimes only to see what would happen."""

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.number = number
        self.refused = 0
        self.admitted = 0

    async def work(self, counted: asyncio.Event, rounds: int) -> None:
        """So many times once the quota is counted, and before that too."""
        for turn in itertools.count():
            rounds -= counted.is_set()
            if rounds < 0:
                return
            await asyncio.sleep(rand.rng().uniform(0, 0.4))
            try:
                await self._once(f"w{self.number}-{turn}")
            except Forbidden as error:
                self.refused += "exceeded quota" in error.message
            except (ApiError, ConnectionLost):
                continue

    async def _once(self, name: str) -> None:
        chance = rand.rng()
        cls = chance.choice(KINDS)
        match chance.choices(("create", "dry", "change", "delete"), (6, 2, 2, 4))[0]:
            case "create":
                await self.client.create(thing(cls, name))
                self.admitted += 1
            case "dry":
                made = thing(cls, name)
                path = f"/api/v1/namespaces/ns/{'configmap' if cls is ConfigMap else cls.__name__.lower()}s"
                request = Request(
                    method="POST", path=path, query=(("dryRun", "All"),),
                    headers={"content-type": "application/json"}, body=codec.encode(made),
                )  # fmt: skip
                await self.client.request_raw(request)
            case "change":
                await self._change(cls)
            case _:
                found = (await self.client.list(cls, "ns")).items
                if found:
                    gone = chance.choice(found).metadata
                    await self.client.delete(cls, gone.name, "ns", grace=0)

    async def _change(self, cls: type[Any]) -> None:
        chance = rand.rng()
        found = (await self.client.list(cls, "ns")).items
        if not found:
            return
        name, sub = chance.choice(found).metadata.name, ""
        patch: dict[str, Any] = {"metadata": {"labels": {"x": str(chance.random())[2:8]}}}
        if cls is Service:
            patch = {"spec": {"type": chance.choice(("NodePort", "ClusterIP", "LoadBalancer"))}}
        elif cls is Pod:
            patch, sub = {"status": {"phase": "Succeeded"}}, "status"
        await self.client.patch(cls, name, patch, namespace="ns", subresource=sub)


def thing(cls: type[Any], name: str) -> Any:
    chance = rand.rng()
    spec: dict[str, Any] = {}
    if cls is Pod:
        cpu = chance.choice(("100m", "250m", "500m"))
        spec = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}
    elif cls is Service:
        spec = {"ports": [{"port": 80}], "type": chance.choice(("ClusterIP", "NodePort"))}
    elif cls is PersistentVolumeClaim:
        size = chance.choice(("1Gi", "3Gi"))
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        spec["storageClassName"] = chance.choice(("fast", "slow"))
    meta = {"name": name, "namespace": "ns"}
    return codec.from_builtins(cls, {"metadata": meta, **({"spec": spec} if spec else {})})


async def race(seed: int, *, early: bool = False) -> tuple[list[Writer], WatchedStore]:
    store = WatchedStore(MemoryStore(), [QuotasKept()], slow=0.02, seed=seed)
    first, second = Server(store), Server(store)
    async with asyncio.TaskGroup() as tasks:
        lives = [
            tasks.create_task(first.live(lambda: rand.rng().uniform(2, 8))),
            tasks.create_task(second.live(lambda: 1e9)),
        ]
        await second.up.wait()
        admin = Client(Direct(second.api))
        await admin.create(Namespace(metadata=ObjectMeta(name="ns")))
        await admin.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="ns")))
        network = FaultyTransport(Direct(second.api), BAD, seed=seed)
        client = Client(network)
        informers = Informers(client)
        context = runtime.Context(Config(), client, informers)
        controller = ResourceQuotas(context)
        lives += [tasks.create_task(each()) for each in context.background]
        lives += [tasks.create_task(runtime.run(controller)), tasks.create_task(informers.run())]
        writers = [Writer(Client(Direct((first, second)[n % 2].api)), n) for n in range(WRITERS)]
        quota = codec.from_builtins(
            ResourceQuota, {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": HARD}}
        )
        if early:
            await admin.create(quota)
            await asyncio.sleep(20)
        known = asyncio.Event()
        working = [tasks.create_task(writer.work(known, 20)) for writer in writers]
        if not early:
            await asyncio.sleep(0.5)  # the quota comes while they write
            await admin.create(quota)
        await controlled(admin)
        known.set()
        await asyncio.wait(working)
        network.heal()
        await settled(admin)
        for life in lives:
            life.cancel()
    return writers, store


async def controlled(admin: Client) -> None:
    """The controller has counted for the first time."""
    for _ in range(600):
        if (await admin.get(ResourceQuota, "q", "ns")).status.hard:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not counted within a minute")


async def settled(admin: Client) -> None:
    """The status becomes what there is, exactly."""
    for _ in range(600):
        await asyncio.sleep(1)
        quota = await admin.get(ResourceQuota, "q", "ns")
        real = counted(quota, "configmaps", len((await admin.list(ConfigMap, "ns")).items))
        for kind, cls in TYPES.items():
            real |= used_by(quota, EVALUATORS[kind], (await admin.list(cls, "ns")).items, clock.now())
        if equal(quota.status.used, real):
            return
    raise AssertionError(f"used is {quota.status.used}, and there is {real}")


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_quota_raced_by_fifty_writers_is_never_exceeded(seed: int) -> None:
    writers, store = simloop.run(race(seed, early=seed % 2 == 0), seed)
    assert not store.violations
    assert sum(writer.admitted for writer in writers) > 30
    assert sum(writer.refused for writer in writers) > 10


def test_the_race_finds_charges_that_are_not_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker has teeth: without the guard on the quota's version the two servers overwrite each other's sums."""
    guarded = Storage._along
    monkeypatch.setattr(Storage, "_along", lambda self, items: guarded(self, items)._replace(guards=()))
    _, store = simloop.run(race(1, early=True), 1)
    assert any("was not charged" in str(each) or "is exceeded" in str(each) for each in store.violations)
