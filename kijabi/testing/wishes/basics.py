"""What every cluster has, whatever runs there: pods, Services, namespaces, nodes, settings, quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.core.service import Service
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.base import rand
from kijabi.base.errors import AlreadyExists, NotFound
from kijabi.testing.wishes.hand import Hand, Wish, app_of
from kijabi.testing.wishes.templates import BAD, SETTINGS, URGENT

HOLD = "example.com/hold"
MINE = "example.com/taint"
TAINTS = ("NoSchedule", "NoExecute", "NoExecute")


class Basics:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (Service, Pod)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            (2, self.prefer),
            (6, self.delete_pod),
            (2, self.let_go),
            (2, self.run_once),
            (4, self.create_service),
            (2, self.delete_service),
            (3, self.configure),
            (3, self.cordon),
            (2, self.taint),
            (2, self.redirect),
            (1, self.delete_node),
            (2, self.create_namespace),
            (1, self.delete_namespace),
            (1, self.limit),
        )

    async def prefer(self) -> None:
        """Some pods go before others."""
        try:
            await self.hand.create(PriorityClass, URGENT, "", value=1000)
        except AlreadyExists:
            return

    async def delete_pod(self) -> None:
        """With its own grace, a short one or none at all."""
        pod = await self.hand.one(Pod)
        if pod is not None:
            grace = rand.rng().choice((None, None, None, 1, 0))
            self.hand.say(f"user: delete pod {pod.metadata.namespace}/{pod.metadata.name} grace {grace}")
            await self.hand.client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace=grace)

    async def let_go(self) -> None:
        """Change a pod's label so that its owner releases it."""
        pod = await self.hand.one(Pod)
        if pod is not None and not any(ref.kind == "Job" for ref in pod.metadata.ownerReferences):
            await self.hand.change(pod, {"metadata": {"labels": {"app": "free"}}})

    async def run_once(self) -> None:
        """A pod that does something and ends."""
        chance = rand.rng()
        spec = {
            "restartPolicy": chance.choice(("Never", "OnFailure")),
            "containers": [{"name": "c", "image": "app:1", "command": ["sleep", str(chance.randrange(1, 20))]}],
        }
        await self.hand.create(Pod, f"once-{self.hand.number()}", await self.hand.namespace(), spec=spec)

    async def create_service(self) -> None:
        """In front of a Deployment."""
        d = await self.hand.one(Deployment)
        if d is None or await self.hand.full(Service):
            return
        spec = {
            "selector": {"app": app_of(d)},
            "ports": [{"port": 80, "targetPort": 8080}],
            "type": rand.rng().choice(("ClusterIP", "NodePort")),
        }
        if rand.rng().random() < 0.2:
            spec = {**spec, "type": "ClusterIP", "clusterIP": "None"}
        await self.hand.create(Service, d.metadata.name, d.metadata.namespace, spec=spec)

    async def delete_service(self) -> None:
        """But not the API server's, and not leaving its slices to nobody: nothing would ever remove them."""
        await self.hand.delete(await self.hand.one(Service), rand.rng().choice(("Background", "Foreground")))

    async def redirect(self) -> None:
        """Let a Service stand for another Deployment."""
        service, d = await self.hand.one(Service), await self.hand.one(Deployment)
        if service is not None and d is not None:
            await self.hand.change(service, {"spec": {"selector": {"app": app_of(d)}}})

    async def delete_node(self) -> None:
        """Take a node out of the cluster; its kubelet knows nothing of it until it starts again."""
        node = await self.hand.one(Node)
        if node is not None and len(await self.hand.all(Node)) > 1:
            self.hand.say(f"user: delete node {node.metadata.name}")
            await self.hand.client.delete(Node, node.metadata.name)

    async def configure(self) -> None:
        """Make, hold with a finalizer, or delete the settings that some pods need."""
        namespace = await self.hand.namespace()
        held = rand.rng().random() < 0.3
        found = [one for one in await self.hand.all(ConfigMap) if one.metadata.name == SETTINGS]
        there = next((one for one in found if one.metadata.namespace == namespace), None)
        if there is not None:
            await self.hand.delete(there)
        else:
            meta = {"finalizers": [HOLD] if held else []}
            await self.hand.create(ConfigMap, SETTINGS, namespace, metadata=meta, data={"MODE": "test"})

    async def cordon(self) -> None:
        """Take a node out of scheduling, or put it back."""
        node = await self.hand.one(Node)
        if node is not None:
            await self.hand.change(node, {"spec": {"unschedulable": not node.spec.unschedulable}})

    async def taint(self) -> None:
        """Let no pods onto a node, or chase them from it, unless they bear it; or take that back."""
        node = await self.hand.one(Node)
        if node is None:
            return
        others = [codec.to_builtins(taint) for taint in node.spec.taints if taint.key != MINE]
        mine = [{"key": MINE, "effect": rand.rng().choice(TAINTS)}] if len(others) == len(node.spec.taints) else []
        await self.hand.change(node, {"spec": {"taints": [*others, *mine]}})

    async def create_namespace(self) -> None:
        """One more."""
        if len(await self.hand.namespaces()) < 4:
            await self.hand.create(Namespace, f"team-{self.hand.number()}", "")

    async def delete_namespace(self) -> None:
        """With all that is in it."""
        names = [name for name in await self.hand.namespaces() if name != "default"]
        if names:
            name = rand.rng().choice(names)
            self.hand.say(f"user: delete namespace {name}")
            await self.hand.client.delete(Namespace, name)

    async def limit(self) -> None:
        """Bound the pods of a namespace, or let it be free again; never of `default`, so that much goes on there."""
        namespace = await self.hand.namespace()
        if namespace == "default":
            return
        quotas = await self.hand.all(ResourceQuota)
        there = next((one for one in quotas if one.metadata.namespace == namespace), None)
        if there is not None:
            await self.hand.delete(there, "Background")
            return
        hard = {"pods": str(rand.rng().randrange(4, 16)), "requests.cpu": "9", "count/configmaps": "3"}
        await self.hand.create(ResourceQuota, "limit", namespace, str(hard), spec={"hard": hard})

    async def repair(self) -> None:
        """Nothing cordoned, tainted, held or limited; what pods need is there."""
        for quota in await self.hand.all(ResourceQuota):
            await self.hand.delete(quota, "Background")
        for namespace in await self.hand.all(Namespace):
            await self._settings(namespace)
        for node in await self.hand.all(Node):
            taints = [codec.to_builtins(taint) for taint in node.spec.taints if taint.key != MINE]
            await self.hand.change(node, {"spec": {"unschedulable": None, "taints": taints}})
        for pod in await self.hand.all(Pod):
            if not pod.metadata.ownerReferences and pod.metadata.annotations.get("variant") in BAD:
                await self.hand.delete(pod)

    async def _settings(self, namespace: Namespace) -> None:
        """The settings are there and not held, but where they are being deleted."""
        name, client = namespace.metadata.name, self.hand.client
        try:
            await client.patch(ConfigMap, SETTINGS, {"metadata": {"finalizers": None}}, namespace=name)
            await client.get(ConfigMap, SETTINGS, name)
        except NotFound:
            if namespace.metadata.deletionTimestamp is None:
                await self.hand.create(ConfigMap, SETTINGS, name)

    async def update(self) -> None:
        """Nothing to roll out."""
