"""Storage version migration: the plan, and that the bytes in the store are others afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.secret import Secret
from kijabi.api.custom import Custom
from kijabi.api.meta import Condition, GroupResource, ObjectMeta, Time
from kijabi.api.storagemigration.storageversionmigration import (
    StorageVersionMigration,
    StorageVersionMigrationSpec,
    StorageVersionMigrationStatus,
)
from kijabi.base.errors import Invalid
from kijabi.client.discovery import find
from kijabi.controllers.storageversionmigrator import Progress, condition, plan, put
from kijabi.store.encrypted import EncryptedStore, Keyring
from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore
from kijabi.testing.faults import Faults
from tests.apiserver.crd.definitions import definition, version
from tests.controllers.world import World, play


def migration(name: str, resource: str = "secrets", group: str = "", made: int = 0, **status: str) -> Any:
    """status: conditions that are true, and resourceVersion."""
    begun = status.pop("resourceVersion", "")
    return StorageVersionMigration(
        metadata=ObjectMeta(name=name, creationTimestamp=Time(f"2026-01-01T00:00:{made:02}Z")),
        spec=StorageVersionMigrationSpec(resource=GroupResource(group=group, resource=resource)),
        status=StorageVersionMigrationStatus(
            conditions=tuple(Condition(type=kind, status=value) for kind, value in status.items()),
            resourceVersion=begun,
        ),
    )


def steps(*migrations: Any) -> list[tuple[str, str]]:
    return [(step.do, step.migration.metadata.name) for step in plan(migrations)]


def test_one_migration_of_a_resource_runs_at_a_time() -> None:
    assert steps() == []
    assert steps(migration("b", made=1), migration("c", made=0), migration("a", made=1)) == [("begin", "c")]
    assert steps(migration("b"), migration("a")) == [("begin", "a")]
    running = migration("x", Running="True")
    assert steps(migration("a"), running) == [("measure", "x")]
    running.status.resourceVersion = "7"
    assert steps(running, migration("a")) == [("rewrite", "x")]
    assert steps(migration("a"), migration("x", Running="True", Succeeded="True")) == [("finish", "x"), ("begin", "a")]
    assert steps(migration("x", Running="True", Failed="True")) == [("finish", "x")]
    assert steps(migration("x", Running="False", Succeeded="True"), migration("y", Failed="True")) == []


def test_what_the_conditions_say() -> None:
    progress = Progress()
    assert progress.running().message == "The migration is running"
    progress.total, progress.left = 5, 2
    assert progress.running().message == "The migration is running, 2/5 objects not yet migrated"
    text = progress.running(OSError("away")).message
    assert text == "The migration is running, 2/5 objects not yet migrated; transient error: away"
    assert progress.failed(OSError("bad")).message == "2/5 not yet migrated. migration encountered unhandled error: bad"
    progress.left = 0
    assert progress.running().message == "The migration is running, 5 objects verified migrated"


def test_a_conditions_time_is_that_of_its_status() -> None:
    old = Condition(type="Running", status="True", lastTransitionTime=Time("2026-01-01T00:00:00Z"), message="a")
    (same,) = put((old,), condition("Running", "R", "b"))
    assert same.lastTransitionTime == old.lastTransitionTime
    assert same.message == "b"
    (other,) = put((old,), condition("Running", "R", "b", "False"))
    assert other.lastTransitionTime != old.lastTransitionTime
    assert put((), old) == (old,)


async def state(world: World, name: str) -> dict[str, Condition]:
    found = await world.client.get(StorageVersionMigration, name)
    return {each.type: each for each in found.status.conditions}


async def migrate(world: World, name: str, resource: str, group: str = "") -> dict[str, Condition]:
    """Create a migration and wait for its end; its conditions."""
    what = GroupResource(group=group, resource=resource)
    spec = StorageVersionMigrationSpec(resource=what)
    await world.client.create(StorageVersionMigration(metadata=ObjectMeta(name=name), spec=spec))

    async def ended() -> dict[str, Condition] | None:
        found = await state(world, name)
        running = found.get("Running")
        over = {"Succeeded", "Failed"} & found.keys()
        return found if over and (running is None or running.status == "False") else None

    return dict(await world.until(ended, 300))


async def raw(store: Store, prefix: str) -> dict[str, bytes]:
    found = await store.range(prefix, prefix + "\xff")
    return {entry.key.rpartition("/")[2]: entry.value for entry in found.entries}


def keys_of(keyring: Keyring, values: dict[str, bytes]) -> set[str]:
    return {keyring.key_of(name, value)[0] for name, value in values.items()}


@pytest.mark.parametrize("faults", [None, Faults(lost_request=0.1, lost_reply=0.1)])
def test_secrets_get_the_new_key(faults: Faults | None) -> None:
    disk = MemoryStore()
    keyring = Keyring.fresh()
    place = "/registry/core/secrets/ns/"

    async def story(world: World) -> None:
        for number in range(40):
            secret = Secret(metadata=ObjectMeta(name=f"s{number}", namespace="ns"), data={"a": b"b"})
            await world.client.create(secret)
        before = await raw(disk, place)
        assert keys_of(keyring, before) == {"1"}
        keyring.rotate()
        late = await world.client.get(Secret, "s0", "ns")
        late.data["a"] = b"new"
        await world.client.update(late)
        ended = await migrate(world, "keys", "secrets")
        assert ended["Succeeded"].reason == "StorageVersionMigrationSucceeded"
        assert ended["Running"].reason == "MigrationCompleted"
        after = await raw(disk, place)
        assert keys_of(keyring, after) == {"2"}
        assert after.keys() == before.keys()
        keyring.retire("1")
        assert (await world.client.get(Secret, "s0", "ns")).data == {"a": b"new"}
        assert (await world.client.get(Secret, "s39", "ns")).data == {"a": b"b"}
        revisions = {each.metadata.resourceVersion for each in (await world.client.list(Secret, "ns")).items}
        await migrate(world, "again", "secrets")
        again = {each.metadata.resourceVersion for each in (await world.client.list(Secret, "ns")).items}
        assert again == revisions  # what is stored rightly is not written

    play(story, faults=faults, store=EncryptedStore(disk, keyring, ("/registry/core/secrets/",)))


def versions(stored: str) -> list[dict[str, Any]]:
    return [version(name, storage=name == stored) for name in ("v1", "v2")]


async def crd(world: World) -> CustomResourceDefinition:
    return await world.client.get(CustomResourceDefinition, "widgets.example.com")


def test_custom_objects_get_the_new_version_and_the_definition_forgets_the_old() -> None:
    disk = MemoryStore()
    place = "/registry/example.com/widgets/"

    async def story(world: World) -> None:
        made = codec.from_builtins(CustomResourceDefinition, definition("widgets", "Widget", *versions("v1")))
        await world.client.create(made)

        async def established() -> bool:
            return any(
                each.type == "Established" and each.status == "True" for each in (await crd(world)).status.conditions
            )

        await world.until(established)
        widgets = world.client.of(await find(world.client, "example.com", "widgets"))
        for number in range(30):
            meta = ObjectMeta(name=f"w{number}", namespace="ns")
            await widgets.create(Custom(metadata=meta, content={"spec": {"size": number}}))
        change = {"spec": {"versions": versions("v2")}}
        await world.client.patch(CustomResourceDefinition, "widgets.example.com", change)

        async def both() -> bool:
            return set((await crd(world)).status.storedVersions) == {"v1", "v2"}

        await world.until(both)
        before = await raw(disk, place)
        assert all(b'"example.com/v1"' in value for value in before.values())
        ended = await migrate(world, "widgets", "widgets", "example.com")
        assert "Succeeded" in ended
        after = await raw(disk, place)
        assert after.keys() == before.keys()
        assert len(after) == 30
        assert all(value.startswith(b'{"apiVersion":"example.com/v2"') for value in after.values())
        now = await crd(world)
        assert now.status.storedVersions == ("v2",)
        (told,) = (each for each in now.status.conditions if each.type == "StorageMigrating")
        assert told.status == "False"
        assert told.message == "The migration has succeeded and the stored versions have been updated"

    play(story, store=disk)


def test_what_cannot_be_migrated_fails_with_a_reason() -> None:
    async def story(world: World) -> None:
        ended = await migrate(world, "reviews", "tokenreviews", "authentication.k8s.io")
        assert ended["Failed"].message == (
            'resource "authentication.k8s.io/v1, Resource=tokenreviews" does not support discovery operations: '
            "[update patch list]"
        )
        begun = asyncio.get_running_loop().time()
        ended = await migrate(world, "nothing", "frobs", "example.com")
        assert ended["Failed"].message == "resource does not exist in discovery"
        assert asyncio.get_running_loop().time() - begun >= 55  # it might have appeared

    play(story)


def test_a_migration_is_of_one_resource_and_ends_once() -> None:
    async def story(world: World) -> None:
        with pytest.raises(Invalid, match="resource is required to be set"):
            await world.client.create(StorageVersionMigration(metadata=ObjectMeta(name="a")))
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="ns")))
        await migrate(world, "maps", "configmaps")
        done = await world.client.get(StorageVersionMigration, "maps")
        done.spec.resource.resource = "pods"
        with pytest.raises(Invalid, match="field is immutable"):
            await world.client.update(done)
        done.status.resourceVersion = "1"
        with pytest.raises(Invalid, match="field is immutable"):
            await world.client.update_status(done)
        done.status.resourceVersion = "01"
        done.status.conditions = ()
        with pytest.raises(Invalid, match="Success condition cannot be set to false once it is true"):
            await world.client.update_status(done)

    play(story)
