"""Admission: each plug-in by what it lets pass, changes and refuses, with upstream's texts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api import catalog
from kijabi.api.authentication.tokenrequest import BoundObjectReference, TokenRequest
from kijabi.api.coordination.lease import Lease
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.container import Container, VolumeMount
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node, Taint
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.core.volume import ConfigMapVolumeSource, Volume
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.apiserver.admission.chain import Chain, plugins
from kijabi.apiserver.admission.serviceaccount import MOUNT_PATH, token_volume
from kijabi.apiserver.attributes import Attributes, UserInfo
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.authz.union import Union
from kijabi.base.errors import Forbidden, NotFound
from kijabi.testing.objects import Objects

JANE = UserInfo("jane")
KUBELET = UserInfo("system:node:n1", groups=("system:nodes",))


class World:
    """A chain over objects in memory."""

    def __init__(self, *objects: Any) -> None:
        active = Namespace(metadata=ObjectMeta(name="ns"))
        critical = PriorityClass(metadata=ObjectMeta(name="system-node-critical"), value=2_000_001_000)
        self.objects = Objects(active, critical, *objects)
        rbac = Rbac()
        self.chain = Chain(plugins(self.objects, rbac, Union((rbac,))))

    async def write(self, obj: Any, old: Any = None, user: UserInfo = JANE, sub: str = "", name: str = "") -> Any:
        target = old if obj is None else obj
        resource = catalog.by_type(ServiceAccount if isinstance(target, TokenRequest) else type(target))
        attrs = Attributes(
            user=user,
            resource=resource,
            operation="DELETE" if obj is None else "CREATE" if old is None else "UPDATE",
            namespace=target.metadata.namespace,
            name=name or target.metadata.name,
            subresource=sub,
            object=obj,
            old=old,
        )
        await self.chain.mutate(attrs)
        await self.chain.validate(attrs)
        return attrs.object


def pod(name: str = "p", **spec: Any) -> Pod:
    spec.setdefault("containers", (Container(name="c"),))
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", uid="pod-1"), spec=PodSpec(**spec))


def account(name: str = "default", **fields: Any) -> ServiceAccount:
    return ServiceAccount(metadata=ObjectMeta(name=name, namespace="ns", uid="sa-1"), **fields)


async def test_namespace_must_be_there_and_stay() -> None:
    world = World()
    lost = ConfigMap(metadata=ObjectMeta(name="x", namespace="nowhere"))
    with pytest.raises(NotFound) as missing:
        await world.write(lost)
    assert missing.value.message == 'namespaces "nowhere" not found'
    going = Namespace(metadata=ObjectMeta(name="going"))
    going.status.phase = "Terminating"
    world.objects.put(going)
    with pytest.raises(Forbidden) as refused:
        await world.write(ConfigMap(metadata=ObjectMeta(name="x", namespace="going")))
    assert refused.value.message == (
        'configmaps "x" is forbidden: unable to create new content in namespace going because it is being terminated'
    )
    assert refused.value.details is not None
    assert refused.value.details["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace going is being terminated",
            "field": "metadata.namespace",
        }
    ]
    old = ConfigMap(metadata=ObjectMeta(name="x", namespace="going"))
    await world.write(ConfigMap(metadata=ObjectMeta(name="x", namespace="going")), old)
    await world.write(None, old)


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_immortal_namespaces(name: str) -> None:
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await World().write(None, Namespace(metadata=ObjectMeta(name=name)))
    await World().write(None, Namespace(metadata=ObjectMeta(name="ns")))


async def test_pod_gets_account_token_tolerations_priority() -> None:
    world = World(account(imagePullSecrets=(LocalObjectReference(name="pull"),)))
    written = await world.write(pod(initContainers=(Container(name="i"),)))
    spec = written.spec
    assert spec.serviceAccountName == spec.serviceAccount == "default"
    assert spec.imagePullSecrets == (LocalObjectReference(name="pull"),)
    volume = spec.volumes[-1]
    assert volume.name.startswith("kube-api-access-")
    assert len(volume.name) == len("kube-api-access-") + 5
    assert volume.projected == token_volume()
    for container in (*spec.initContainers, *spec.containers):
        mount = VolumeMount(name=volume.name, readOnly=True, mountPath=MOUNT_PATH)
        assert container.volumeMounts == (mount,)
    assert [(each.key, each.tolerationSeconds) for each in spec.tolerations] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]
    assert (spec.priority, spec.preemptionPolicy) == (0, "PreemptLowerPriority")


async def test_no_token_where_none_is_wanted() -> None:
    silent = account(automountServiceAccountToken=False)
    assert (await World(silent).write(pod())).spec.volumes == ()
    assert (await World(silent).write(pod(automountServiceAccountToken=True))).spec.volumes != ()
    assert (await World(account()).write(pod(automountServiceAccountToken=False))).spec.volumes == ()
    own = Container(name="c", volumeMounts=(VolumeMount(name="mine", mountPath=MOUNT_PATH),))
    assert (await World(account()).write(pod(containers=(own,)))).spec.volumes == ()


async def test_missing_account() -> None:
    with pytest.raises(Forbidden) as refused:
        await World(account()).write(pod(serviceAccountName="robot"))
    assert refused.value.message == (
        'pods "p" is forbidden: error looking up service account ns/robot: serviceaccount "robot" not found'
    )


async def test_default_account_may_be_a_little_late() -> None:
    world = World()
    async with asyncio.TaskGroup() as group:
        write = group.create_task(world.write(pod()))
        await asyncio.sleep(0)
        world.objects.put(account())
    assert write.result().spec.serviceAccountName == "default"


async def test_enforced_secrets() -> None:
    strict = account()
    strict.metadata.annotations = {"kubernetes.io/enforce-mountable-secrets": "true"}
    with pytest.raises(
        Forbidden, match=r'imagePullSecrets\[0\].name="x" is not allowed because service account default'
    ):
        await World(strict).write(pod(imagePullSecrets=(LocalObjectReference(name="x"),)))


async def test_own_tolerations_are_kept() -> None:
    everything = Toleration(operator="Exists")
    written = await World(account()).write(pod(tolerations=(everything,)))
    assert written.spec.tolerations == (everything,)


async def test_priority_classes() -> None:
    world = World(account(), PriorityClass(metadata=ObjectMeta(name="high"), value=7, preemptionPolicy="Never"))
    written = await world.write(pod(priorityClassName="high"))
    assert (written.spec.priority, written.spec.preemptionPolicy) == (7, "Never")
    critical = await world.write(pod(priorityClassName="system-node-critical"))
    assert critical.spec.priority == 2_000_001_000
    with pytest.raises(Forbidden, match="no PriorityClass with name low was found"):
        await world.write(pod(priorityClassName="low"))
    with pytest.raises(Forbidden, match=r"the integer value of priority \(3\) must not be provided"):
        await world.write(pod(priority=3))
    default = PriorityClass(metadata=ObjectMeta(name="normal"), value=5, globalDefault=True)
    world.objects.put(await world.write(default))
    written = await world.write(pod())
    assert (written.spec.priorityClassName, written.spec.priority) == ("normal", 5)
    other = PriorityClass(metadata=ObjectMeta(name="other"), value=5, globalDefault=True)
    with pytest.raises(Forbidden, match="PriorityClass normal is already marked as default"):
        await world.write(other)


async def test_new_node_is_tainted() -> None:
    node = await World().write(Node(metadata=ObjectMeta(name="n1")), user=KUBELET)
    assert node.spec.taints == (Taint(key="node.kubernetes.io/not-ready", effect="NoSchedule"),)


async def test_kubelet_writes_only_its_own_node() -> None:
    world = World()
    with pytest.raises(Forbidden, match='node "n1" is not allowed to modify node "n2"'):
        await world.write(Node(metadata=ObjectMeta(name="n2")), user=KUBELET)
    labelled = Node(metadata=ObjectMeta(name="n1", labels={"node-restriction.kubernetes.io/a": "b"}))
    with pytest.raises(Forbidden, match="is not allowed to set the following labels"):
        await world.write(labelled, user=KUBELET)
    fine = {"kubernetes.io/hostname": "n1", "example.com/x": "y", "node.kubernetes.io/pool": "z"}
    old = await world.write(Node(metadata=ObjectMeta(name="n1", labels=fine)), user=KUBELET)
    untainted = Node(metadata=ObjectMeta(name="n1", labels=fine))
    with pytest.raises(Forbidden, match="is not allowed to modify taints"):
        await world.write(untainted, old, user=KUBELET)
    await world.write(untainted, old)


async def test_kubelet_and_pods() -> None:
    there = pod(nodeName="n1")
    elsewhere = pod("q", nodeName="n2")
    world = World(there, elsewhere, account(), Node(metadata=ObjectMeta(name="n1", uid="node-1")))
    await world.write(None, there, user=KUBELET)
    with pytest.raises(Forbidden, match='node "n1" can only delete pods with spec'):
        await world.write(None, elsewhere, user=KUBELET)
    await world.write(pod(nodeName="n1"), there, user=KUBELET, sub="status")
    with pytest.raises(Forbidden, match="can only update pod status for pods with"):
        await world.write(pod("q", nodeName="n2"), elsewhere, user=KUBELET, sub="status")
    with pytest.raises(Forbidden, match="can only create mirror pods"):
        await world.write(pod("r", nodeName="n1"), user=KUBELET)
    mirror = pod("m", nodeName="n1")
    mirror.metadata.annotations = {"kubernetes.io/config.mirror": "x"}
    with pytest.raises(Forbidden, match="with an owner reference set to itself"):
        await world.write(mirror, user=KUBELET)
    owner = OwnerReference(apiVersion="v1", kind="Node", name="n1", uid="node-1", controller=True)
    mirror.metadata.ownerReferences = (owner,)
    await world.write(mirror, user=KUBELET)
    mirror.spec.volumes = (Volume(name="v", configMap=ConfigMapVolumeSource(name="x")),)
    with pytest.raises(Forbidden, match='node "n1" can not create pods that reference configmaps'):
        await world.write(mirror, user=KUBELET)


async def test_kubelet_and_tokens() -> None:
    projected = Volume(name="t", projected=token_volume())
    world = World(pod(nodeName="n1", volumes=(projected,)), pod("q", nodeName="n2"), account())

    async def ask(**ref: str) -> None:
        request = TokenRequest(metadata=ObjectMeta(namespace="ns", name="default"))
        request.spec.boundObjectRef = BoundObjectReference(apiVersion="v1", kind="Pod", **ref) if ref else None
        await world.write(request, user=KUBELET, sub="token")

    await ask(name="p", uid="pod-1")
    with pytest.raises(Forbidden, match="node requested token not bound to a pod"):
        await ask()
    with pytest.raises(Forbidden, match="pod binding without a uid"):
        await ask(name="p")
    with pytest.raises(Forbidden, match="does not match the UID in record"):
        await ask(name="p", uid="pod-2")
    with pytest.raises(Forbidden, match="pod scheduled on a different node"):
        await ask(name="q", uid="pod-1")


async def test_kubelet_and_leases() -> None:
    world = World(Namespace(metadata=ObjectMeta(name="kube-node-lease")))
    await world.write(Lease(metadata=ObjectMeta(name="n1", namespace="kube-node-lease")), user=KUBELET)
    with pytest.raises(Forbidden, match="can only access node lease with the same name"):
        await world.write(Lease(metadata=ObjectMeta(name="n2", namespace="kube-node-lease")), user=KUBELET)
    with pytest.raises(Forbidden, match="can only access leases in the"):
        await world.write(Lease(metadata=ObjectMeta(name="n1", namespace="ns")), user=KUBELET)
