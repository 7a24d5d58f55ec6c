"""Approved requests of the `kubernetes.io/` signers get their certificate.

Receives CertificateSigningRequests; writes certificate or failure into their status. The authority is read again for
each, for it may be renewed (k8s.io/kubernetes `pkg/controller/certificates/signer`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from kijabi.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from kijabi.api.meta import time_now
from kijabi.base import clock
from kijabi.base.errors import ConfigError, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source

RETRY_SECONDS = 60.0

log = logging.getLogger(__name__)


def due(csr: CertificateSigningRequest) -> bool:
    """Whether a signer of ours is to sign it: approved, not denied, not failed, and without a certificate."""
    verdicts = {each.type for each in csr.status.conditions if each.type in ("Approved", "Denied")}
    failed = any(each.type == "Failed" and each.status in ("", "True") for each in csr.status.conditions)
    ours = csr.spec.signerName.startswith("kubernetes.io/")
    return ours and verdicts == {"Approved"} and not failed and not csr.status.certificate


class CertificateSigner:
    """The controller; a key is a request's name. Without an authority it signs nothing."""

    name = "certificatesigningrequest-signing"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        config = context.config
        self.client = context.client
        self.files = (Path(config.signing_cert), Path(config.signing_key))
        self.life = timedelta(seconds=config.signing_duration)
        self.able = bool(config.signing_cert and config.signing_key)
        self.requests = context.informers.of(CertificateSigningRequest)

    def sources(self) -> Sequence[Source]:
        return (Source(self.requests, self._keys),) if self.able else ()

    def _keys(self, old: CertificateSigningRequest | None, new: CertificateSigningRequest | None) -> tuple[str, ...]:
        return (new.metadata.name,) if new is not None and due(new) else ()

    async def reconcile(self, key: str) -> float | None:
        csr = self.requests.get(key)
        if csr is None or not due(csr):
            return None
        try:
            status = self._answer(csr)
        except (ValueError, ConfigError) as problem:
            log.warning("not signed, trying again", extra={"csr": key, "reason": str(problem)})
            return RETRY_SECONDS
        try:
            if status is not None:
                await self.client.update_status(replace(csr, status=status))
        except NotFound:
            return None
        return None

    def _answer(self, csr: CertificateSigningRequest) -> CertificateSigningRequestStatus | None:
        """The status with the certificate, or with the reason why there is none; None for a signer that nobody is.

        Raises ValueError for a request that cannot be read, ConfigError for an authority that cannot.
        """
        from kijabi.controllers.certificates import authority, requests

        signer, usages = csr.spec.signerName, csr.spec.usages
        if signer not in requests.SIGNERS:
            return None
        request = requests.parse(csr)
        if said := requests.problem(signer, request, usages):
            failure = CertificateSigningRequestCondition(
                type="Failed", status="True", reason="SignerValidationFailure", message=said, lastUpdateTime=time_now()
            )
            return replace(csr.status, conditions=(*csr.status.conditions, failure))
        life = authority.duration(csr.spec.expirationSeconds, self.life)
        certificate = authority.Authority.load(*self.files).sign(request, usages, life, clock.now())
        return replace(csr.status, certificate=certificate)
