"""Namespace clean-up: empties a namespace that is being deleted, then lets it go.

Receives namespaces; deletes everything in them of every resource that discovery names, pods first, and reports in
the namespace's conditions what is left and why. `conditions_of` and `waits` are pure (core/v1 Namespace;
k8s.io/kubernetes `pkg/controller/namespace/deletion` for reasons and texts).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from kijabi.api import catalog
from kijabi.api.core.namespace import Namespace, NamespaceCondition
from kijabi.api.core.pod import Pod
from kijabi.api.meta import PartialObjectMetadata, Time
from kijabi.api.resource import Resource
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, MethodNotAllowed, NotFound, ServiceUnavailable
from kijabi.controllers import pods as podlib
from kijabi.controllers.discovery import discovered
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import NAMESPACE, namespaces, pods

FINALIZER = "kubernetes"
FINALIZER_PATIENCE = 15.0
"""Seconds that finalizers are given before the namespace is looked at again (half of it, at most)."""
_FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


@dataclass(slots=True)
class Content:
    """What one round of deletion found: failures, and what is left by resource and by finalizer."""

    undiscovered: str = ""
    failures: list[str] = field(default_factory=list)
    remaining: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    wait: float = 0.0

    def count(self, resource: Resource, left: Iterable[PartialObjectMetadata]) -> None:
        """Note what is left of a resource."""
        items = tuple(left)
        if items:
            self.remaining[f"{resource.plural}.{resource.group}"] = len(items)
        for name in (name for item in items for name in item.metadata.finalizers):
            self.finalizers[name] = self.finalizers.get(name, 0) + 1
            self.wait = max(self.wait, FINALIZER_PATIENCE)


def conditions_of(
    before: Sequence[NamespaceCondition], content: Content, now: datetime
) -> tuple[NamespaceCondition, ...]:
    """The namespace's conditions after a round; those that did not change keep their time."""
    wrong: dict[str, tuple[str, str]] = {}
    if content.undiscovered:
        wrong["NamespaceDeletionDiscoveryFailure"] = ("DiscoveryFailed", content.undiscovered)
    if content.failures:
        text = f"Failed to delete all resource types, {len(content.failures)} remaining: "
        wrong["NamespaceDeletionContentFailure"] = (
            "ContentDeletionFailed",
            text + ", ".join(sorted(content.failures)),
        )
    if content.remaining:
        listed = ", ".join(sorted(f"{what} has {n} resource instances" for what, n in content.remaining.items()))
        wrong["NamespaceContentRemaining"] = ("SomeResourcesRemain", f"Some resources are remaining: {listed}")
    if content.finalizers:
        listed = ", ".join(sorted(f"{name} in {n} resource instances" for name, n in content.finalizers.items()))
        wrong["NamespaceFinalizersRemaining"] = (
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {listed}",
        )
    result = list(before)
    for kind, fine in _FINE.items():
        reason, message = wrong.get(kind, fine)
        status = "True" if kind in wrong else "False"
        place = next((n for n, c in enumerate(result) if c.type == kind), None)
        made = NamespaceCondition(
            type=kind, status=status, reason=reason, message=message, lastTransitionTime=Time.of(now)
        )
        if place is None:
            result.append(made)
        else:
            old = result[place]
            same = old.status == status
            result[place] = replace(made, lastTransitionTime=old.lastTransitionTime) if same else made
    return tuple(result)


def grace_left(living: Iterable[Pod], deleted: Time, now: datetime) -> float:
    """Seconds that the pods of a namespace may still take to end, counted from when it was deleted."""
    longest = max(
        (pod.spec.terminationGracePeriodSeconds or 0 for pod in living if not podlib.terminal(pod)), default=0
    )
    return float(longest) if now.timestamp() - deleted.timestamp() < longest else 0.0


class Namespaces:
    """The controller; a key is a namespace's name."""

    name = "namespace"
    workers = 10

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.namespaces = namespaces(context.informers)
        self.pods = pods(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.namespaces, self._keys), Source(self.pods, self._keys_of_pod))

    def _keys(self, old: Namespace | None, new: Namespace | None) -> Iterable[str]:
        going = new is not None and new.metadata.deletionTimestamp is not None
        return (new.metadata.name,) if new is not None and going else ()

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """The last pod of a namespace that is being deleted has gone: the rest can follow."""
        if new is not None or old is None or self.pods.index(NAMESPACE, old.metadata.namespace):
            return ()
        return self._keys(None, self.namespaces.get(old.metadata.namespace))

    async def reconcile(self, key: str) -> float | None:
        cached = self.namespaces.get(key)
        if cached is None or cached.metadata.deletionTimestamp is None or not cached.spec.finalizers:
            return None
        # The live object, for a namespace must not be emptied by mistake.
        try:
            namespace = await self.client.get(Namespace, key)
        except NotFound:
            return None
        deleted = namespace.metadata.deletionTimestamp
        if namespace.metadata.uid != cached.metadata.uid or deleted is None or not namespace.spec.finalizers:
            return None
        if namespace.status.phase != "Terminating":
            status = replace(namespace.status, phase="Terminating")
            namespace = await self.client.update_status(replace(namespace, status=status))
        content = await self._empty(key, deleted)
        conditions = conditions_of(namespace.status.conditions, content, clock.now())
        if conditions != namespace.status.conditions:
            status = replace(namespace.status, conditions=conditions)
            namespace = await self.client.update_status(replace(namespace, status=status))
        if content.remaining and content.wait > 0:
            return content.wait / 2 + 1
        if content.failures or content.undiscovered or content.remaining:
            why = [content.undiscovered, *content.failures, *content.remaining]
            raise ServiceUnavailable(f"namespace {key} is not empty: {', '.join(filter(None, why))}")
        await self._finalize(namespace)
        return None

    async def _finalize(self, namespace: Namespace) -> None:
        """Take our finalizer off: the server deletes the namespace with its last one."""
        left = tuple(name for name in namespace.spec.finalizers if name != FINALIZER)
        done = replace(namespace, spec=replace(namespace.spec, finalizers=left))
        resource = catalog.by_type(Namespace)
        try:
            await self.client.subresource("PUT", resource, namespace.metadata.name, "", "finalize", done)
        except NotFound:
            return

    async def _empty(self, namespace: str, deleted: Time) -> Content:
        """Delete everything: pods first, and nothing else as long as there are pods (KEP-5080)."""
        content = Content()
        try:
            found = await discovered(self.client, "delete", "list")
        except (ApiError, ConnectionLost) as error:
            content.undiscovered = str(error)
            return content
        if found.stale:
            listed = ", ".join(f"{each}: stale GroupVersion discovery: {each}" for each in found.stale)
            content.undiscovered = (
                f"Discovery failed for some groups, {len(found.stale)} failing: "
                f"unable to retrieve the complete list of server APIs: {listed}"
            )
        resources = [one for one in found.resources if one.namespaced]
        resources.sort(key=lambda one: (one.group, one.plural) != ("", "pods"))
        for resource in resources:
            await self._empty_of(resource, namespace, content)
            if (resource.group, resource.plural) == ("", "pods") and content.remaining:
                living = self.pods.index(NAMESPACE, namespace)
                content.wait = max(content.wait, grace_left(living, deleted, clock.now()))
                return content
        return content

    async def _empty_of(self, resource: Resource, namespace: str, content: Content) -> None:
        """Delete what there is of one resource and count what stays."""
        client = self.client.metadata_of(resource)
        try:
            found = await client.list(PartialObjectMetadata, namespace)
            if not found.items:
                return
            if "deletecollection" in resource.verbs:
                await client.delete_collection(PartialObjectMetadata, namespace, propagation="Background")
            else:
                for item in found.items:
                    await self._delete(resource, item)
            left = await client.list(PartialObjectMetadata, namespace)
        except (NotFound, MethodNotAllowed):  # Discovery was ahead or behind: no such resource.
            return
        except (ApiError, ConnectionLost) as error:
            content.failures.append(str(error))
            return
        content.count(resource, left.items)

    async def _delete(self, resource: Resource, item: PartialObjectMetadata) -> None:
        meta = item.metadata
        try:
            client = self.client.metadata_of(resource)
            await client.delete(
                PartialObjectMetadata, meta.name, meta.namespace, uid=meta.uid, propagation="Background"
            )
        except (NotFound, Conflict):
            return
