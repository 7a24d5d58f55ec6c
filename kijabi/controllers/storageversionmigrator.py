"""Rewrites all objects of a resource, so that they are stored as a write of today would store them.

Whoever wants it creates a StorageVersionMigration (KEP-4192): after a definition stores another version, or Secrets
have a new encryption key. Receives these; patches every object with nothing but its resourceVersion, which makes the
API server write it anew if it is stored otherwise than it would be now; tells how it stands in the conditions, and at
the end takes the versions off a definition's status that nothing is stored in any more.

A key is a resource, for its migrations run one after another. What has been done is seen by the objects' versions:
those above the one at which the migration began have been written since. So after a crash it goes on where it was.
Rules: k8s.io/kubernetes `pkg/controller/storageversionmigrator`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.gotext import quote
from kijabi.api.meta import Condition, PartialObjectMetadata, time_now
from kijabi.api.resource import Resource
from kijabi.api.storagemigration.storageversionmigration import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    StorageVersionMigration,
    holds,
)
from kijabi.base import clock
from kijabi.base.backoff import delay
from kijabi.base.errors import (
    ApiError,
    Conflict,
    ConnectionLost,
    Expired,
    InternalError,
    NotFound,
    ServerTimeout,
    ServiceUnavailable,
    Timeout,
    TooManyRequests,
)
from kijabi.client.client import Client
from kijabi.controllers.discovery import discover
from kijabi.controllers.runtime import WORKERS, Context, Source

VERBS = ("update", "patch", "list")
PAGE = 500  # objects listed at once
BATCH = 16  # objects rewritten at once
TRIES, FIRST_WAIT, MOST_WAIT = 5, 0.5, 10.0  # to rewrite one, and the pauses between them in seconds
PATIENCE = timedelta(minutes=1)  # that a resource may take to appear
LOOK_AGAIN = 5.0  # seconds between two looks for it
MIGRATING = "StorageMigrating"  # a definition's condition
_PASSING = (ServerTimeout, TooManyRequests, ServiceUnavailable, InternalError, Timeout, Expired, ConnectionLost)

Do = Literal["finish", "begin", "measure", "rewrite"]


class Step(NamedTuple):
    """What is next for one migration: clean up after it, let it run, note where it starts, or rewrite."""

    do: Do
    migration: StorageVersionMigration


def plan(migrations: Sequence[StorageVersionMigration]) -> list[Step]:
    """What is to be done for the migrations of one resource, of which one runs at a time: the oldest first."""
    steps: list[Step] = []
    running: StorageVersionMigration | None = None
    waiting: list[StorageVersionMigration] = []
    for each in migrations:
        runs, ended = holds(each.status.conditions, RUNNING), over(each)
        if runs and ended:
            steps.append(Step("finish", each))
        elif runs:
            running = each
        elif not ended:
            waiting.append(each)
    if running is not None:
        steps.append(Step("rewrite" if running.status.resourceVersion else "measure", running))
    elif waiting:
        first = min(waiting, key=lambda each: (each.metadata.creationTimestamp, each.metadata.name))
        steps.append(Step("begin", first))
    return steps


def over(migration: StorageVersionMigration) -> bool:
    """Whether a migration has come to its end."""
    conditions = migration.status.conditions
    return holds(conditions, SUCCEEDED) or holds(conditions, FAILED)


def put(conditions: Sequence[Condition], new: Condition) -> tuple[Condition, ...]:
    """The conditions with this one; its time stays where its status does."""
    old = next((each for each in conditions if each.type == new.type), None)
    if old is None:
        return (*conditions, new)
    if old.status == new.status:
        new = msgspec.structs.replace(new, lastTransitionTime=old.lastTransitionTime)
    return tuple(new if each is old else each for each in conditions)


def condition(kind: str, reason: str, message: str, status: str = "True", generation: int = 0) -> Condition:
    """A condition as of now."""
    return Condition(
        type=kind, status=status, observedGeneration=generation, lastTransitionTime=time_now(), reason=reason,
        message=message,
    )  # fmt: skip


class Progress:
    """How far a migration has come: `left` of `total` objects are to be rewritten."""

    def __init__(self) -> None:
        self.total = self.left = 0

    def running(self, error: Exception | None = None) -> Condition:
        """The condition Running; error: what holds it up."""
        text = "The migration is running"
        if self.total and self.left:
            text += f", {self.left}/{self.total} objects not yet migrated"
        elif self.total:
            text += f", {self.total} objects verified migrated"
        if error is not None:
            text += f"; transient error: {error}"
        return condition(RUNNING, "MigrationRunning", text)

    def failed(self, error: Exception) -> Condition:
        """The condition Failed."""
        text = f"{self.left}/{self.total} not yet migrated. migration encountered unhandled error: {error}"
        return condition(FAILED, "StorageVersionMigrationFailed", text)


def pending(found: PartialObjectMetadata, start: str) -> bool:
    """Whether an object has not been written since the migration began at the version `start`."""
    return int(found.metadata.resourceVersion) <= int(start)


class StorageVersionMigrator:
    """The controller; a key is `group/resource`."""

    name = "storage-version-migrator-controller"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.migrations = context.informers.of(StorageVersionMigration)

    def sources(self) -> Sequence[Source]:
        return (Source(self.migrations, lambda old, new: {key_of(each) for each in (old, new) if each is not None}),)

    async def reconcile(self, key: str) -> float | None:
        for step in plan([each for each in self.migrations.items() if key_of(each) == key]):
            migration = codec.clone(step.migration)
            match step.do:
                case "finish":
                    await self._finish(migration)
                case "begin":
                    await self._begin(migration)
                case _:
                    return await self._work(step.do, migration)
        return None

    async def _begin(self, migration: StorageVersionMigration) -> None:
        name = migration.metadata.name
        await self._mark(migration, "True", "MigrationRunning", f"Migration {name} is running")
        await self._tell(migration, condition(RUNNING, "MigrationRunning", "The migration is running"))

    async def _finish(self, migration: StorageVersionMigration) -> None:
        """The migration has ended: say so to the definition, whose objects are in one version now."""
        if holds(migration.status.conditions, SUCCEEDED):
            await self._mark(migration, "False", "MigrationSucceeded", "The migration has succeeded", done=True)
        else:
            await self._mark(migration, "False", "MigrationFailed", "The migration has failed")
        generation = migration.metadata.generation
        ended = condition(RUNNING, "MigrationCompleted", "Migration completed", "False", generation)
        await self._tell(migration, ended)

    async def _work(self, do: Do, migration: StorageVersionMigration) -> float | None:
        what = migration.spec.resource
        wanted = (what.group, what.resource)
        found = [each for each in await discover(self.client) if (each.group, each.plural) == wanted]
        if not found:
            if clock.now() - migration.metadata.creationTimestamp.datetime() < PATIENCE:
                return LOOK_AGAIN
            await self._fail(migration, "resource does not exist in discovery")
            return None
        resource = found[0]
        if not set(VERBS) <= set(resource.verbs):
            shown = quote(f"{resource.group}/{resource.version}, Resource={resource.plural}")
            await self._fail(migration, f"resource {shown} does not support discovery operations: [{' '.join(VERBS)}]")
        elif do == "measure":
            first = await self.client.metadata_of(resource).list(PartialObjectMetadata, limit=1)
            migration.status.resourceVersion = first.resourceVersion
            await self.client.update_status(migration)
        else:
            await self._rewrite(migration, resource)
        return None

    async def _rewrite(self, migration: StorageVersionMigration, resource: Resource) -> None:
        """Patch all objects that are older than the migration. Raises what may pass."""
        client, progress = self.client.metadata_of(resource), Progress()
        try:
            async for page in self._pages(client):
                old = [each for each in page if pending(each, migration.status.resourceVersion)]
                progress.total += len(page)
                progress.left += len(old)
                for start in range(0, len(old), BATCH):
                    await self._batch(client, resource, old[start : start + BATCH], progress)
        except _PASSING as error:
            await self._tell(migration, progress.running(error))
            raise
        except ApiError as error:
            await self._tell(migration, progress.running(), progress.failed(error))
            return
        succeeded = condition(SUCCEEDED, "StorageVersionMigrationSucceeded", "Migration completed")
        await self._tell(migration, progress.running(), succeeded)

    async def _pages(self, client: Client) -> AsyncIterator[tuple[PartialObjectMetadata, ...]]:
        """All objects' metadata, as of one moment."""
        cont = ""
        while True:
            found = await client.list(PartialObjectMetadata, limit=PAGE, cont=cont)
            yield found.items
            cont = found.cont
            if not cont:
                return

    async def _batch(
        self, client: Client, resource: Resource, batch: Sequence[PartialObjectMetadata], progress: Progress
    ) -> None:
        work = (self._one(client, resource, each) for each in batch)
        for outcome in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            progress.left -= 1

    async def _one(self, client: Client, resource: Resource, found: PartialObjectMetadata) -> None:
        """Have an object written as it is, unless somebody has written it meanwhile or it is gone."""
        own = found.metadata
        body: dict[str, Any] = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"resourceVersion": own.resourceVersion},
        }
        for tried in range(1, TRIES + 1):
            try:
                await client.patch(PartialObjectMetadata, own.name, body, namespace=own.namespace)
            except (Conflict, NotFound):
                return
            except _PASSING:
                if tried == TRIES:
                    raise
                await asyncio.sleep(delay(tried, first=FIRST_WAIT, most=MOST_WAIT))
            else:
                return

    async def _fail(self, migration: StorageVersionMigration, message: str) -> None:
        await self._tell(migration, condition(FAILED, "StorageVersionMigrationFailed", message))

    async def _tell(self, migration: StorageVersionMigration, *news: Condition) -> None:
        """Write conditions, if they say anything new."""
        before = migration.status.conditions
        for each in news:
            migration.status.conditions = put(migration.status.conditions, each)
        if migration.status.conditions != before:
            await self.client.update_status(migration)

    async def _mark(
        self, migration: StorageVersionMigration, status: str, reason: str, message: str, *, done: bool = False
    ) -> None:
        """Write the condition of the definition, if a definition makes the resource.

        done: nothing is stored in older versions any more, unless the definition has changed meanwhile.
        """
        what = migration.spec.resource
        try:
            crd = await self.client.get(CustomResourceDefinition, f"{what.resource}.{what.group}")
        except NotFound:
            return
        own = crd.metadata
        change: dict[str, Any] = {}
        if done:
            seen = next((each.observedGeneration for each in crd.status.conditions if each.type == MIGRATING), None)
            if seen == own.generation:
                message += " and the stored versions have been updated"
                change["storedVersions"] = [each.name for each in crd.spec.versions if each.storage]
            else:
                message += " but the stored versions have not been updated due to a generation mismatch"
        new = {
            "type": MIGRATING, "status": status, "lastTransitionTime": time_now(), "reason": reason,
            "message": message, "observedGeneration": own.generation,
        }  # fmt: skip
        others = [each for each in codec.to_builtins(crd.status).get("conditions", ()) if each["type"] != MIGRATING]
        change["conditions"] = [*others, new]
        body = {"metadata": {"resourceVersion": own.resourceVersion}, "status": change}
        await self.client.patch(CustomResourceDefinition, own.name, body, subresource="status")


def key_of(migration: StorageVersionMigration) -> str:
    """The resource that a migration is of."""
    what = migration.spec.resource
    return f"{what.group}/{what.resource}"
