"""Laws of apply, over random configurations of a schema with every kind of list and map.

Applying twice is applying once. Who applies and then gives everything up leaves the object as it was. Nobody loses a
field without force. The managed fields always speak of fields that are there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kijabi.api.apply import fieldset, schema, typed, updater
from kijabi.api.apply.compare import compare
from kijabi.api.apply.managers import APPLY, Conflicts, Managed, Manager, manager
from kijabi.api.apply.schema import Schema
from kijabi.api.apply.updater import Document, Scope
from kijabi.api.meta import Time
from kijabi.api.patch import same

VERSION = "example.com/v1"
NOW = Time("2026-01-01T00:00:00Z")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic",
                          "additionalProperties": {"type": "string"}},
                "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "list": {"type": "array", "items": {"type": "string"}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "ports": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {
                        "type": "object",
                        "properties": {
                            "port": {"type": "integer"},
                            "protocol": {"type": "string", "default": "TCP"},
                            "name": {"type": "string"},
                            "inner": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip
KIND = schema.of_custom(SCHEMA)
WORDS = st.sampled_from(("a", "b", "c"))
MAPS = st.dictionaries(WORDS, WORDS, max_size=3)
PORTS = st.fixed_dictionaries(
    {"port": st.sampled_from((1, 2))},
    optional={"protocol": st.sampled_from(("TCP", "UDP")), "name": WORDS, "inner": MAPS},
)
# Lists with keys are not empty here: an empty one is nobody's field, here as upstream.
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(1, 3),
        "labels": MAPS,
        "whole": MAPS,
        "set": st.lists(WORDS, unique=True, min_size=1, max_size=3),
        "list": st.lists(WORDS, max_size=3),
        "free": st.dictionaries(WORDS, st.one_of(WORDS, MAPS, st.booleans(), st.integers(0, 1)), max_size=3),
        "ports": st.lists(
            PORTS, min_size=1, max_size=3, unique_by=lambda port: (port["port"], port.get("protocol", "TCP"))
        ),
    },
)
NAMES = st.sampled_from(("one", "two", "three"))


class One:
    """The only version."""

    def schema(self, version: str) -> Schema | None:
        return KIND if version == VERSION else None

    async def convert(self, document: Document, version: str) -> Document:
        return document


class World:
    """An object and its managers."""

    def __init__(self, spec: Any | None = None) -> None:
        self.document: Document = {"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "a"}}
        self.managed: Managed = {}
        if spec is not None:
            self.update(spec, "creator")

    def apply(self, spec: Any, name: str, force: bool = False) -> None:
        """spec: None is a configuration that says nothing."""
        config: Document = {"apiVersion": VERSION, "kind": "Widget", "metadata": {"name": "a"}}
        if spec is not None:
            config["spec"] = spec
        who = manager(name, APPLY, VERSION, "")
        changed = updater.apply(One(), Scope(VERSION), self.document, config, dict(self.managed), who, force)
        new, self.managed = asyncio.run(changed)
        self.document = new if new is not None else self.document

    def update(self, spec: Any, name: str) -> None:
        new = {**self.document, "spec": spec}
        changes = compare(KIND, self.document, new, same)
        self.managed = updater.update(self.managed, Scope(VERSION), name, changes, {}, NOW)
        self.document = new

    def owners(self) -> dict[Manager, Any]:
        return {who: entry.fields for who, entry in self.managed.items()}


def bare(value: Any) -> Any:
    """Without nulls and what is empty: giving up a map's last key leaves no map, or an empty one."""
    if isinstance(value, dict):
        found = {name: bare(member) for name, member in value.items()}
        return {name: member for name, member in found.items() if member not in (None, {}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


@settings(deadline=None)
@given(SPECS, SPECS, NAMES)
def test_applying_twice_is_applying_once(live: Any, spec: Any, name: str) -> None:
    world = World(live)
    world.apply(spec, name, force=True)
    document, owners = world.document, world.owners()
    world.apply(spec, name)
    assert same(world.document, document)
    assert world.owners() == owners


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, SPECS), min_size=1, max_size=4))
def test_who_gives_everything_up_leaves_nothing(applied: list[tuple[str, Any]]) -> None:
    world = World()
    for name, spec in applied:
        world.apply(spec, name, force=True)
    for name in ("one", "two", "three"):
        world.apply(None, name)
    assert "spec" not in world.document
    assert world.managed == {}


@settings(deadline=None)
@given(SPECS, SPECS)
def test_giving_up_leaves_what_others_wrote(live: Any, spec: Any) -> None:
    """An applier adds only fields that nobody has; afterwards the object is as it was."""
    world = World(live)
    before, owners = world.document, world.owners()
    try:
        world.apply(spec, "applier")
    except Conflicts:
        assert same(world.document, before)
        assert world.owners() == owners
        return
    assert fieldset.covers(next(iter(world.owners().values()), {}), next(iter(owners.values()), {}))
    world.apply(None, "applier")
    order = ordered(bare(world.document.get("spec")))
    assert order == ordered(bare(before.get("spec")))


def ordered(spec: Any) -> Any:
    """With lists that have keys in one order."""
    out = dict(spec or {})
    for name in ("set", "ports"):
        if name in out:
            out[name] = sorted(out[name], key=repr)
    return out


@settings(deadline=None)
@example([
    ("one", {"ports": [{"port": 1}]}, "apply"),
    ("one", {"ports": [{"port": 1, "protocol": "TCP"}]}, "update"),
    ("one", {}, "apply"),
])  # fmt: skip
@given(st.lists(st.tuples(NAMES, SPECS, st.sampled_from(("apply", "force", "update"))), max_size=6))
def test_managed_fields_speak_of_what_is_there(steps: list[tuple[str, Any, str]]) -> None:
    world = World({})
    for name, spec, how in steps:
        try:
            if how == "update":
                world.update(spec, name)
            else:
                world.apply(spec, name, force=how == "force")
        except Conflicts:
            continue
        for who, fields in world.owners().items():
            assert fields, who
            for path in fieldset.paths(fields):
                assert is_there(world.document, path), (who, path)
        spec = world.document.get("spec") or {}
        for name in ("set", "ports"):
            items = spec.get(name) or ()  # a list that a manager gave up the last item of is null, here as upstream
            steps_of = [typed.step(kind_of(name), item) for item in items]
            assert len(steps_of) == len(set(steps_of))


def kind_of(name: str) -> Any:
    spec = KIND.map.fields["spec"].map if KIND.map is not None else None
    assert spec is not None
    return spec.fields[name].list


def is_there(document: Document, path: fieldset.Path) -> bool:
    """Whether an object has a field."""
    value: Any = document
    for step in path:
        if step[0] == "f":
            if not isinstance(value, dict) or step[2:] not in value:
                return False
            value = value[step[2:]]
        else:
            shape = kind_of("ports" if step[0] == "k" else "set")
            found = [item for item in value or () if typed.step(shape, item) == step]
            if not found:
                return False
            value = found[0]
    return True
