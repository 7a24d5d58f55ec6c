"""kubernetes_asyncio; what goes on until it is killed is in `python/asynchronous.py`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.stream import WsApiClient

from tests.clients.world import HERE, Running, elects, outlives
from tests.e2e.test_pods import one
from tests.e2e.world import Namespace

pytestmark = pytest.mark.clients

Make = Callable[..., str]


@pytest.fixture
async def settings(namespace: Namespace) -> client.Configuration:
    made = client.Configuration()
    await config.load_kube_config(str(namespace.cluster.kubeconfig), client_configuration=made)
    return made


@pytest.fixture
async def core(settings: client.Configuration) -> AsyncIterator[client.CoreV1Api]:
    async with client.ApiClient(settings) as connection:
        yield client.CoreV1Api(connection)


def start(namespace: Namespace, verb: str, name: str = "") -> Running:
    line = [sys.executable, HERE / "python" / "asynchronous.py", verb, namespace.name, name]
    return Running(line, namespace.cluster.environment)


async def test_objects_are_made_changed_watched_and_deleted(core: client.CoreV1Api, namespace: Namespace) -> None:
    begin = (await core.list_namespaced_config_map(namespace.name)).metadata.resource_version

    async def followed() -> list[tuple[str, list[str]]]:
        seen = []
        follower = watch.Watch()
        async for event in follower.stream(core.list_namespaced_config_map, namespace.name, resource_version=begin):
            seen.append((event["type"], sorted(event["object"].data)))
            if event["type"] == "DELETED":
                break
        await follower.close()
        return seen

    follower = asyncio.create_task(followed())
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="aio"), data={"a": "1"})
    await core.create_namespaced_config_map(namespace.name, body)
    await core.patch_namespaced_config_map("aio", namespace.name, {"data": {"b": "2"}})
    changed = await core.read_namespaced_config_map("aio", namespace.name)
    changed.data["c"] = "3"
    await core.replace_namespaced_config_map("aio", namespace.name, changed)
    changed.metadata.resource_version = begin
    with pytest.raises(client.ApiException) as stale:
        await core.replace_namespaced_config_map("aio", namespace.name, changed)
    assert stale.value.status == 409
    await core.delete_namespaced_config_map("aio", namespace.name)
    assert await asyncio.wait_for(follower, 30) == [
        ("ADDED", ["a"]),
        ("MODIFIED", ["a", "b"]),
        ("MODIFIED", ["a", "b", "c"]),
        ("DELETED", ["a", "b", "c"]),
    ]


async def test_lists_come_in_pages(core: client.CoreV1Api, namespace: Namespace) -> None:
    for n in range(5):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"page-{n}", labels={"paged": "yes"}))
        await core.create_namespaced_config_map(namespace.name, body)
    names: list[str] = []
    pages, more = 0, ""
    while pages == 0 or more:
        page = await core.list_namespaced_config_map(
            namespace.name, limit=2, label_selector="paged=yes", **({"_continue": more} if more else {})
        )
        names += [item.metadata.name for item in page.items]
        pages, more = pages + 1, page.metadata._continue
    assert (names, pages) == ([f"page-{n}" for n in range(5)], 3)


async def test_commands_run_in_pods_and_logs_are_read(
    core: client.CoreV1Api, settings: client.Configuration, namespace: Namespace, pod: Make
) -> None:
    name = await asyncio.to_thread(pod, "aio", one("echo a line; sleep infinity"))
    assert await core.read_namespaced_pod_log(name, namespace.name) == "a line\n"
    async with WsApiClient(settings) as sockets:
        run = client.CoreV1Api(sockets).connect_get_namespaced_pod_exec
        streams = {"stdout": True, "stderr": True, "stdin": False, "tty": False}
        command = ["sh", "-c", "echo out; echo wrong >&2"]
        said = await run(name, namespace.name, command=command, **streams)
        assert sorted(said.splitlines()) == ["out", "wrong"]
        failing = await run(name, namespace.name, command=["sh", "-c", "exit 7"], _preload_content=False, **streams)
        async with failing as socket:
            status = [message.data[1:] async for message in socket if message.data[:1] == b"\x03"]
        assert WsApiClient.parse_error_data(status[0]) == 7


def test_a_watch_outlives_the_server(namespace: Namespace) -> None:
    outlives(namespace, lambda: start(namespace, "inform"))


def test_one_of_two_candidates_leads(namespace: Namespace) -> None:
    elects(lambda identity: start(namespace, "lead", identity))
