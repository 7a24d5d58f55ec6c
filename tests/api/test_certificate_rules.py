"""What requests for certificates may say, and how they may change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from kijabi.api import codec
from kijabi.api.certificates import rules
from kijabi.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
)
from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle, ClusterTrustBundleSpec
from kijabi.api.certificates.podcertificaterequest import (
    PodCertificateRequest,
    PodCertificateRequestSpec,
    PodCertificateRequestStatus,
)
from kijabi.api.meta import Condition, ObjectMeta, Time
from kijabi.api.resource import FieldError
from kijabi.base import clock

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
PROOF = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())
NOW = clock.now().replace(microsecond=0)
HOUR = timedelta(hours=1)


def told(errors: Iterable[FieldError]) -> list[str]:
    return [f"{error.field}: {error.message}" for error in errors]


def csr(*conditions: str, certificate: bytes = b"", **spec: Any) -> CertificateSigningRequest:
    given = {
        "request": PROOF.public_bytes(serialization.Encoding.PEM), "signerName": "example.com/s",
        "usages": ("client auth",), **spec,
    }  # fmt: skip
    made = CertificateSigningRequest(spec=CertificateSigningRequestSpec(**given))
    made.status.conditions = tuple(CertificateSigningRequestCondition(type=one, status="True") for one in conditions)
    made.status.certificate = certificate
    return made


def test_a_request() -> None:
    assert told(rules.validate_csr(csr())) == []
    assert told(rules.validate_csr(csr(usages=()))) == ["spec.usages: Required value"]
    (first,) = told(rules.validate_csr(csr(usages=("sing",))))
    assert first.startswith('spec.usages[0]: Unsupported value: "sing": supported values: "any", "cert sign"')
    assert told(rules.validate_csr(csr(usages=("any", "any")))) == ['spec.usages[1]: Duplicate value: "any"']
    (short,) = told(rules.validate_csr(csr(expirationSeconds=599)))
    assert short.endswith("Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)")
    (garbage,) = told(rules.validate_csr(csr(request=b"nothing")))
    assert garbage.endswith("PEM block type must be CERTIFICATE REQUEST")
    (legacy,) = told(rules.validate_csr(csr(signerName=rules.LEGACY)))
    assert legacy.endswith("the legacy signerName is not allowed via this API version")


def test_names_of_signers() -> None:
    assert told(rules.signer_name("s", "example.com/a.b")) == []
    assert told(rules.signer_name("s", "")) == ["s: Required value"]
    for name in ("example.com", "example.com/a/b"):
        (error,) = told(rules.signer_name("s", name))
        assert error.endswith("must be a fully qualified domain and path of the form 'example.com/signer-name'")
    (short,) = told(rules.signer_name("s", "example/a"))
    assert short == 's: Invalid value: "example": should be a domain with at least two segments separated by dots'
    (bad,) = told(rules.signer_name("s", "example.com/A"))
    assert bad.startswith('s: Invalid value: "A": validating label "A": ')


def test_verdicts_stay() -> None:
    assert rules.validate_csr_update(csr("Approved"), csr()) == []
    gone = 'status.conditions: Forbidden: updates may not remove a condition of type "Approved"'
    assert told(rules.validate_csr_update(csr(), csr("Approved"))) == [gone]
    both = 'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive'
    assert told(rules.validate_csr_update(csr("Approved", "Denied"), csr("Approved"))) == [both]
    added = 'status.conditions: Forbidden: updates may not add a condition of type "Denied"'
    assert told(rules.validate_csr_status(csr("Denied"), csr())) == [added]
    again = "status.certificate: Forbidden: updates may not modify existing certificate content"
    assert told(rules.validate_csr_status(csr(certificate=b"b"), csr(certificate=b"a"))) == [again]
    (none,) = told(rules.validate_csr_status(csr(certificate=b"a"), csr()))
    assert none.endswith("must contain at least one CERTIFICATE PEM block")


def pod_request(**spec: Any) -> PodCertificateRequest:
    given = {
        "signerName": "example.com/s", "podName": "p", "podUID": "u", "serviceAccountName": "a",
        "serviceAccountUID": "u", "nodeName": "n", "nodeUID": "u", "maxExpirationSeconds": 3600,
        "stubPKCS10Request": PROOF.public_bytes(serialization.Encoding.DER), **spec,
    }  # fmt: skip
    return PodCertificateRequest(spec=PodCertificateRequestSpec(**given))


def test_a_pods_request() -> None:
    assert rules.validate_pod_request(pod_request()) == []
    assert told(rules.validate_pod_request(pod_request(podUID=""))) == [
        'spec.podUID: Invalid value: "": must not be empty'
    ]
    (long,) = told(rules.validate_pod_request(pod_request(signerName="kubernetes.io/s", maxExpirationSeconds=86401)))
    assert long.endswith("must be in the range [3600, 86400]")
    (proof,) = told(rules.validate_pod_request(pod_request(stubPKCS10Request=b"x")))
    assert proof.endswith("must be a valid PKCS#10 CSR")
    (spec,) = told(rules.validate_pod_request_update(pod_request(podName="q"), pod_request()))
    assert spec.endswith("field is immutable")


def answered(kind: str, **status: Any) -> PodCertificateRequest:
    made = pod_request()
    condition = Condition(type=kind, status="True", reason="R", message="m", lastTransitionTime=Time.of(NOW))
    made.status = PodCertificateRequestStatus(conditions=(condition,), **status)
    return made


def issued(key: ec.EllipticCurvePrivateKey = KEY, **more: Any) -> PodCertificateRequest:
    leaf = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + HOUR).public_key(key.public_key()).sign(KEY, hashes.SHA256())
    )  # fmt: skip
    times = {"notBefore": Time.of(NOW), "notAfter": Time.of(NOW + HOUR), "beginRefreshAt": Time.of(NOW + HOUR / 2)}
    chain = leaf.public_bytes(serialization.Encoding.PEM).decode()
    return answered("Issued", **{"certificateChain": chain, **times, **more})


def test_the_last_word() -> None:
    check = rules.validate_pod_request_status
    assert check(issued(), pod_request()) == []
    assert check(answered("Denied"), pod_request()) == []
    (open_,) = told(check(answered("Open"), pod_request()))
    assert open_.startswith('status.conditions[0].type: Unsupported value: "Open"')
    (after,) = told(check(answered("Failed"), issued()))
    assert after.endswith("immutable after PodCertificateRequest is issued, denied, or failed")
    (filled,) = told(check(answered("Denied", certificateChain="x"), pod_request()))
    assert "must be empty when denying or failing" in filled
    bare = pod_request()
    bare.status = PodCertificateRequestStatus(certificateChain="x")
    (early,) = told(check(bare, pod_request()))
    assert early.endswith('status is immutable unless transitioning to "Issued", "Denied", or "Failed"')
    (key,) = told(check(issued(OTHER), pod_request()))
    assert key.endswith("leaf certificate was not issued to the requested public key")
    (soon,) = told(check(issued(beginRefreshAt=Time.of(NOW)), pod_request()))
    assert soon.endswith("must be at least 10 minutes after status.notBefore")
    (other,) = told(check(issued(notAfter=Time.of(NOW + 2 * HOUR)), pod_request()))
    assert other.endswith("must be set to the NotAfter time encoded in the leaf certificate")
    assert len(check(issued(notAfter=None, beginRefreshAt=None), pod_request())) == 2
    stored = codec.decode(PodCertificateRequest, codec.encode(issued()))
    assert check(msgspec.structs.replace(stored), stored) == []


def anchor(*, ca: bool = True) -> str:
    made = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + HOUR).public_key(KEY.public_key())
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(KEY, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM).decode()


def bundle(text: str, name: str = "b", signer: str = "") -> ClusterTrustBundle:
    return ClusterTrustBundle(
        metadata=ObjectMeta(name=name), spec=ClusterTrustBundleSpec(signerName=signer, trustBundle=text)
    )


def test_trust_bundles() -> None:
    good, other = anchor(), anchor()
    check = rules.validate_bundle
    assert check(bundle(f"between\n{good}{other}")) == []
    assert check(bundle(good, "example.com:s:b", "example.com/s")) == []
    (prefix,) = told(check(bundle(good, "b", "example.com/s")))
    assert prefix.endswith("ClusterTrustBundle for signerName example.com/s must be named with prefix example.com:s:")
    (colon,) = told(check(bundle(good, "a:b")))
    assert colon.endswith('ClusterTrustBundle without signer name must not have ":" in its name')
    for text, problem in (
        ("", "at least one trust anchor must be provided"),
        (good + good, "duplicate trust anchor (indices [0 1])"),
        (good + anchor(ca=False), "entry 1 does not have the CA bit set"),
        (good.replace("CERTIFICATE", "KEY"), "entry 0 has bad block type: KEY"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "entry 0 does not parse as X.509"),
        ("-----BEGIN CERTIFICATE-----\na: b\n\nAAAA\n-----END CERTIFICATE-----\n", "entry 0 has PEM block headers"),
    ):
        assert told(check(bundle(text))) == [f'spec.trustBundle: Invalid value: "<value omitted>": {problem}']
    (long,) = told(check(bundle("x" * (rules.LONGEST_BUNDLE + 1))))
    assert long.endswith("may not be more than 1048576 bytes")
    assert rules.validate_bundle_update(bundle("old"), bundle("old")) == []
    (signer,) = told(rules.validate_bundle_update(bundle(good, "b", "a.b/c"), bundle(good, "b")))
    assert signer.endswith("field is immutable")


def proof(key: Any) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (ed25519.Ed25519PrivateKey.generate(), ""),
        (ec.generate_private_key(ec.SECP521R1()), ""),
        (rsa.generate_private_key(65537, 3072), ""),
        (
            rsa.generate_private_key(65537, 2048),
            'Invalid value: "2048-bit modulus": RSA keys must have modulus size 3072 or 4096',
        ),
        (
            ec.generate_private_key(ec.SECP224R1()),
            'Invalid value: "curve P-224": elliptic public keys must use curve P256, P384, or P521',
        ),
        (dsa.generate_private_key(2048), "unknown public key type; supported types are Ed25519, ECDSA, and RSA"),
    ],
)
def test_keys_of_pods(key: Any, problem: str) -> None:
    told_ = told(rules.validate_pod_request(pod_request(stubPKCS10Request=proof(key))))
    assert len(told_) == bool(problem)
    assert all(each.endswith(problem) for each in told_)


def test_a_proof_by_another_key() -> None:
    data = bytearray(proof(KEY))
    data[-1] ^= 1
    (wrong,) = told(rules.validate_pod_request(pod_request(stubPKCS10Request=bytes(data))))
    assert wrong.endswith("invalid signature")


def test_annotations_for_signers() -> None:
    assert rules.validate_pod_request(pod_request(unverifiedUserAnnotations={"Example.com/a": "b"})) == []
    for key, problem in (("a", 'must be a domain-prefixed key (such as "acme.io/foo")'), ("", "Required value")):
        (error,) = told(rules.validate_pod_request(pod_request(unverifiedUserAnnotations={key: ""})))
        assert error.startswith("spec.unverifiedUserAnnotations: ")
        assert error.endswith(problem)
    (long,) = told(rules.validate_pod_request(pod_request(unverifiedUserAnnotations={"a.b/c": "x" * (256 << 10)})))
    assert long.endswith("may not be more than 262144 bytes")


def with_names(*names: x509.GeneralName) -> str:
    made = (
        x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + HOUR).public_key(KEY.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False).sign(KEY, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (x509.DNSName("a.example.com"), ""),
        (x509.DNSName("*.example.com"), ""),
        (x509.DNSName(""), "leaf certificate should not contain empty DNSName"),
        (x509.DNSName("a..b"), "leaf certificate's DNSName should not contain '..'"),
        (x509.DNSName(".a"), "leaf certificate's DNSName should not start or end with '.'"),
        (x509.DNSName("a."), "leaf certificate's DNSName should not start or end with '.'"),
        (x509.RFC822Name("jane@example.com"), ""),
        (x509.RFC822Name('"jane doe"@example.com'), ""),
        (x509.RFC822Name("jane"), "leaf certificate should not contain invalid EmailAddress"),
        (x509.RFC822Name("jane..doe@x"), "leaf certificate should not contain invalid EmailAddress"),
        (x509.UniformResourceIdentifier("spiffe://cluster/ns/a"), ""),
        (x509.IPAddress(ip_address("10.0.0.1")), ""),
    ],
)
def test_names_in_a_pods_certificate(name: x509.GeneralName, problem: str) -> None:
    found = told(rules.validate_pod_request_status(issued(certificateChain=with_names(name)), pod_request()))
    assert len(found) == bool(problem)
    assert all(each.endswith(problem) for each in found)


def test_a_pods_chain() -> None:
    check = rules.validate_pod_request_status
    chain = issued().status.certificateChain
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert check(issued(certificateChain=f"text\n{chain}\n{anchor()}"), pod_request()) == []
    for text, problem in (
        (key + chain, "issued certificate chain must consist entirely of CERTIFICATE PEM blocks"),
        (chain + key, "issued certificate chain must consist entirely of CERTFICATE PEM blocks"),
        (chain + wrong, "intermediate certificate does not parse as valid X.509"),
        (wrong, "leaf certificate does not parse as valid X.509"),
        ("none", "issued certificate chain must contain at least one certificate"),
        ("x" * (100 * 1024 + 1), "may not be more than 102400 bytes"),
    ):
        (error,) = told(check(issued(certificateChain=text), pod_request()))
        assert error.endswith(problem)


def test_what_a_signed_request_may_hold() -> None:
    key = b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n"
    headers = b"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END CERTIFICATE-----\n"
    good = anchor().encode()
    assert rules.validate_csr_status(csr(certificate=b"text\n" + good + good), csr()) == []
    for data, problem in (
        (key, 'only CERTIFICATE PEM blocks are allowed, found "KEY"'),
        (good + headers, "no PEM block headers are permitted"),
    ):
        (error,) = told(rules.validate_csr_status(csr(certificate=data), csr()))
        assert error.endswith(problem)
