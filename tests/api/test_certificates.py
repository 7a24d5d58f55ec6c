"""Who may change what of a request for a certificate."""

from __future__ import annotations

from kijabi.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
    prepare,
    prepare_approval,
    prepare_status,
)
from kijabi.api.meta import Time

LONG_AGO = Time("2020-01-01T00:00:00Z")
APPROVED = CertificateSigningRequestCondition(
    type="Approved", status="True", reason="old", lastUpdateTime=LONG_AGO, lastTransitionTime=LONG_AGO
)


def request(
    *conditions: CertificateSigningRequestCondition, signer: str = "a/b", certificate: bytes = b""
) -> CertificateSigningRequest:
    status = CertificateSigningRequestStatus(conditions=conditions, certificate=certificate)
    return CertificateSigningRequest(spec=CertificateSigningRequestSpec(signerName=signer), status=status)


def test_what_was_asked_for_stays() -> None:
    new = request(signer="c/d")
    prepare(new, request())
    assert new.spec.signerName == "a/b"


def test_an_approval_changes_conditions_only() -> None:
    new = request(CertificateSigningRequestCondition(type="Mine", status="True"), signer="c/d", certificate=b"forged")
    prepare_approval(new, request(certificate=b"signed"))
    assert new.spec.signerName == "a/b"
    assert new.status.certificate == b"signed"
    [condition] = new.status.conditions
    assert condition.type == "Mine"
    assert condition.lastUpdateTime
    assert condition.lastTransitionTime


def test_a_status_keeps_the_verdict_as_it_was_given() -> None:
    changed = CertificateSigningRequestCondition(type="Approved", status="True", reason="new")
    failed = CertificateSigningRequestCondition(type="Failed", status="True")
    new = request(changed, failed, certificate=b"signed")
    prepare_status(new, request(APPROVED))
    assert new.status.conditions[0] == APPROVED
    assert new.status.conditions[1].type == "Failed"
    assert new.status.certificate == b"signed"


def test_a_condition_that_stays_has_its_old_transition() -> None:
    again = CertificateSigningRequestCondition(type="Approved", status="True", reason="again")
    new = request(again)
    prepare_approval(new, request(APPROVED))
    assert new.status.conditions[0].lastTransitionTime == LONG_AGO
    assert new.status.conditions[0].lastUpdateTime > LONG_AGO
