"""Histories of a few writes, for the tests of checkers: who wrote what, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from kijabi.api import catalog, codec
from kijabi.store.interface import Guard, Op
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.checkers import standard
from kijabi.testing.history import ACTOR, Ledger, WatchedStore
from kijabi.testing.safety.facts import STALE

CONTROLLERS = "system:kube-controller-manager"
NODE = "system:node:n1"
BORN = "2026-01-01T00:00:00Z"
Step = tuple[str, str, dict[str, Any] | None]  # who, what ("pod a"), the object or None: deleted
LATER: Step = ("", "nothing happens until no cache is behind any more", None)


def thing(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    """An object as wire data, of uid `<name>`."""
    meta = {"name": name, "namespace": "ns", "uid": name, "creationTimestamp": BORN, **parts.pop("metadata", {})}
    return {"metadata": {key: value for key, value in meta.items() if value is not None}, **parts}


def pod(name: str, *, rs: str = "rs", ready: bool = True, deleted: bool = False, **status: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"ownerReferences": [ref("ReplicaSet", rs)]} if rs else {}
    if deleted:
        meta["deletionTimestamp"] = BORN
    conditions = [{"type": "Ready", "status": str(ready)}]
    return thing(
        "Pod",
        name,
        metadata=meta,
        spec={"nodeName": "n1", "containers": [{"name": "c"}]},
        status={"phase": "Running", "conditions": conditions, **status},
    )


def ref(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": True}


def replica_set(name: str, replicas: int) -> dict[str, Any]:
    meta = {"ownerReferences": [ref("Deployment", "web")]}
    return thing("ReplicaSet", name, metadata=meta, spec={"replicas": replicas})


def deployment(*, strategy: str = "RollingUpdate", complete: bool = False) -> dict[str, Any]:
    rolling = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}} if strategy == "RollingUpdate" else {}
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    return thing(
        "Deployment",
        "web",
        metadata={"generation": 1},
        spec={"replicas": 2, "strategy": {"type": strategy, **rolling}},
        status=counts if complete else {},
    )


def namespace() -> Step:
    return ("a", "Namespace ns", {"metadata": {"name": "ns", "uid": "ns", "creationTimestamp": BORN}})


def rolled_out() -> list[Step]:
    """A complete Deployment of two pods."""
    return [
        namespace(),
        ("a", "Deployment web", deployment()),
        (CONTROLLERS, "ReplicaSet rs", replica_set("rs", 2)),
        (CONTROLLERS, "Pod p1", pod("p1")),
        (CONTROLLERS, "Pod p2", pod("p2")),
        (CONTROLLERS, "Deployment web", deployment(complete=True)),
    ]


def node(name: str = "n1", **status: Any) -> Step:
    return ("a", f"Node {name}", {"metadata": {"name": name, "uid": name}, "status": status})


GROUPS = {
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), "apps"),
    **dict.fromkeys(("Job", "CronJob"), "batch"),
    "PodDisruptionBudget": "policy",
    "StorageClass": "storage.k8s.io",
    "HorizontalPodAutoscaler": "autoscaling",
    "IPAddress": "networking.k8s.io",
    "PodGroup": "scheduling.k8s.io",
}
VERSIONS = {"PodGroup": "v1beta1"}  # others are v1


async def write(store: WatchedStore, step: Step) -> None:
    """Take one step."""
    actor, what, obj = step
    if step == LATER:
        await asyncio.sleep(2 * STALE)
        return
    kind, name = what.split()
    resource = catalog.by_kind(GROUPS.get(kind, ""), VERSIONS.get(kind, "v1"), kind)
    assert resource is not None
    place = f"ns/{name}" if resource.namespaced and "/" not in name else name
    key = f"/registry/{resource.group or 'core'}/{resource.plural}/{place}"
    value = codec.encode(codec.from_builtins(resource.type, obj)) if obj is not None else None
    ACTOR.set(actor)
    entry = await store.get(key)
    await store.txn([Guard(key, entry.revision if entry else 0)], [Op(key, value)])


def play(steps: Iterable[Step], runs: Collection[str] = ()) -> Ledger:
    """Write the steps one after another: what there is then. runs: uids of pods with a running container."""

    async def main() -> Ledger:
        store = WatchedStore(MemoryStore(), standard(lambda node, uid: uid in runs))
        for step in steps:
            await write(store, step)
        return store.ledger

    return simloop.run(main())
