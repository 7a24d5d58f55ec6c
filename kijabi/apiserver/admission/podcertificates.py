"""A kubelet asks for certificates of its own pods only, as their service account, for signers that they name.

Part of `noderestriction.py`. Source of the rules: KEP-4317, k8s.io/kubernetes `plugin/pkg/admission/noderestriction`.
"""

from __future__ import annotations

from kijabi.api.certificates.podcertificaterequest import PodCertificateRequestSpec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import MIRROR
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.gotext import quote
from kijabi.apiserver.admission.plugin import refuse
from kijabi.apiserver.attributes import Attributes, Authorizer, Reader, RequestInfo
from kijabi.base.errors import ApiError

VERB = "request-serviceaccounts-podcertificate-signer"


async def check_request(node: str, attrs: Attributes, reader: Reader, authorizer: Authorizer) -> None:
    """Look at a PodCertificateRequest by a node. Raises Forbidden, or an error without a reason as upstream does."""
    if attrs.operation != "CREATE":
        raise refuse(attrs, f"unexpected operation {attrs.operation}")
    if attrs.subresource:
        raise refuse(attrs, f"unexpected subresource {attrs.subresource}")
    spec: PodCertificateRequestSpec = attrs.object.spec
    where = quote(f"{attrs.namespace}/{spec.podName}")
    if spec.nodeName != node:
        text = f"PodCertificateRequest.Spec.NodeName={quote(spec.nodeName)}, which is not the requesting node"
        raise refuse(attrs, f"{text} {quote(node)}")
    _check_node(spec, where, reader.get(Node, spec.nodeName))
    pod = reader.get(Pod, spec.podName, attrs.namespace)
    _check_pod(attrs, where, pod)
    account = reader.get(ServiceAccount, spec.serviceAccountName, attrs.namespace)
    if account is None:
        name = quote(f"{attrs.namespace}/{spec.serviceAccountName}")
        raise _broken(f"while retrieving service account {name} named in the PodCertificateRequest: not found")
    if spec.serviceAccountUID != account.metadata.uid:
        raise _broken(
            f"PodCertificateRequest for pod {where} names service account UID {quote(spec.serviceAccountUID)}, which "
            f"differs from the running service account ({quote(account.metadata.uid)})"
        )
    if pod is not None and not _mounts(pod, spec.signerName):
        await _authorize(attrs, authorizer, where)


def _broken(text: str) -> ApiError:
    return ApiError(text, code=500)


def _check_node(spec: PodCertificateRequestSpec, where: str, node: Node | None) -> None:
    if node is None:
        name = quote(spec.nodeName)
        raise _broken(f"while retrieving node {name} named in the PodCertificateRequest: node {name} not found")
    if node.metadata.uid != spec.nodeUID:
        raise _broken(
            f"PodCertificateRequest for pod {where} names node UID {quote(spec.nodeUID)}, inconsistent with the "
            f"running node ({quote(node.metadata.uid)})"
        )


def _check_pod(attrs: Attributes, where: str, pod: Pod | None) -> None:
    spec: PodCertificateRequestSpec = attrs.object.spec
    if pod is None:
        raise _broken(f"while retrieving pod {where} named in the PodCertificateRequest: not found")
    if spec.podUID != pod.metadata.uid:
        raise _broken(
            f"PodCertificateRequest for pod {where} contains pod UID ({quote(spec.podUID)}) which differs from running "
            f"pod {quote(pod.metadata.uid)}"
        )
    if pod.spec.nodeName != spec.nodeName:
        name = quote(spec.nodeName)
        raise refuse(attrs, f"pod {where} is not running on node {name} named in the PodCertificateRequest")
    if MIRROR in pod.metadata.annotations:
        raise refuse(attrs, f"pod {where} is a mirror pod")
    if spec.serviceAccountName != pod.spec.serviceAccountName:
        raise refuse(
            attrs,
            f"PodCertificateRequest for pod {where} contains serviceAccountName ({quote(spec.serviceAccountName)}) "
            f"that differs from running pod ({quote(pod.spec.serviceAccountName)})",
        )


def _mounts(pod: Pod, signer: str) -> bool:
    sources = (each for volume in pod.spec.volumes if volume.projected is not None for each in volume.projected.sources)
    return any(each.podCertificate is not None and each.podCertificate.signerName == signer for each in sources)


async def _authorize(attrs: Attributes, authorizer: Authorizer, where: str) -> None:
    """A pod that names no such signer needs a right of the node: other drivers may want the certificate."""
    spec: PodCertificateRequestSpec = attrs.object.spec
    info = RequestInfo(
        verb=VERB, path="", is_resource=True, group=attrs.resource.group, version=attrs.resource.version,
        resource=spec.signerName.replace("/", ":"), namespace=attrs.namespace, name=spec.serviceAccountName,
    )  # fmt: skip
    if not (await authorizer.authorize(attrs.user, info)).allowed:
        text = f"pod {where} does not mount a podCertificate projected volume for signer {quote(spec.signerName)}"
        raise refuse(attrs, text)
