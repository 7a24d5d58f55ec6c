"""Who may approve, sign and attest certificates for a signer, and which subjects nobody gets.

Rights are on the resource `signers` with the verbs approve, sign and attest, by the signer's name or `its.domain/*`.
Source of the rules: certificates.k8s.io/v1, KEP-1513, KEP-3257; k8s.io/kubernetes `plugin/pkg/admission/certificates`.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID

from kijabi.api import codec
from kijabi.api.gotext import quote
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, is_kind, refuse
from kijabi.apiserver.attributes import Attributes, Authorizer, Operation, RequestInfo

GROUP = "certificates.k8s.io"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
MASTERS = "system:masters"


async def may(authorizer: Authorizer, attrs: Attributes, verb: str, signer: str) -> bool:
    """Whether the user has a right over a signer, or over all of its domain."""
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        info = RequestInfo(
            verb=verb, path="", is_resource=True, group=GROUP, version="*", resource="signers", name=name
        )  # fmt: skip
        if (await authorizer.authorize(attrs.user, info)).allowed:
            return True
    return False


class CertificateApproval(Plugin):
    """Approving needs the right over the signer."""

    name = "CertificateApproval"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        wanted = is_kind(resource, GROUP, "certificatesigningrequests")
        return wanted and subresource == "approval" and operation == "UPDATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        signer = attrs.old.spec.signerName
        if not await may(self._authorizer, attrs, "approve", signer):
            raise refuse(attrs, f"user not permitted to approve requests with signerName {quote(signer)}")


class CertificateSigning(Plugin):
    """So does giving the certificate."""

    name = "CertificateSigning"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        wanted = is_kind(resource, GROUP, "certificatesigningrequests")
        return wanted and subresource == "status" and operation == "UPDATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        new, old = attrs.object.status, attrs.old.status
        if new.certificate == old.certificate and new.conditions == old.conditions:
            return
        signer = attrs.old.spec.signerName
        if not await may(self._authorizer, attrs, "sign", signer):
            raise refuse(attrs, f"user not permitted to sign requests with signerName {quote(signer)}")


class ClusterTrustBundleAttest(Plugin):
    """And so does publishing the certificates that a signer is known by."""

    name = "ClusterTrustBundleAttest"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        return is_kind(resource, GROUP, "clustertrustbundles") and operation in ("CREATE", "UPDATE")

    async def validate(self, attrs: Attributes) -> None:
        """See Admission. What only frees an object for deletion is let through."""
        signer = attrs.object.spec.signerName
        if not signer or (attrs.old is not None and _only_for_deletion(attrs)):
            return
        if not await may(self._authorizer, attrs, "attest", signer):
            raise refuse(attrs, f"user not permitted to attest for signerName {quote(signer)}")


def _only_for_deletion(attrs: Attributes) -> bool:
    copy, old = codec.clone(attrs.object), attrs.old.metadata
    own = copy.metadata
    own.finalizers, own.ownerReferences, own.managedFields = old.finalizers, old.ownerReferences, old.managedFields
    own.resourceVersion = old.resourceVersion
    return bool(copy == attrs.old)


class CertificateSubjectRestriction(Plugin):
    """Nobody becomes an administrator by asking for a certificate."""

    name = "CertificateSubjectRestriction"

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        wanted = is_kind(resource, GROUP, "certificatesigningrequests")
        return wanted and not subresource and operation == "CREATE"

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        spec = attrs.object.spec
        if spec.signerName != CLIENT_SIGNER:
            return
        try:
            request = x509.load_pem_x509_csr(bytes(spec.request))
            organizations = [each.value for each in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        except ValueError as problem:
            raise refuse(attrs, f"failed to parse CSR: {problem}") from None
        if MASTERS in organizations:
            raise refuse(attrs, f"use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed")
