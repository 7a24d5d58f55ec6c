"""The certificatesigningrequest types of the certificates group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class CertificateSigningRequestSpec(Struct):
    """What is asked of a Certificate Signing Request."""

    request: Annotated[bytes, Tag(1, required=True)] = field(default_factory=bytes)
    signerName: Annotated[str, Tag(7, required=True)] = field(default_factory=str)
    expirationSeconds: Annotated[Int32 | None, Tag(8)] = None
    usages: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    username: Annotated[str, Tag(2)] = ""
    uid: Annotated[str, Tag(3)] = ""
    groups: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    extra: Annotated[dict[str, tuple[str, ...]], Tag(6)] = {}


class CertificateSigningRequestCondition(Struct):
    """One condition of a Certificate Signing Request."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag(2)] = ""
    message: Annotated[str, Tag(3)] = ""
    lastUpdateTime: Annotated[Time, Tag(4)] = Time()
    lastTransitionTime: Annotated[Time, Tag(5)] = Time()


class CertificateSigningRequestStatus(Struct):
    """What was last seen of a Certificate Signing Request."""

    conditions: Annotated[
        tuple[CertificateSigningRequestCondition, ...],
        Tag(1, listType="map", keys=("type",)),
    ] = ()
    certificate: Annotated[bytes, Tag(2)] = b""


class CertificateSigningRequest(Object):
    """The API type CertificateSigningRequest."""

    spec: Annotated[
        CertificateSigningRequestSpec,
        Tag(2, required=True),
    ] = field(default_factory=CertificateSigningRequestSpec)
    status: Annotated[
        CertificateSigningRequestStatus,
        Tag(3),
    ] = field(default_factory=CertificateSigningRequestStatus)


RESOURCE = Resource(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    type=CertificateSigningRequest,
    namespaced=False,
    singular="certificatesigningrequest",
    short=("csr",),
    subresources=(
        Subresource(
            name="approval",
            kind="CertificateSigningRequest",
            verbs=("get", "patch", "update"),
            type=CertificateSigningRequest,
        ),
        Subresource(
            name="status",
            kind="CertificateSigningRequest",
            verbs=("get", "patch", "update"),
            type=CertificateSigningRequest,
        ),
    ),
)
