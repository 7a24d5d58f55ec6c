"""Certificates for pods; written by kubelets, signed by the named signer."""

from typing import Annotated

from msgspec import field

from kijabi.api.certificates import rules
from kijabi.api.meta import Condition, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class PodCertificateRequestSpec(Struct):
    """The pod, its node, its key with proof of possession, and the signer."""

    signerName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    podName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    podUID: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    serviceAccountName: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    serviceAccountUID: Annotated[str, Tag(5, required=True)] = field(default_factory=str)
    nodeName: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    nodeUID: Annotated[str, Tag(7, required=True)] = field(default_factory=str)
    maxExpirationSeconds: Annotated[Int32 | None, Tag(8, default=86400)] = None
    stubPKCS10Request: Annotated[bytes, Tag(12, required=True)] = field(default_factory=bytes)
    unverifiedUserAnnotations: Annotated[dict[str, str], Tag(11)] = {}


class PodCertificateRequestStatus(Struct):
    """The issued chain, its validity, and when to begin to renew it."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    certificateChain: Annotated[str, Tag(2)] = ""
    notBefore: Annotated[Time | None, Tag(4)] = None
    beginRefreshAt: Annotated[Time | None, Tag(5)] = None
    notAfter: Annotated[Time | None, Tag(6)] = None


class PodCertificateRequest(Object):
    """Asks a signer for a certificate for one pod."""

    spec: Annotated[
        PodCertificateRequestSpec,
        Tag(2, required=True),
    ] = field(default_factory=PodCertificateRequestSpec)
    status: Annotated[
        PodCertificateRequestStatus,
        Tag(3),
    ] = field(default_factory=PodCertificateRequestStatus)


RESOURCE = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="PodCertificateRequest",
    plural="podcertificaterequests",
    type=PodCertificateRequest,
    singular="podcertificaterequest",
    subresources=(
        Subresource(
            name="status",
            kind="PodCertificateRequest",
            verbs=("get", "patch", "update"),
            type=PodCertificateRequest,
        ),
    ),
    fields=(
        ("spec.signerName", lambda request: request.spec.signerName),
        ("spec.podName", lambda request: request.spec.podName),
        ("spec.nodeName", lambda request: request.spec.nodeName),
    ),
    update_needs_version=True,
    validate=rules.validate_pod_request,
    validate_update=rules.validate_pod_request_update,
    validate_status=rules.validate_pod_request_status,
    update_alone=True,
)
