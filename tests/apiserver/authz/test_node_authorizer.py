"""A kubelet reaches what its pods use, and only while they do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest, PodCertificateRequestSpec
from kijabi.api.core.container import Container
from kijabi.api.core.env import ConfigMapEnvSource, EnvFromSource, EnvVar, EnvVarSource, SecretKeySelector
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.reference import LocalObjectReference, ObjectReference
from kijabi.api.core.volume import PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.attributes import Decision, RequestInfo, UserInfo
from kijabi.apiserver.authz.node import Graph, NodeAuthorizer
from kijabi.testing.objects import Objects

KUBELET = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))


def pod(name: str, node: str = "n1", uid: str = "1", **spec: object) -> Pod:
    meta = ObjectMeta(name=name, namespace="ns", uid=uid)
    return Pod(metadata=meta, spec=PodSpec(nodeName=node, **spec))  # type: ignore[arg-type]


def authorizer(reader: Objects) -> NodeAuthorizer:
    graph = Graph()
    graph.start(reader)
    return NodeAuthorizer(graph)


async def ask(
    node: NodeAuthorizer, verb: str, resource: str, name: str = "", namespace: str = "ns", group: str = "",
    sub: str = "", fields: str = "", user: UserInfo = KUBELET,
) -> Decision:  # fmt: skip
    info = RequestInfo(
        verb=verb, path="", is_resource=True, group=group, resource=resource, namespace=namespace, name=name,
        subresource=sub, field_selector=fields,
    )  # fmt: skip
    return await node.authorize(user, info)


async def test_references_of_pods() -> None:
    env = EnvVar(name="A", valueFrom=EnvVarSource(secretKeyRef=SecretKeySelector(name="env")))
    source = EnvFromSource(configMapRef=ConfigMapEnvSource(name="settings"))
    reader = Objects(
        pod(
            "p",
            serviceAccountName="sa",
            containers=(Container(name="c", env=(env,), envFrom=(source,)),),
            imagePullSecrets=(LocalObjectReference(name="pull"),),
            volumes=(
                Volume(name="v", secret=SecretVolumeSource(secretName="file")),
                Volume(name="d", persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName="data")),
            ),
        )
    )
    volume = PersistentVolume(metadata=ObjectMeta(name="pv"))
    volume.spec.claimRef = ObjectReference(namespace="ns", name="data")
    reader.put(volume)
    node = authorizer(reader)
    for name in ("env", "pull", "file"):
        assert (await ask(node, "get", "secrets", name)).allowed, name
        assert (await ask(node, "watch", "secrets", name)).allowed, name
    assert (await ask(node, "get", "configmaps", "settings")).allowed
    assert (await ask(node, "get", "persistentvolumeclaims", "data")).allowed
    assert (await ask(node, "watch", "persistentvolumeclaims", "data")).allowed
    unnamed = await ask(node, "watch", "persistentvolumeclaims")
    assert unnamed == Decision(False, "can only get individual resources of this type")
    assert not (await ask(node, "watch", "persistentvolumeclaims", "other")).allowed
    assert not (await ask(node, "watch", "persistentvolumes", "pv", namespace="")).allowed
    assert (await ask(node, "get", "persistentvolumes", "pv", namespace="")).allowed
    assert (await ask(node, "create", "serviceaccounts", "sa", sub="token")).allowed
    assert (await ask(node, "get", "pods", "p")).allowed
    refused = await ask(node, "get", "secrets", "other")
    assert refused == Decision(False, "no relationship found between node 'n1' and this object")
    assert not (await ask(node, "get", "secrets", "env", namespace="elsewhere")).allowed
    assert not (await ask(node, "list", "secrets")).allowed
    assert not (await ask(node, "update", "secrets", "env")).allowed
    assert not (await ask(node, "create", "serviceaccounts", "default", sub="token")).allowed
    reader.delete(Pod, "p", "ns")
    assert not (await ask(node, "get", "secrets", "env")).allowed
    assert not (await ask(node, "get", "persistentvolumes", "pv", namespace="")).allowed


async def test_only_its_own_node_lease_and_pods() -> None:
    node = authorizer(Objects())
    assert (await ask(node, "get", "nodes", "n1", namespace="")).allowed
    assert (await ask(node, "create", "nodes", namespace="")).allowed
    other = await ask(node, "get", "nodes", "n2", namespace="")
    assert other == Decision(False, "node 'n1' cannot read 'n2', only its own Node object")
    assert not (await ask(node, "list", "nodes", namespace="")).allowed
    leases = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
    assert (await ask(node, "update", "leases", "n1", **leases)).allowed
    assert not (await ask(node, "update", "leases", "n2", **leases)).allowed
    assert not (await ask(node, "update", "leases", "n1", group="coordination.k8s.io")).allowed
    assert (await ask(node, "list", "pods", namespace="", fields="spec.nodeName=n1")).allowed
    assert not (await ask(node, "list", "pods", namespace="", fields="spec.nodeName=n2")).allowed
    assert not (await ask(node, "list", "pods", namespace="", fields="spec.nodeName!=n1")).allowed
    assert not (await ask(node, "list", "pods", namespace="", fields="=,,\\")).allowed
    assert (await ask(node, "list", "services", namespace="")).allowed
    assert not (await ask(node, "create", "services")).allowed
    assert not (await ask(node, "delete", "namespaces", "default", namespace="")).allowed


async def test_requests_for_certificates_of_its_pods() -> None:
    spec = PodCertificateRequestSpec(podName="p", nodeName="n1")
    own = PodCertificateRequest(metadata=ObjectMeta(name="own", namespace="ns"), spec=spec)
    other = PodCertificateRequest(metadata=ObjectMeta(name="other", namespace="ns"))
    node = authorizer(Objects(own, other))

    async def may(verb: str, name: str = "", **more: str) -> Decision:
        return await ask(node, verb, "podcertificaterequests", name, group="certificates.k8s.io", **more)

    assert (await may("create")).allowed
    assert (await may("get", "own")).allowed
    assert not (await may("get", "other")).allowed
    assert (await may("watch", fields="spec.nodeName=n1")).allowed
    refused = await may("list", fields="spec.nodeName=n2")
    assert refused == Decision(False, "can only list/watch podcertificaterequests with nodeName field selector")
    assert (await may("delete", "own")).reason == "nodes may not delete podcertificaterequests"
    status = await may("update", "own", sub="status")
    assert status.reason == "nodes may not access the status subresource of PodCertificateRequests"


async def test_others_are_not_its_business() -> None:
    node = authorizer(Objects(pod("p", serviceAccountName="sa")))
    for user in (UserInfo("jane"), UserInfo("system:node:n1"), UserInfo("jane", groups=("system:nodes",))):
        assert await ask(node, "get", "serviceaccounts", "sa", user=user) == Decision(False)
    nameless = UserInfo("system:node:", groups=("system:nodes",))
    refused = await ask(node, "get", "nodes", "x", user=nameless)
    assert refused == Decision(False, 'unknown node for user "system:node:"')


changes = st.lists(
    st.tuples(
        st.sampled_from(["p", "q", "r"]), st.sampled_from(["", "n1", "n2"]), st.sampled_from(["s", "t"]), st.booleans()
    ),
    max_size=20,
)


@settings(max_examples=200, deadline=None)
@given(changes=changes)
def test_graph_agrees_with_the_pods(changes: list[tuple[str, str, str, bool]]) -> None:
    reader = Objects()
    graph = Graph()
    graph.start(reader)
    for number, (name, node, secret, delete) in enumerate(changes):
        if delete:
            if reader.get(Pod, name, "ns") is not None:
                reader.delete(Pod, name, "ns")
            continue
        volume = Volume(name="v", secret=SecretVolumeSource(secretName=secret))
        reader.put(pod(name, node, str(number), volumes=(volume,)))
    for node in ("n1", "n2"):
        for secret in ("s", "t"):
            expected = any(
                each.spec.nodeName == node and each.spec.volumes[0].secret.secretName == secret  # type: ignore[union-attr]
                for each in reader.items(Pod)
            )
            assert graph.reaches(node, "secrets", "ns", secret) == expected
