"""Kubelets' client certificates are approved without a person, if who asks may have them.

Receives CertificateSigningRequests; asks the API server (SubjectAccessReview) whether their requester has the right
`create certificatesigningrequests/selfnodeclient` (a node its own) or `/nodeclient` (for any node), and writes the
approval (k8s.io/kubernetes `pkg/controller/certificates/approver`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from kijabi.api import catalog
from kijabi.api.authorization.subjectaccessreview import (
    ResourceAttributes,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
)
from kijabi.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
)
from kijabi.api.gotext import quote
from kijabi.base.errors import Forbidden, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source

MESSAGES = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}

log = logging.getLogger(__name__)


def decided(csr: CertificateSigningRequest) -> bool:
    """Whether it is approved, denied or even signed."""
    return bool(csr.status.certificate) or any(each.type in ("Approved", "Denied") for each in csr.status.conditions)


def recognised(csr: CertificateSigningRequest) -> tuple[str, ...]:
    """The rights of which one lets the request pass, the smaller first; none if it is for people to decide. Pure."""
    from kijabi.controllers.certificates import requests

    if decided(csr) or csr.spec.signerName != requests.KUBELET_CLIENT:
        return ()
    try:
        request = requests.parse(csr)
        if requests.problem(csr.spec.signerName, request, csr.spec.usages):
            return ()
    except ValueError as problem:
        log.warning("unreadable certificate request", extra={"csr": csr.metadata.name, "reason": str(problem)})
        return ()
    own = requests.common_name(request) == csr.spec.username
    return ("selfnodeclient", "nodeclient") if own else ("nodeclient",)


class CertificateApprover:
    """The controller; a key is a request's name."""

    name = "certificatesigningrequest-approving"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.requests = context.informers.of(CertificateSigningRequest)

    def sources(self) -> Sequence[Source]:
        return (Source(self.requests, lambda old, new: (new.metadata.name,) if new is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        rights = recognised(csr) if csr is not None else ()
        if csr is None or not rights:
            return None
        for right in rights:
            if await self._allowed(csr, right):
                await self._approve(csr, MESSAGES[right])
                return None
        tried = " ".join(rights)  # who asks may be given the right meanwhile
        raise Forbidden(f"recognized csr {quote(key)} as [{tried}] but subject access review was not approved")

    async def _allowed(self, csr: CertificateSigningRequest, right: str) -> bool:
        asked = ResourceAttributes(
            group="certificates.k8s.io", resource="certificatesigningrequests", subresource=right, verb="create",
            version="*",
        )  # fmt: skip
        who = csr.spec
        spec = SubjectAccessReviewSpec(
            user=who.username, uid=who.uid, groups=who.groups, extra=who.extra, resourceAttributes=asked
        )
        return (await self.client.create(SubjectAccessReview(spec=spec))).status.allowed

    async def _approve(self, csr: CertificateSigningRequest, message: str) -> None:
        approval = CertificateSigningRequestCondition(
            type="Approved", status="True", reason="AutoApproved", message=message
        )
        status = replace(csr.status, conditions=(*csr.status.conditions, approval))
        body = replace(csr, status=status)
        try:
            await self.client.subresource(
                "PUT", catalog.by_type(CertificateSigningRequest), csr.metadata.name, sub="approval", body=body
            )
        except NotFound:
            return
