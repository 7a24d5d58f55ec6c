"""Custom objects that take long to validate: checked beside the event loop, with the same answers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kijabi.apiserver import registry
from kijabi.apiserver.crd import objects
from tests.apiserver.crd.definitions import WIDGETS, definition, install, version, widget
from tests.apiserver.world import World

# Each pair of names is compared: two hundred of them cost more than is done on the loop.
PAIRS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-validations": [
                {"rule": "self.names.all(a, self.names.exists_one(b, a == b))", "message": "names are unique"}
            ],
            "properties": {
                "names": {"type": "array", "maxItems": 200, "items": {"type": "string", "maxLength": 10}},
                "text": {"type": "string", "maxLength": 1000000, "pattern": "^a*$"},
            },
        }
    },
}


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each validation that was done aside, whether it was in another thread."""
    found: list[bool] = []
    main, right = threading.get_ident(), registry.aside

    async def watched(work: Any) -> Any:
        def noted() -> Any:
            found.append(threading.get_ident() != main)
            return work()

        return await right(noted)

    monkeypatch.setattr(registry, "aside", watched)
    return found


def names(count: int, *more: str) -> dict[str, Any]:
    return widget(spec={"names": [*(f"n{number}" for number in range(count)), *more]})


async def test_expensive_rules(world: World, threads: list[bool]) -> None:
    await install(world, definition("widgets", "Widget", version(schema=PAIRS)))
    assert (await world.post(WIDGETS, names(3))).status == 201
    assert threads == [], "little is done at once"
    refused = await world.post(WIDGETS, {**names(199, "n7"), "metadata": {"name": "many"}})
    assert (refused.status, refused.message) == (
        422, 'Widget.example.com "many" is invalid: spec: Invalid value: names are unique',
    )  # fmt: skip
    assert threads == [], "it is found out soon"
    assert (await world.post(WIDGETS, {**names(200), "metadata": {"name": "many"}})).status == 201
    assert threads == [True]


async def test_large_objects(world: World, threads: list[bool]) -> None:
    await install(world, definition("widgets", "Widget", version(schema=PAIRS)))
    large = "a" * (objects.LARGE + 1)
    assert (await world.post(WIDGETS, widget(spec={"text": large, "names": []}))).status == 201
    refused = await world.post(WIDGETS, {**widget(spec={"text": large + "b", "names": []}), "metadata": {"name": "b"}})
    assert refused.status == 422
    assert threads == [True, True]
