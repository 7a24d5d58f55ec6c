"""The user of a simulation: creates, scales, updates, takes back, pauses and deletes, now and then foolishly.

Speaks to the API server without faults, unless it is down: then the wish is forgotten. `act` goes on until cancelled;
`repair` makes sure that what is wished for can be had; `update_everything` rolls all Deployments;
`delete_everything` leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.base import rand
from kijabi.base.errors import ApiError, ConnectionLost, NotFound
from kijabi.client.client import Client

MOST = 6  # deployments, of each other thing as many
SCRIPT = "fake.kijabi.dev/c"  # kubelet/runtime/fake.py
HOLD = "example.com/hold"
SETTINGS = "settings"
MISSING = "missing:1"  # an image that cannot be pulled
# Changes of a pod template. Those in BAD cannot run, or not all of them at once.
GOOD = ("plain", "probed", "slow", "prepared", "configured")
BAD = ("crashing", "missing", "large")
STRATEGIES: tuple[dict[str, Any], ...] = (
    {},
    {"type": "Recreate"},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": "50%"}},
    {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 2}},
)


def template(app: str, variant: str, version: int) -> dict[str, Any]:
    """A pod template, as wire data. What a variant does not set is there as None, so that it is a patch too."""
    container: dict[str, Any] = {
        "name": "c",
        "image": MISSING if variant == "missing" else f"app:{version}",
        "resources": {"requests": {"cpu": "1500m" if variant == "large" else "20m"}},
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 2} if variant == "probed" else None,
        "envFrom": [{"configMapRef": {"name": SETTINGS}}] if variant == "configured" else None,
    }
    script = {"crashing": '{"runFor": 3, "exitCode": 1}', "slow": '{"stopAfter": 8}'}.get(variant)
    prepared = [{"name": "first", "image": "app:1", "command": ["sleep", "1"]}] if variant == "prepared" else None
    return {
        "metadata": {"labels": {"app": app}, "annotations": {SCRIPT: script, "variant": variant}},
        "spec": {
            "containers": [container],
            "initContainers": prepared,
            "terminationGracePeriodSeconds": 10 if variant == "slow" else 30,
        },
    }


def plain(value: Any) -> Any:
    """Wire data without what is None."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


class User:
    """See the module. say: told what is done, in words."""

    def __init__(self, client: Client, say: Callable[[str], None]) -> None:
        self.client = client
        self._say = say
        self._number = 0
        self._wishes: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (6, self.create_deployment),
            (6, self.scale),
            (7, self.update),
            (3, self.roll_back),
            (3, self.pause),
            (3, self.delete_deployment),
            (2, self.delete_set),
            (6, self.delete_pod),
            (2, self.let_go),
            (2, self.run_once),
            (4, self.create_service),
            (2, self.delete_service),
            (3, self.configure),
            (3, self.cordon),
            (2, self.redirect),
            (1, self.delete_node),
            (2, self.create_namespace),
            (1, self.delete_namespace),
            (1, self.limit),
        )

    async def act(self) -> None:
        """Do one thing after another, until cancelled."""
        weights = [weight for weight, _ in self._wishes]
        wishes = [wish for _, wish in self._wishes]
        chance = rand.rng()
        for _ in range(3):
            await self._try(self.create_deployment)
        while True:
            await asyncio.sleep(chance.expovariate(1 / 2.5))
            await self._try(chance.choices(wishes, weights)[0])

    async def _try(self, wish: Callable[[], Awaitable[None]]) -> None:
        try:
            await wish()
        except (ApiError, ConnectionLost) as error:
            self._say(f"user: {type(error).__name__}: {error}")

    # ---- wishes

    async def create_deployment(self) -> None:
        """A Deployment in one of the namespaces, most often one that can run."""
        chance = rand.rng()
        if len((await self.client.list(Deployment)).items) >= MOST:
            return
        self._number += 1
        name = f"web-{chance.randrange(4)}" if chance.random() < 0.3 else f"web-{self._number}"
        variant = chance.choice(GOOD if chance.random() < 0.8 else BAD)
        namespace = await self._namespace()
        spec = {
            "replicas": chance.randrange(5),
            "selector": {"matchLabels": {"app": name}},
            "template": plain(template(name, variant, 1)),
            "strategy": chance.choice(STRATEGIES),
            "revisionHistoryLimit": chance.choice((0, 1, 10)),
            "minReadySeconds": chance.choice((0, 0, 0, 3)),
        }
        self._say(f"user: create deployment {namespace}/{name} {variant} x{spec['replicas']}")
        made = codec.from_builtins(Deployment, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
        await self.client.create(made)

    async def scale(self) -> None:
        """More or fewer pods."""
        d = await self._one(Deployment)
        if d is not None:
            await self._change(d, {"spec": {"replicas": rand.rng().randrange(7)}})

    async def update(self) -> None:
        """Another template."""
        d = await self._one(Deployment)
        chance = rand.rng()
        if d is not None:
            variant = chance.choice(GOOD if chance.random() < 0.8 else BAD)
            await self._change(d, {"spec": {"template": template(_app(d), variant, chance.randrange(1, 5))}})

    async def roll_back(self) -> None:
        """The template of another of its revisions, as kubectl rollout undo."""
        d = await self._one(Deployment)
        sets = [rs for rs in await self._all(ReplicaSet) if d is not None and _owned(rs, d)]
        if d is not None and sets:
            old = codec.to_builtins(rand.rng().choice(sets).spec.template)
            old["metadata"]["labels"].pop("pod-template-hash", None)
            patch = [{"op": "replace", "path": "/spec/template", "value": old}]
            self._say(f"user: roll back {d.metadata.namespace}/{d.metadata.name}")
            await self.client.patch(Deployment, d.metadata.name, patch, namespace=d.metadata.namespace, type="json")

    async def pause(self) -> None:
        """Pause or resume."""
        d = await self._one(Deployment)
        if d is not None:
            await self._change(d, {"spec": {"paused": not d.spec.paused}})

    async def delete_deployment(self) -> None:
        """In one of the three ways."""
        await self._delete(await self._one(Deployment))

    async def delete_set(self) -> None:
        """A ReplicaSet from under its Deployment, or one left behind."""
        await self._delete(await self._one(ReplicaSet))

    async def delete_pod(self) -> None:
        """With its own grace, a short one or none at all."""
        pod = await self._one(Pod)
        if pod is not None:
            grace = rand.rng().choice((None, None, None, 1, 0))
            self._say(f"user: delete pod {pod.metadata.namespace}/{pod.metadata.name} grace {grace}")
            await self.client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace=grace)

    async def let_go(self) -> None:
        """Change a pod's label so that its ReplicaSet releases it."""
        pod = await self._one(Pod)
        if pod is not None:
            await self._change(pod, {"metadata": {"labels": {"app": "free"}}})

    async def run_once(self) -> None:
        """A pod that does something and ends."""
        chance = rand.rng()
        self._number += 1
        namespace = await self._namespace()
        spec = {
            "restartPolicy": chance.choice(("Never", "OnFailure")),
            "containers": [{"name": "c", "image": "app:1", "command": ["sleep", str(chance.randrange(1, 20))]}],
        }
        self._say(f"user: run once {namespace}/once-{self._number}")
        meta = {"name": f"once-{self._number}", "namespace": namespace}
        await self.client.create(codec.from_builtins(Pod, {"metadata": meta, "spec": spec}))

    async def create_service(self) -> None:
        """In front of a Deployment."""
        d = await self._one(Deployment)
        if d is None or len((await self.client.list(Service)).items) > MOST:
            return
        spec = {
            "selector": {"app": _app(d)},
            "ports": [{"port": 80, "targetPort": 8080}],
            "type": rand.rng().choice(("ClusterIP", "NodePort")),
        }
        if rand.rng().random() < 0.2:
            spec = {**spec, "type": "ClusterIP", "clusterIP": "None"}
        meta = {"name": d.metadata.name, "namespace": d.metadata.namespace}
        self._say(f"user: create service {d.metadata.namespace}/{d.metadata.name}")
        await self.client.create(codec.from_builtins(Service, {"metadata": meta, "spec": spec}))

    async def delete_service(self) -> None:
        """But not the API server's, and not leaving its slices to nobody: nothing would ever remove them."""
        await self._delete(await self._one(Service), rand.rng().choice(("Background", "Foreground")))

    async def redirect(self) -> None:
        """Let a Service stand for another Deployment."""
        service, d = await self._one(Service), await self._one(Deployment)
        if service is not None and d is not None:
            await self._change(service, {"spec": {"selector": {"app": _app(d)}}})

    async def delete_node(self) -> None:
        """Take a node out of the cluster; its kubelet knows nothing of it until it starts again."""
        node = await self._one(Node)
        if node is not None and len(await self._all(Node)) > 1:
            self._say(f"user: delete node {node.metadata.name}")
            await self.client.delete(Node, node.metadata.name)

    async def configure(self) -> None:
        """Make, hold with a finalizer, or delete the settings that some pods need."""
        namespace = await self._namespace()
        held = rand.rng().random() < 0.3
        meta = {"name": SETTINGS, "namespace": namespace, "finalizers": [HOLD] if held else []}
        found = [one for one in await self._all(ConfigMap) if one.metadata.name == SETTINGS]
        there = next((one for one in found if one.metadata.namespace == namespace), None)
        if there is not None:
            await self._delete(there)
        else:
            self._say(f"user: configure {namespace}")
            await self.client.create(codec.from_builtins(ConfigMap, {"metadata": meta, "data": {"MODE": "test"}}))

    async def cordon(self) -> None:
        """Take a node out of scheduling, or put it back."""
        node = await self._one(Node)
        if node is not None:
            await self._change(node, {"spec": {"unschedulable": not node.spec.unschedulable}})

    async def create_namespace(self) -> None:
        """One more."""
        if len(await self._namespaces()) < 4:
            self._number += 1
            self._say(f"user: create namespace team-{self._number}")
            made = codec.from_builtins(Namespace, {"metadata": {"name": f"team-{self._number}"}})
            await self.client.create(made)

    async def delete_namespace(self) -> None:
        """With all that is in it."""
        names = [name for name in await self._namespaces() if name != "default"]
        if names:
            name = rand.rng().choice(names)
            self._say(f"user: delete namespace {name}")
            await self.client.delete(Namespace, name)

    async def limit(self) -> None:
        """Bound the pods of a namespace, or let it be free again; never of `default`, so that much goes on there."""
        namespace = await self._namespace()
        if namespace == "default":
            return
        there = next((one for one in await self._all(ResourceQuota) if one.metadata.namespace == namespace), None)
        if there is not None:
            await self._delete(there, "Background")
            return
        hard = {"pods": str(rand.rng().randrange(4, 16)), "requests.cpu": "9", "count/configmaps": "3"}
        self._say(f"user: limit {namespace} to {hard}")
        meta = {"name": "limit", "namespace": namespace}
        await self.client.create(codec.from_builtins(ResourceQuota, {"metadata": meta, "spec": {"hard": hard}}))

    # ---- afterwards

    async def repair(self) -> None:
        """Make every wish one that can be granted: templates that run, nothing paused, cordoned, held or limited."""
        for quota in await self._all(ResourceQuota):
            await self._delete(quota, "Background")
        for namespace in await self._all(Namespace):
            await self._settings(namespace)
        for node in await self._all(Node):
            await self._change(node, {"spec": {"unschedulable": None}})
        for d in await self._all(Deployment):
            if d.metadata.deletionTimestamp is None:
                variant = d.spec.template.metadata.annotations.get("variant", "plain")
                better = template(_app(d), variant if variant in GOOD else "plain", 5)
                await self._change(d, {"spec": {"paused": None, "template": better}})
        for rs in await self._all(ReplicaSet):
            if not rs.metadata.ownerReferences and rs.spec.template.metadata.annotations.get("variant") in BAD:
                await self._delete(rs, "Background")
        for pod in await self._all(Pod):
            if not pod.metadata.ownerReferences and pod.metadata.annotations.get("variant") in BAD:
                await self._delete(pod)

    async def _settings(self, namespace: Namespace) -> None:
        """The settings are there and not held, but where they are being deleted."""
        name = namespace.metadata.name
        try:
            await self.client.patch(ConfigMap, SETTINGS, {"metadata": {"finalizers": None}}, namespace=name)
            await self.client.get(ConfigMap, SETTINGS, name)
        except NotFound:
            if namespace.metadata.deletionTimestamp is None:
                meta = {"name": SETTINGS, "namespace": name}
                await self.client.create(codec.from_builtins(ConfigMap, {"metadata": meta}))

    async def update_everything(self) -> None:
        """A new version of each Deployment, and at least two pods of one."""
        for d in await self._all(Deployment):
            variant = d.spec.template.metadata.annotations["variant"]
            await self._change(d, {"spec": {"template": template(_app(d), variant, 6)}})

    async def delete_everything(self) -> None:
        """All namespaces but those of the system, and what is in `default`."""
        for name in await self._namespaces():
            if name != "default":
                await self.client.delete(Namespace, name)
        for cls in (Deployment, ReplicaSet, Service, Pod):
            for obj in await self._all(cls):
                if obj.metadata.namespace == "default":
                    await self._delete(obj, rand.rng().choice(("Background", "Foreground")))

    # ---- helpers

    async def _all(self, cls: type[Any]) -> list[Any]:
        found = (await self.client.list(cls)).items
        return [one for one in found if one.metadata.name != "kubernetes"]

    async def _one(self, cls: type[Any]) -> Any:
        found = await self._all(cls)
        return rand.rng().choice(found) if found else None

    async def _namespaces(self) -> list[str]:
        names = [one.metadata.name for one in await self._all(Namespace)]
        return [name for name in names if not name.startswith("kube-")]

    async def _namespace(self) -> str:
        return rand.rng().choice(await self._namespaces())

    async def _change(self, obj: Any, patch: dict[str, Any]) -> None:
        meta = obj.metadata
        kind = type(obj).__name__
        self._say(f"user: change {kind} {meta.namespace}/{meta.name}: {str(plain(patch))[:200]}")
        try:
            await self.client.patch(type(obj), meta.name, patch, namespace=meta.namespace, type="strategic")
        except NotFound:
            return

    async def _delete(self, obj: Any, how: str = "") -> None:
        if obj is None:
            return
        how = how or rand.rng().choice(("Background", "Foreground", "Orphan"))
        meta = obj.metadata
        self._say(f"user: delete {type(obj).__name__} {meta.namespace}/{meta.name} {how}")
        try:
            await self.client.delete(type(obj), meta.name, meta.namespace, propagation=how)
        except NotFound:
            return


def _app(d: Deployment) -> str:
    return d.spec.template.metadata.labels["app"]


def _owned(rs: ReplicaSet, d: Deployment) -> bool:
    return any(ref.uid == d.metadata.uid for ref in rs.metadata.ownerReferences)
