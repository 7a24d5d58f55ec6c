"""Requests for certificates go when nobody needs them any more.

Receives CertificateSigningRequests and PodCertificateRequests; deletes them. `due` is pure
(k8s.io/kubernetes `pkg/controller/certificates/cleaner`).
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.certificates.certificatesigningrequest import CertificateSigningRequest
from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest
from kijabi.api.meta import Time
from kijabi.base import clock
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.runtime import Context, Source

SETTLED_SECONDS = 3600.0  # how long one that was issued, denied or failed is kept
PENDING_SECONDS = 24 * 3600.0  # and one that nobody has answered
POD_SECONDS = 15 * 60.0  # a kubelet has its answer sooner


def due(csr: CertificateSigningRequest) -> float | None:
    """When it is to go, in seconds since the epoch; None if no time is known."""
    times = [_after(csr.metadata.creationTimestamp, PENDING_SECONDS)] if not csr.status.conditions else []
    for condition in csr.status.conditions:
        if condition.type in ("Denied", "Failed"):
            times.append(_after(condition.lastUpdateTime, SETTLED_SECONDS))
        elif condition.type == "Approved" and csr.status.certificate:
            times += [_after(condition.lastUpdateTime, SETTLED_SECONDS), _end(csr.status.certificate)]
        elif condition.type == "Approved":
            times.append(_after(condition.lastUpdateTime, PENDING_SECONDS))
    return min((time for time in times if time is not None), default=None)


def _after(time: Time | None, seconds: float) -> float | None:
    return time.timestamp() + seconds if time else None


def _end(certificate: bytes) -> float | None:
    """When a certificate ends; None for what is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(bytes(certificate)).not_valid_after_utc.timestamp()
    except ValueError:
        return None


class CertificateRequestCleaner:
    """A key is a request's name."""

    name = "certificatesigningrequest-cleaner"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.requests = context.informers.of(CertificateSigningRequest)

    def sources(self) -> Sequence[Source]:
        return (Source(self.requests, lambda old, new: (key_of(new),) if new is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        at = due(csr) if csr is not None else None
        if csr is None or at is None:
            return None
        if (left := at - clock.wall()) > 0:
            return left
        try:
            await self.client.delete(CertificateSigningRequest, csr.metadata.name, uid=csr.metadata.uid)
        except (NotFound, Conflict):  # it went, or another has its name
            return None
        return None


class PodCertificateRequestCleaner:
    """A key is a request's namespace and name."""

    name = "podcertificaterequest-cleaner"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.requests = context.informers.of(PodCertificateRequest)

    def sources(self) -> Sequence[Source]:
        return (Source(self.requests, lambda old, new: (key_of(new),) if new is not None and old is None else ()),)

    async def reconcile(self, key: str) -> float | None:
        request = self.requests.get(key)
        created = _after(request.metadata.creationTimestamp, POD_SECONDS) if request is not None else None
        if request is None or created is None:
            return None
        if (left := created - clock.wall()) > 0:
            return left
        own = request.metadata
        try:
            await self.client.delete(PodCertificateRequest, own.name, own.namespace, uid=own.uid)
        except (NotFound, Conflict):  # it went, or another has its name
            return None
        return None
