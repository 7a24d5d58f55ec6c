"""metrics.k8s.io as clients ask for it, in virtual time, with kubelets that say what the test wants."""

from __future__ import annotations

import asyncio
from typing import Any

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.subresources.backend import Address
from kijabi.base import clock
from kijabi.store.memory import MemoryStore
from kijabi.testing.simloop import run
from tests.apiserver.world import TABLE, World, pod

ROOT = "/apis/metrics.k8s.io/v1beta1"


class Writer:
    """Throws away what the server says to a kubelet."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


class Kubelets:
    """A Dial. asked: how often; cores: how fast everything burns; silent: whether nobody answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.cores = 0.25
        self.silent = False

    async def open(self, address: Address) -> tuple[asyncio.StreamReader, Any]:
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + self.text().encode())
        reader.feed_eof()
        return reader, Writer()

    def text(self) -> str:
        now = clock.wall()
        spent, stamp = now * self.cores, int(now * 1000)
        labels = '{container="c",namespace="default",pod="p"}'
        return (
            f"container_cpu_usage_seconds_total{labels} {spent:.6f} {stamp}\n"
            f"container_memory_working_set_bytes{labels} 1048576 {stamp}\n"
            f"node_cpu_usage_seconds_total {2 * spent:.6f} {stamp}\nnode_memory_working_set_bytes 4194304 {stamp}\n"
        )


async def scenario(play: Any) -> None:
    kubelets = Kubelets()
    app = App(MemoryStore(), Settings())
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches, kubelets.open))
        world = World(app)
        status = {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        }
        await world.post("/api/v1/nodes", {"metadata": {"name": "n", "labels": {"disk": "ssd"}}, "status": status})
        await world.post("/api/v1/nodes", {"metadata": {"name": "hollow"}})
        await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        made = await world.post("/api/v1/namespaces/default/pods", pod("p", nodeName="n"))
        assert made.status == 201, made
        await play(world, kubelets)
        task.cancel()


def test_what_nodes_and_pods_use() -> None:
    async def play(world: World, kubelets: Kubelets) -> None:
        listed = (await world.get(f"{ROOT}/nodes")).body
        assert listed["kind"] == "NodeMetricsList"
        (node,) = listed["items"]
        assert (node["metadata"]["name"], node["metadata"]["labels"]) == ("n", {"disk": "ssd"})
        assert (node["usage"], node["window"]) == ({"cpu": "500m", "memory": "4Mi"}, "2s")
        one = (await world.get(f"{ROOT}/namespaces/default/pods/p")).body
        assert (one["kind"], one["apiVersion"]) == ("PodMetrics", "metrics.k8s.io/v1beta1")
        assert one["containers"] == [{"name": "c", "usage": {"cpu": "250m", "memory": "1Mi"}}]
        assert kubelets.asked == 2  # the second question was answered at once
        assert "resourceVersion" not in one["metadata"]
        stable = (await world.get("/apis/metrics.k8s.io/v1/namespaces/default/pods/p")).body
        assert stable["apiVersion"] == "metrics.k8s.io/v1"
        table = (await world.get(f"{ROOT}/pods", TABLE)).body
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
        assert table["rows"][0]["cells"] == ["p", "250m", "1Mi", "2s"]
        assert (await world.get(f"{ROOT}/pods?labelSelector=app=web")).body["items"]
        assert (await world.get(f"{ROOT}/pods?labelSelector=app=db")).body["items"] == []
        assert (await world.get(f"{ROOT}/nodes?fieldSelector=metadata.name=none")).body["items"] == []
        assert (await world.get(f"{ROOT}/pods?fieldSelector=spec.nodeName=n")).body["items"]
        assert (await world.get(f"{ROOT}/pods?fieldSelector=status.phase=Failed")).body["items"] == []
        assert (await world.get(f"{ROOT}/pods?fieldSelector=spec.nope=n")).status == 400
        missing = await world.get(f"{ROOT}/namespaces/default/pods/none")
        assert (missing.status, missing.message) == (404, 'pods.metrics.k8s.io "default/none" not found')
        assert (await world.get(f"{ROOT}/nodes/hollow")).status == 404
        assert (await world.delete(f"{ROOT}/nodes/n")).status == 405
        assert (await world.get(f"{ROOT}/nodes?watch=true")).status == 405

    run(scenario(play))


def test_nobody_looks_when_nobody_asks() -> None:
    async def play(world: World, kubelets: Kubelets) -> None:
        await asyncio.sleep(100)
        assert kubelets.asked == 0
        await world.get(f"{ROOT}/nodes")
        await asyncio.sleep(60)
        assert 5 <= kubelets.asked <= 7
        (node,) = (await world.get(f"{ROOT}/nodes")).body["items"]
        assert node["window"] == "15s"
        await asyncio.sleep(1000)
        before = kubelets.asked
        await asyncio.sleep(1000)
        assert kubelets.asked == before < 35

    run(scenario(play))


def test_a_kubelet_that_hangs_has_no_metrics() -> None:
    async def play(world: World, kubelets: Kubelets) -> None:
        kubelets.silent = True
        began = asyncio.get_running_loop().time()
        assert (await world.get(f"{ROOT}/nodes")).body["items"] == []
        assert asyncio.get_running_loop().time() - began < 15
        assert (await world.get("/api/v1/nodes/n")).status == 200

    run(scenario(play))
