"""What the tests of server-side apply share: a client that names its manager, a clock that they step, objects."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tests.apiserver.world import JSON_PATCH, MERGE, STRATEGIC, Answer, World

APPLY = {"content-type": "application/apply-patch+yaml"}
CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STARTED = 1_767_225_600.0  # the first second of 2026


class Clock:
    """The time that the server reads."""

    def __init__(self) -> None:
        self.now = STARTED
        asyncio.get_running_loop().wall_time = lambda: self.now  # type: ignore[attr-defined]

    def step(self, seconds: float = 1) -> None:
        self.now += seconds


class Managers:
    """Clients of one server, each a manager by name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = Clock()

    async def apply(self, url: str, body: Any, manager: str = "apply_test", force: bool = False, **more: str) -> Answer:
        query = "".join(f"&{name}={value}" for name, value in more.items())
        forced = "&force=true" if force else ""
        return await self.world.call("PATCH", f"{url}?fieldManager={manager}{forced}{query}", body, APPLY)

    async def create(self, url: str, body: Any, manager: str = "creator") -> Answer:
        return await self.world.post(f"{url}?fieldManager={manager}", body)

    async def put(self, url: str, body: Any, manager: str = "updater") -> Answer:
        return await self.world.put(f"{url}?fieldManager={manager}", body)

    async def merge(self, url: str, body: Any, manager: str = "patcher") -> Answer:
        return await self.world.call("PATCH", f"{url}?fieldManager={manager}", body, MERGE)

    async def strategic(self, url: str, body: Any, manager: str = "patcher") -> Answer:
        return await self.world.call("PATCH", f"{url}?fieldManager={manager}", body, STRATEGIC)

    async def json(self, url: str, body: Any, manager: str = "patcher") -> Answer:
        return await self.world.call("PATCH", f"{url}?fieldManager={manager}", body, JSON_PATCH)

    async def get(self, url: str) -> dict[str, Any]:
        answer = await self.world.get(url)
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body
        return found


def entries(obj: Any) -> list[dict[str, Any]]:
    """The managed fields of an object or of an answer."""
    found = obj.body if isinstance(obj, Answer) else obj
    listed: list[dict[str, Any]] = found["metadata"].get("managedFields", [])
    return listed


def owned(obj: Any, manager: str, operation: str = "", sub: str = "") -> Any:
    """The fields of one manager; None if it has none."""
    for entry in entries(obj):
        same_sub = entry.get("subresource", "") == sub
        if entry["manager"] == manager and operation in ("", entry["operation"]) and same_sub:
            return entry["fieldsV1"]
    return None


def names(obj: Any) -> list[tuple[str, str]]:
    """(manager, operation) of every entry."""
    return [(entry["manager"], entry["operation"]) for entry in entries(obj)]


def fields(text: str) -> Any:
    return msgspec.json.decode(text)


def config(kind: str = "ConfigMap", version: str = "v1", name: str = "test-cm", **more: Any) -> dict[str, Any]:
    """A configuration: its ids, and what else it says."""
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def deployment(name: str = "deployment", pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Deployment as a configuration: without replicas unless they are given."""
    containers = [{"name": "nginx", "image": "nginx:latest"}]
    template = {"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": containers, **(pod or {})}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": "nginx"}},
        "spec": {**spec, "selector": {"matchLabels": {"app": "nginx"}}, "template": template},
    }


def pod(name: str = "just-a-pod", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "test-container-a", "image": "test-image-one"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"automountServiceAccountToken": False, "containers": containers, **spec},
    }
