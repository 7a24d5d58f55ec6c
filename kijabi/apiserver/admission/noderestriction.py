"""A kubelet writes only its own node, its lease, its pods' status and tokens for its pods.

Stands behind the Node authorizer (`authz/node.py`), which does not see objects. Source of the rules:
k8s.io/kubernetes `plugin/pkg/admission/noderestriction` (KEP-279, limit node access).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import MIRROR, claim_of, references
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.api.status import not_found
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.apiserver.admission.plugin import Plugin, refuse
from kijabi.apiserver.admission.podcertificates import check_request
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, Reader, RequestInfo
from kijabi.apiserver.authz.node import LEASES, node_name

_RESTRICTED = "node-restriction.kubernetes.io"
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    )
)
_KUBELET_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_HANDLED = frozenset(
    (
        ("", "pods"),
        ("", "nodes"),
        ("", "persistentvolumeclaims"),
        ("", "serviceaccounts"),
        ("coordination.k8s.io", "leases"),
        ("storage.k8s.io", "csinodes"),
        ("resource.k8s.io", "resourceslices"),
        ("certificates.k8s.io", "certificatesigningrequests"),
        ("certificates.k8s.io", "podcertificaterequests"),
    )
)


class NodeRestriction(Plugin):
    """Looks at writes by kubelets; those of anybody else pass."""

    name = "NodeRestriction"

    def __init__(self, reader: Reader, authorizer: Authorizer) -> None:
        self._reader = reader
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return operation != "CONNECT" and (resource.group, resource.plural) in _HANDLED

    async def mutate(self, attrs: Attributes) -> None:
        """See Admission."""
        node = node_name(attrs.user)
        if node is None:
            return
        if not node:
            raise refuse(attrs, f"could not determine node from user {quote(attrs.user.name)}")
        match (attrs.resource.plural, attrs.subresource):
            case ("pods", ""):
                self._pod(node, attrs)
            case ("pods", "status"):
                _pod_status(node, attrs)
            case ("pods", "eviction"):
                self._eviction(node, attrs)
            case ("pods", sub):
                text = f"unexpected pod subresource {quote(sub)}, only 'status' and 'eviction' are allowed"
                raise refuse(attrs, text)
            case ("nodes", _):
                _own_node(node, attrs)
            case ("persistentvolumeclaims", "status"):
                _claim_status(node, attrs)
            case ("persistentvolumeclaims", _):
                raise refuse(attrs, "may only update PVC status")
            case ("serviceaccounts", "token"):
                await self._token(node, attrs)
            case ("leases", _):
                _own_lease(node, attrs)
            case ("csinodes", _):
                _own_name(node, attrs, "CSINode")
            case ("resourceslices", _):
                _own_slice(node, attrs)
            case ("certificatesigningrequests", _):
                _own_request(node, attrs)
            case ("podcertificaterequests", _):
                await check_request(node, attrs, self._reader, self._authorizer)

    def _existing(self, attrs: Attributes, name: str) -> Pod:
        pod = self._reader.get(Pod, name, attrs.namespace)
        if pod is None:
            raise not_found("pods", name)
        return pod

    def _pod(self, node: str, attrs: Attributes) -> None:
        if attrs.operation == "DELETE":
            if self._existing(attrs, attrs.name).spec.nodeName != node:
                raise refuse(attrs, f"node {quote(node)} can only delete pods with spec.nodeName set to itself")
            return
        if attrs.operation != "CREATE":
            raise refuse(
                attrs,
                f"unexpected operation {quote(attrs.operation)}, node {quote(node)} can only create and "
                "delete mirror pods",
            )
        pod: Pod = attrs.object
        if MIRROR not in (pod.metadata.annotations or {}):
            raise refuse(
                attrs,
                f"pod does not have {quote(MIRROR)} annotation, node {quote(node)} can only create mirror pods",
            )
        if pod.spec.nodeName != node:
            raise refuse(attrs, f"node {quote(node)} can only create pods with spec.nodeName set to itself")
        self._mirror_owner(node, attrs, pod)
        # A mirror pod may use nothing of the API; `references` would skip it by its annotation.
        bare = Pod(metadata=type(pod.metadata)(name=pod.metadata.name), spec=pod.spec)
        used = next((ref.kind for ref in references(bare) if ref.kind != "pods"), "")
        if used:
            raise refuse(attrs, f"node {quote(node)} can not create pods that reference {used}")

    def _mirror_owner(self, node: str, attrs: Attributes, pod: Pod) -> None:
        owners = pod.metadata.ownerReferences
        start = f"node {quote(node)} can only create pods with"
        if len(owners) > 1:
            raise refuse(attrs, f"{start} a single owner reference set to itself")
        if not owners or (owners[0].apiVersion, owners[0].kind, owners[0].name) != ("v1", "Node", node):
            raise refuse(attrs, f"{start} an owner reference set to itself")
        if not owners[0].controller:
            raise refuse(attrs, f"{start} a controller owner reference set to itself")
        if owners[0].blockOwnerDeletion:
            raise refuse(attrs, f"node {quote(node)} must not set blockOwnerDeletion on an owner reference")
        there = self._reader.get(Node, node)
        if there is None:
            raise not_found("nodes", node)
        if owners[0].uid != there.metadata.uid:
            expected = f"expected {owners[0].uid} got {there.metadata.uid}"
            raise refuse(attrs, f"node {node} UID mismatch: {expected}")

    def _eviction(self, node: str, attrs: Attributes) -> None:
        name = attrs.name or attrs.object.metadata.name
        if not name:
            raise refuse(attrs, "could not determine pod from request data")
        if self._existing(attrs, name).spec.nodeName != node:
            raise refuse(attrs, f"node {node} can only evict pods with spec.nodeName set to itself")

    async def _token(self, node: str, attrs: Attributes) -> None:
        if attrs.operation != "CREATE":
            return
        ref = attrs.object.spec.boundObjectRef
        if ref is None or ref.apiVersion != "v1" or ref.kind != "Pod" or not ref.name:
            raise refuse(attrs, "node requested token not bound to a pod")
        if not ref.uid:
            raise refuse(attrs, "node requested token with a pod binding without a uid")
        pod = self._existing(attrs, ref.name)
        if ref.uid != pod.metadata.uid:
            raise refuse(
                attrs,
                f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. The "
                "object might have been deleted and then recreated",
            )
        if pod.spec.nodeName != node:
            raise refuse(attrs, "node requested token bound to a pod scheduled on a different node")
        await self._audience(attrs, pod)

    async def _audience(self, attrs: Attributes, pod: Pod) -> None:
        """A kubelet may ask for tokens only for the audiences that the pod's volumes ask for (KEP-4412)."""
        audiences = attrs.object.spec.audiences
        if len(audiences) > 1:
            raise refuse(attrs, "node may only request 0 or 1 audiences")
        audience = audiences[0] if audiences else ""
        if self._mounts_audience(pod, audience):
            return
        info = RequestInfo(
            verb="request-serviceaccounts-token-audience",
            path="",
            is_resource=True,
            group=attrs.resource.group,
            version=attrs.resource.version,
            resource=audience,
            namespace=attrs.namespace,
            name=attrs.name,
        )
        if not (await self._authorizer.authorize(attrs.user, info)).allowed:
            text = f"{attrs.user.name} is not authorized to request tokens for audience {quote(audience)}"
            raise refuse(attrs, text)

    def _mounts_audience(self, pod: Pod, audience: str) -> bool:
        for volume in pod.spec.volumes:
            sources = volume.projected.sources if volume.projected is not None else ()
            tokens = [each.serviceAccountToken for each in sources if each.serviceAccountToken is not None]
            if any(token.audience == audience for token in tokens):
                return True
            driver = self._reader.get(CSIDriver, self._driver(pod, volume)) if self._driver(pod, volume) else None
            if driver is not None and any(each.audience == audience for each in driver.spec.tokenRequests):
                return True
        return False

    def _driver(self, pod: Pod, volume: Any) -> str:
        """The CSI driver behind a volume, directly or through its claim."""
        if volume.csi is not None:
            return str(volume.csi.driver)
        claim_name = claim_of(pod, volume)
        claim = self._reader.get(PersistentVolumeClaim, claim_name, pod.metadata.namespace) if claim_name else None
        bound = self._reader.get(PersistentVolume, claim.spec.volumeName) if claim is not None else None
        return bound.spec.csi.driver if bound is not None and bound.spec.csi is not None else ""


def _pod_status(node: str, attrs: Attributes) -> None:
    if attrs.operation != "UPDATE":
        raise refuse(attrs, f"unexpected operation {quote(attrs.operation)}")
    old, new = attrs.old, attrs.object
    if old.spec.nodeName != node:
        text = f"node {quote(node)} can only update pod status for pods with spec.nodeName set to itself"
        raise refuse(attrs, text)
    if (old.metadata.labels or {}) != (new.metadata.labels or {}):
        raise refuse(attrs, f"node {quote(node)} cannot update labels through pod status")
    if old.status.resourceClaimStatuses != new.status.resourceClaimStatuses:
        raise refuse(attrs, f"node {quote(node)} cannot update resource claim statues")
    if old.status.extendedResourceClaimStatus != new.status.extendedResourceClaimStatus:
        raise refuse(attrs, f"node {quote(node)} cannot update extended resource claim status")
    if old.status.nodeAllocatableResourceClaimStatuses != new.status.nodeAllocatableResourceClaimStatuses:
        raise refuse(attrs, f"node {quote(node)} cannot update node allocatable resource claim statuses")


def _own_node(node: str, attrs: Attributes) -> None:
    name = attrs.name or (attrs.object.metadata.name if attrs.object is not None else "")
    if name != node:
        raise refuse(attrs, f"node {quote(node)} is not allowed to modify node {quote(name)}")
    if attrs.operation == "CREATE":
        changed = _changed(attrs.object.metadata.labels or {}, {})
        if changed:
            text = f"node {quote(node)} is not allowed to set the following labels: {', '.join(changed)}"
            raise refuse(attrs, text)
    elif attrs.operation == "UPDATE":
        old, new = attrs.old, attrs.object
        if new.spec.taints != old.spec.taints:
            raise refuse(attrs, f"node {quote(node)} is not allowed to modify taints")
        if new.metadata.ownerReferences != old.metadata.ownerReferences:
            raise refuse(attrs, f"node {quote(node)} is not allowed to modify ownerReferences")
        changed = _changed(new.metadata.labels or {}, old.metadata.labels or {})
        if changed:
            raise refuse(attrs, f"is not allowed to modify labels: {', '.join(changed)}")


def _changed(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Labels that differ and that a kubelet may not touch: they would let it attract other people's pods."""
    differing = {key for key in {*new, *old} if new.get(key) != old.get(key)}
    return sorted(key for key in differing if _forbidden(key))


def _forbidden(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    if not slash:
        return False
    if _within(domain, _RESTRICTED):
        return True
    if not (_within(domain, "kubernetes.io") or _within(domain, "k8s.io")):
        return False
    return label not in _KUBELET_LABELS and not any(_within(domain, each) for each in _KUBELET_LABEL_DOMAINS)


def _within(domain: str, parent: str) -> bool:
    return domain == parent or domain.endswith("." + parent)


def _claim_status(node: str, attrs: Attributes) -> None:
    if attrs.operation != "UPDATE":
        raise refuse(attrs, f"unexpected operation {quote(attrs.operation)}")
    pair = [codec.clone(attrs.old), codec.clone(attrs.object)]
    for claim in pair:
        claim.metadata.resourceVersion = ""
        claim.metadata.managedFields = attrs.old.metadata.managedFields
        for field in ("capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"):
            setattr(claim.status, field, getattr(type(claim.status)(), field))
    if codec.encode(pair[0]) != codec.encode(pair[1]):
        text = "is not allowed to update fields other than status.quantity and status.conditions"
        raise refuse(attrs, f"node {quote(node)} {text}")


def _own_lease(node: str, attrs: Attributes) -> None:
    if attrs.namespace != LEASES:
        raise refuse(attrs, f"can only access leases in the {quote(LEASES)} system namespace")
    name = attrs.object.metadata.name if attrs.operation == "CREATE" else attrs.name
    if name != node:
        raise refuse(attrs, "can only access node lease with the same name as the requesting node")


def _own_name(node: str, attrs: Attributes, kind: str) -> None:
    name = attrs.object.metadata.name if attrs.operation == "CREATE" else attrs.name
    if name != node:
        raise refuse(attrs, f"can only access {kind} with the same name as the requesting node")


def _own_slice(node: str, attrs: Attributes) -> None:
    if attrs.operation == "UPDATE":
        return
    spec = (attrs.object if attrs.operation == "CREATE" else attrs.old).spec
    if (spec.nodeName or "") != node:
        verb = "create" if attrs.operation == "CREATE" else "delete"
        raise refuse(attrs, f"can only {verb} ResourceSlice with the same NodeName as the requesting node")


def _own_request(node: str, attrs: Attributes) -> None:
    """A kubelet asks for certificates in its own name (KEP-4193 and CVE-2020-8559's lesson)."""
    if attrs.operation != "CREATE" or attrs.subresource:
        return
    if attrs.object.spec.signerName not in (
        "kubernetes.io/kubelet-serving",
        "kubernetes.io/kube-apiserver-client-kubelet",
    ):
        return
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        request = x509.load_pem_x509_csr(attrs.object.spec.request)
    except (ValueError, TypeError) as error:
        raise refuse(attrs, f"unable to parse csr: {error}") from error
    names = [str(each.value) for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [f"system:node:{node}"]:
        raise refuse(attrs, f"can only create a node CSR with CN={attrs.user.name}")
