"""The Node authorizer: a kubelet may touch its own node and what the pods on it use, and nothing else.

Receives pods, volumes, attachments and certificate requests from the watch caches and keeps, for each node, what is
its own or its pods refer to; `union.py` asks it before RBAC. What a kubelet may write is narrowed further by
`admission/noderestriction.py`, which sees the objects. Rules and texts: k8s.io/kubernetes
`plugin/pkg/auth/authorizer/node` and the documentation "Using Node Authorization".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import Ref, references
from kijabi.api.gotext import quote
from kijabi.api.selector import parse_fields
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.apiserver.attributes import Decision, Reader, RequestInfo, UserInfo
from kijabi.apiserver.authz.defaults import node_rules
from kijabi.apiserver.authz.rules import Resolved, allows
from kijabi.base.errors import ApiError

NODES_GROUP = "system:nodes"
USER_PREFIX = "system:node:"
LEASES = "kube-node-lease"


def node_name(user: UserInfo) -> str | None:
    """The node that a user is the kubelet of; "" for a kubelet without a name, None for anybody else."""
    if NODES_GROUP not in user.groups or not user.name.startswith(USER_PREFIX):
        return None
    return user.name.removeprefix(USER_PREFIX)


class Graph:
    """What the pods on each node use. Fed by watch events; each answer is a look-up."""

    def __init__(self) -> None:
        self._used: dict[str, Counter[Ref]] = {}  # node → reference → how many pods make it
        self._pods: dict[tuple[str, str], tuple[str, tuple[Ref, ...]]] = {}
        self._claim_of: dict[str, Ref] = {}  # volume → the claim it is bound to
        self._volumes_of_secret: dict[Ref, set[str]] = {}
        self._attached: dict[str, str] = {}  # attachment → node
        self._requests: dict[tuple[str, str], str] = {}  # PodCertificateRequest → node

    def start(self, reader: Reader) -> None:
        """Follow pods, volumes and attachments from now on."""
        reader.subscribe(Pod, self.pod_changed)
        reader.subscribe(PersistentVolume, self.volume_changed)
        reader.subscribe(VolumeAttachment, self.attachment_changed)
        reader.subscribe(PodCertificateRequest, self.request_changed)

    def pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod was written or deleted; references of a pod without a node count for nobody."""
        pod = new or old
        if pod is None:
            return
        if old is not None and new is not None and _same_references(old, new):
            return
        key = (pod.metadata.namespace, pod.metadata.name)
        node, refs = self._pods.pop(key, ("", ()))
        if node:
            used = self._used[node]
            used.subtract(refs)
            for ref in refs:
                if used[ref] <= 0:
                    del used[ref]
            if not used:
                del self._used[node]
        if new is not None and new.spec.nodeName:
            refs = tuple(dict.fromkeys(references(new)))
            self._pods[key] = (new.spec.nodeName, refs)
            self._used.setdefault(new.spec.nodeName, Counter()).update(refs)

    def volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """A PersistentVolume was written or deleted."""
        if old is not None:
            name = old.metadata.name
            self._claim_of.pop(name, None)
            for ref in _volume_secrets(old):
                volumes = self._volumes_of_secret.get(ref, set())
                volumes.discard(name)
                if not volumes:
                    self._volumes_of_secret.pop(ref, None)
        if new is not None and new.spec.claimRef is not None:
            claim = new.spec.claimRef
            self._claim_of[new.metadata.name] = Ref("persistentvolumeclaims", claim.namespace, claim.name)
            for ref in _volume_secrets(new):
                self._volumes_of_secret.setdefault(ref, set()).add(new.metadata.name)

    def attachment_changed(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        """A VolumeAttachment was written or deleted."""
        if old is not None:
            self._attached.pop(old.metadata.name, None)
        if new is not None:
            self._attached[new.metadata.name] = new.spec.nodeName

    def request_changed(self, old: PodCertificateRequest | None, new: PodCertificateRequest | None) -> None:
        """A PodCertificateRequest was written or deleted."""
        if old is not None:
            self._requests.pop((old.metadata.namespace, old.metadata.name), None)
        if new is not None:
            self._requests[new.metadata.namespace, new.metadata.name] = new.spec.nodeName

    def reaches(self, node: str, kind: str, namespace: str, name: str) -> bool:
        """Does something on this node use that object?"""
        if kind == "volumeattachments":
            return self._attached.get(name) == node
        if kind == "podcertificaterequests":
            return self._requests.get((namespace, name)) == node
        used = self._used.get(node)
        if used is None:
            return False
        if kind == "persistentvolumes":
            return name in self._claim_of and self._claim_of[name] in used
        ref = Ref(kind, namespace, name)
        if ref in used:
            return True
        return any(self._claim_of.get(volume) in used for volume in self._volumes_of_secret.get(ref, ()))


def _same_references(old: Pod, new: Pod) -> bool:
    """A pod's references change only with its node, its identity and its ephemeral containers."""
    return (
        old.spec.nodeName == new.spec.nodeName
        and old.metadata.uid == new.metadata.uid
        and len(old.spec.ephemeralContainers) == len(new.spec.ephemeralContainers)
        and old.status.resourceClaimStatuses == new.status.resourceClaimStatuses
    )


def _volume_secrets(volume: PersistentVolume) -> Iterator[Ref]:
    """Secrets that a PersistentVolume names; where it gives no namespace, that of the claim."""
    claim = volume.spec.claimRef
    if claim is None:
        return
    source = volume.spec
    secrets = [
        getattr(getattr(source, plugin, None), "secretRef", None)
        for plugin in ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")
    ]
    if source.csi is not None:
        secrets += [
            source.csi.nodePublishSecretRef,
            source.csi.nodeStageSecretRef,
            source.csi.nodeExpandSecretRef,
        ]
    for secret in secrets:
        if secret is not None and secret.name:
            yield Ref("secrets", secret.namespace or claim.namespace, secret.name)
    if source.azureFile is not None:
        yield Ref("secrets", source.azureFile.secretNamespace or claim.namespace, source.azureFile.secretName)


_NO = Decision(False)
_YES = Decision(True)
_READS = ("get", "list", "watch")
_OWN = ("get", "create", "update", "patch", "delete")
_ONE_GET = {
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("resource.k8s.io", "resourceclaims"),
    ("storage.k8s.io", "volumeattachments"),
}


class NodeAuthorizer:
    """Decides for kubelets; has no opinion on anybody else."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._rules = node_rules()

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """See Authorizer."""
        node = node_name(user)
        if node is None:
            return _NO
        if not node:
            return Decision(False, f"unknown node for user {quote(user.name)}")
        if not info.is_resource:
            return self._by_rules(info)
        return self._resource(node, info)

    def rules_of(self, user: UserInfo, namespace: str) -> Resolved:
        """See Resolver: what a node may do depends on its pods."""
        if node_name(user) is None:
            return Resolved()
        return Resolved(incomplete=True, errors=("node authorizer does not support user rule resolution",))

    def _by_rules(self, info: RequestInfo) -> Decision:
        return _YES if any(allows(rule, info) for rule in self._rules) else _NO

    def _resource(self, node: str, info: RequestInfo) -> Decision:
        match (info.group, info.resource):
            case ("", "secrets" | "configmaps"):
                return self._read_used(node, info)
            case ("", "persistentvolumeclaims") if info.subresource == "status":
                if info.verb not in ("update", "patch"):
                    return Decision(False, "can only get/update/patch this type")
                return self._used(node, info)
            case ("", "persistentvolumeclaims") if info.name and info.verb in ("list", "watch"):
                # Upstream's kubelet asks for a claim again and again until it is bound; ours watches it, by its name.
                return self._read_used(node, info)
            case kind if kind in _ONE_GET:
                return self._get_used(node, info)
            case ("", "serviceaccounts"):
                return self._service_account(node, info)
            case ("coordination.k8s.io", "leases"):
                return _own_lease(node, info)
            case ("storage.k8s.io", "csinodes"):
                return _own_csi_node(node, info)
            case ("resource.k8s.io", "resourceslices"):
                return _own_slices(node, info)
            case ("certificates.k8s.io", "podcertificaterequests"):
                return self._certificate_request(node, info)
            case ("", "nodes"):
                return _own_node(node, info)
            case ("", "pods"):
                return self._pod(node, info)
        return self._by_rules(info)

    def _used(self, node: str, info: RequestInfo) -> Decision:
        if not info.name:
            return Decision(False, "No Object name found")
        if self._graph.reaches(node, info.resource, info.namespace, info.name):
            return _YES
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _read_used(self, node: str, info: RequestInfo) -> Decision:
        if info.verb not in _READS:
            return Decision(False, "can only read resources of this type")
        if info.subresource:
            return Decision(False, "cannot read subresource")
        if not info.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._used(node, info)

    def _get_used(self, node: str, info: RequestInfo) -> Decision:
        if info.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if info.subresource:
            return Decision(False, "cannot get subresource")
        return self._used(node, info)

    def _service_account(self, node: str, info: RequestInfo) -> Decision:
        if info.verb == "get" and not info.subresource:
            return self._read_used(node, info)
        if info.verb != "create" or not info.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if info.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._used(node, info)

    def _certificate_request(self, node: str, info: RequestInfo) -> Decision:
        """What a kubelet may ask for is looked at by admission (`admission/podcertificates.py`)."""
        if info.subresource:
            return Decision(False, "nodes may not access the status subresource of PodCertificateRequests")
        match info.verb:
            case "create":
                return _YES
            case "get":
                return self._used(node, info)
            case "list" | "watch":
                if _selects(info, "spec.nodeName", node):
                    return _YES
                return Decision(False, "can only list/watch podcertificaterequests with nodeName field selector")
        return Decision(False, f"nodes may not {info.verb} podcertificaterequests")

    def _pod(self, node: str, info: RequestInfo) -> Decision:
        match (info.subresource, info.verb):
            case ("", "get"):
                return self._get_used(node, info)
            case ("", "list" | "watch"):
                if _selects(info, "spec.nodeName", node):
                    return _YES
                if info.name:
                    return self._used(node, info)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            case ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create"):
                return _YES
        return _NO


def _selects(info: RequestInfo, field: str, value: str) -> bool:
    """Does the request's field selector demand that the field has this value?"""
    if not info.field_selector:
        return False
    try:
        wanted = parse_fields(info.field_selector)
    except ApiError:
        return False
    return wanted.exact(field) == value


def _own_lease(node: str, info: RequestInfo) -> Decision:
    if info.verb not in _OWN:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if info.namespace != LEASES:
        return Decision(False, f"can only access leases in the {quote(LEASES)} system namespace")
    if info.verb != "create" and info.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return _YES


def _own_csi_node(node: str, info: RequestInfo) -> Decision:
    if info.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if info.verb not in _OWN:
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if info.verb != "create" and info.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return _YES


def _own_slices(node: str, info: RequestInfo) -> Decision:
    if info.subresource:
        return Decision(False, "cannot authorize ResourceSlice subresources")
    if info.verb == "create" or (
        info.verb in ("watch", "list", "deletecollection") and _selects(info, "spec.nodeName", node)
    ):
        return _YES
    return Decision(False, "can only list/watch/deletecollection resourceslices with nodeName field selector")


def _own_node(node: str, info: RequestInfo) -> Decision:
    match (info.subresource, info.verb):
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return _YES
        case ("", "get" | "list" | "watch"):
            if info.name == node:
                return _YES
            if not info.name:
                return Decision(False, f"node '{node}' cannot read all nodes, only its own Node object")
            return Decision(False, f"node '{node}' cannot read '{info.name}', only its own Node object")
    return _NO
