"""CustomResourceDefinitions for the tests of this folder, and how they are brought up."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.apiserver.world import Answer, World

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "example.com"
WIDGETS = f"/apis/{GROUP}/v1/namespaces/default/widgets"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 0},
                "color": {"type": "string", "default": "red"},
                "replicas": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer"},
                "selector": {"type": "string"},
                "phase": {"type": "string"},
            },
        },
    },
}


def version(
    name: str = "v1", *, storage: bool = True, schema: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """One version of a definition."""
    props = SCHEMA if schema is None else schema
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": props}, **more}


def definition(
    plural: str = "widgets",
    kind: str = "Widget",
    *versions: dict[str, Any],
    scope: str = "Namespaced",
    names: dict[str, Any] | None = None,
    group: str = GROUP,
    **spec: Any,
) -> dict[str, Any]:
    """A CustomResourceDefinition to create."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {
                "plural": plural,
                "singular": kind.lower(),
                "kind": kind,
                "listKind": f"{kind}List",
                **(names or {}),
            },
            "versions": list(versions) or [version()],
            **spec,
        },
    }


def widget(name: str = "a", api_version: str = f"{GROUP}/v1", kind: str = "Widget", **more: Any) -> dict[str, Any]:
    """A custom object to create."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"size": 1}, **more}


def conditions(crd: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Condition → (status, reason)."""
    return {each["type"]: (each["status"], each.get("reason", "")) for each in crd["status"].get("conditions", ())}


async def settled(world: World, name: str, kind: str = "Established", value: str = "True") -> dict[str, Any]:
    """The definition when a condition has come."""
    watch = await world.watch(f"{CRDS}?watch=true&fieldSelector=metadata.name={name}")
    async with asyncio.timeout(5):
        async for _ in watch.answer.events():
            found = (await world.get(f"{CRDS}/{name}")).body
            if conditions(found).get(kind, ("", ""))[0] == value:
                break
    watch.answer.watcher.close()
    return dict(found)


async def gone(world: World, url: str) -> None:
    """Wait until there is nothing at a path."""
    async with asyncio.timeout(5):
        while (await world.get(url)).status != 404:  # noqa: ASYNC110 - there is no event for a path
            await asyncio.sleep(0)


async def install(world: World, crd: dict[str, Any]) -> dict[str, Any]:
    """Create a definition and wait until it is established."""
    made: Answer = await world.post(CRDS, crd)
    assert made.status == 201, made
    return await settled(world, crd["metadata"]["name"])
