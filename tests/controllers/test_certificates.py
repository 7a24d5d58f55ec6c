"""Requests for certificates: who is recognised, what is signed and how, what goes when; and the whole way once."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kijabi.api import catalog
from kijabi.api.certificates.certificatesigningrequest import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
)
from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle
from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest, PodCertificateRequestSpec
from kijabi.api.meta import ObjectMeta, Time
from kijabi.apiserver.pki import Authority as Made
from kijabi.base import clock
from kijabi.base.errors import ConfigError
from kijabi.controllers.certificates import approving, cleaning, requests, signing, trustbundle
from kijabi.controllers.certificates.authority import Authority, duration
from kijabi.controllers.config import Config
from tests.controllers.world import World, play

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT, SERVING = ("digital signature", "client auth"), ("digital signature", "key encipherment", "server auth")
HOST: tuple[x509.GeneralName, ...] = (x509.DNSName("n1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1")))
UID = "12345678-1234-1234-1234-123456789012"
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(name: str = "system:node:n1", group: str = "system:nodes", names: Sequence[x509.GeneralName] = ()) -> bytes:
    """A PKCS#10 request."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def csr(
    request: bytes, signer: str = requests.KUBELET_CLIENT, usages: tuple[str, ...] = CLIENT, *types: str, **spec: Any
) -> CertificateSigningRequest:
    conditions = tuple(CertificateSigningRequestCondition(type=each, status="True") for each in types)
    made = CertificateSigningRequest(
        metadata=ObjectMeta(name="r"),
        spec=CertificateSigningRequestSpec(request=request, signerName=signer, usages=usages, **spec),
    )
    made.status.conditions = conditions
    return made


@pytest.mark.parametrize(
    ("signer", "request_", "usages", "problem"),
    [
        (requests.KUBELET_CLIENT, pem(), CLIENT, ""),
        (requests.KUBELET_CLIENT, pem(), (*CLIENT, "key encipherment"), ""),
        (
            requests.KUBELET_CLIENT, pem(), ("client auth",),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (requests.KUBELET_CLIENT, pem(group="people"), CLIENT, "subject organization is not system:nodes"),
        (requests.KUBELET_CLIENT, pem("n1"), CLIENT, "subject common name does not begin with system:node:"),
        (requests.KUBELET_CLIENT, pem(names=HOST), CLIENT, "DNS subjectAltNames are not allowed"),
        (requests.KUBELET_CLIENT, pem(names=HOST[1:]), CLIENT, "IP subjectAltNames are not allowed"),
        (requests.KUBELET_SERVING, pem(names=HOST), SERVING, ""),
        (requests.KUBELET_SERVING, pem(), SERVING, "DNS or IP subjectAltName is required"),
        (
            requests.KUBELET_SERVING, pem(names=(*HOST, x509.RFC822Name("a@b.c"))), SERVING,
            "Email subjectAltNames are not allowed",
        ),
        (requests.API_CLIENT, pem("jane", ""), CLIENT, ""),
        (requests.API_CLIENT, pem(), SERVING, "invalid usage for client certificate: server auth"),
        (
            requests.API_CLIENT, pem(), ("digital signature",),
            "missing required usage for client certificate: client auth",
        ),
        (requests.LEGACY, pem("x", ""), ("any",), ""),
    ],
)  # fmt: skip
def test_what_signers_ask_for(signer: str, request_: bytes, usages: tuple[str, ...], problem: str) -> None:
    assert requests.problem(signer, x509.load_pem_x509_csr(request_), usages) == problem


def test_kubelets_are_recognised() -> None:
    assert approving.recognised(csr(pem(), username="system:node:n1")) == ("selfnodeclient", "nodeclient")
    assert approving.recognised(csr(pem(), username="bootstrap")) == ("nodeclient",)
    assert approving.recognised(csr(pem("jane"), username="jane")) == ()
    assert approving.recognised(csr(pem(), requests.API_CLIENT)) == ()
    assert approving.recognised(csr(pem(), requests.KUBELET_CLIENT, CLIENT, "Denied")) == ()
    assert approving.recognised(csr(b"no request")) == ()


def test_what_is_due_to_be_signed() -> None:
    assert signing.due(csr(pem(), requests.LEGACY, CLIENT, "Approved"))
    assert not signing.due(csr(pem(), requests.LEGACY, CLIENT))
    assert not signing.due(csr(pem(), requests.LEGACY, CLIENT, "Approved", "Denied"))
    assert not signing.due(csr(pem(), requests.LEGACY, CLIENT, "Approved", "Failed"))
    assert not signing.due(csr(pem(), "example.com/other", CLIENT, "Approved"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, "ca", "kubernetes")


def test_a_signed_certificate(made: Made) -> None:
    authority = Authority.load(*made.pair)
    now = made.cert.not_valid_before_utc + DAY
    request = x509.load_pem_x509_csr(pem(names=HOST))
    signed = x509.load_pem_x509_certificate(authority.sign(request, (*SERVING, "s/mime"), 30 * DAY, now))
    signed.verify_directly_issued_by(made.cert)
    assert signed.subject == request.subject
    assert signed.public_key() == KEY.public_key()
    back = timedelta(minutes=5)
    assert (signed.not_valid_before_utc, signed.not_valid_after_utc) == (now - back, now + 30 * DAY - back)
    extensions = signed.extensions
    assert list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == list(HOST)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ]  # fmt: skip
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_lives_are_bounded(made: Made) -> None:
    authority = Authority.load(*made.pair)
    now, ends = made.cert.not_valid_before_utc + DAY, made.cert.not_valid_after_utc

    def end(life: timedelta, at: datetime = now) -> datetime:
        request = x509.load_pem_x509_csr(pem())
        return x509.load_pem_x509_certificate(authority.sign(request, CLIENT, life, at)).not_valid_after_utc

    assert end(timedelta(hours=1)) == now + timedelta(hours=1)  # a short one keeps its last five minutes
    assert end(10_000 * DAY) == ends
    with pytest.raises(ValueError, match="refusing to sign"):
        end(DAY, ends)
    with pytest.raises(ValueError, match="unrecognized usage values"):
        authority.sign(x509.load_pem_x509_csr(pem()), ("sing",), DAY, now)
    assert duration(None, DAY) == DAY
    assert duration(60, DAY) == timedelta(minutes=10)
    assert duration(3600, DAY) == timedelta(hours=1)
    assert duration(10**9, DAY) == DAY


def test_an_authority_that_is_none(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no certificate authority"):
        Authority.load(made.pair.cert, tmp_path / "none")
    other = Made(tmp_path, "other", "other")
    with pytest.raises(ConfigError, match="do not belong together"):
        Authority.load(made.pair.cert, other.pair.key)


def test_when_requests_go(made: Made) -> None:
    at = Time.of(NOW)

    def due(*types: str, certificate: bytes = b"") -> float | None:
        request = csr(pem(), requests.LEGACY, CLIENT, *types)
        request.metadata.creationTimestamp = at
        for condition in request.status.conditions:
            condition.lastUpdateTime = at
        request.status.certificate = certificate
        found = cleaning.due(request)
        return None if found is None else found - NOW.timestamp()

    assert due() == 24 * 3600
    assert due("Denied") == due("Failed") == 3600
    assert due("Approved") == 24 * 3600
    assert due("Approved", certificate=b"broken") == 3600
    ended = Authority.load(*made.pair).sign(x509.load_pem_x509_csr(pem()), CLIENT, DAY, made.cert.not_valid_before_utc)
    expires = x509.load_pem_x509_certificate(ended).not_valid_after_utc
    assert due("Approved", certificate=ended) == min(3600, expires.timestamp() - NOW.timestamp())
    assert due("Strange") is None


def test_the_trust_bundle() -> None:
    fresh = trustbundle.plan((), "A").create
    assert fresh is not None
    assert fresh.metadata.name == "kubernetes.io:kube-apiserver-serving:559aead08264d5795d390971"
    assert trustbundle.plan((fresh,), "A") == trustbundle.Plan()
    old = trustbundle.plan((), "B").create
    assert old is not None
    assert trustbundle.plan((old, fresh), "A") == trustbundle.Plan(delete=(old.metadata.name,))
    old.metadata.name = fresh.metadata.name
    assert trustbundle.plan((old,), "A") == trustbundle.Plan(update=fresh)


def test_from_a_request_to_a_certificate(made: Made) -> None:
    certificate, key = made.pair
    config = Config(root_ca=certificate.read_text(), signing_cert=str(certificate), signing_key=str(key))

    async def signed(world: World, name: str) -> CertificateSigningRequest | None:
        found = await world.client.get(CertificateSigningRequest, name)
        return found if found.status.certificate else None

    async def story(world: World) -> None:
        kubelet = csr(pem(), username="somebody else")
        kubelet.metadata.name = "kubelet"
        stored = await world.client.create(kubelet)
        assert stored.spec.username != "somebody else"  # the server says who asks
        found = await world.until(lambda: signed(world, "kubelet"))
        approval = found.status.conditions[0]
        assert (approval.type, approval.reason) == ("Approved", "AutoApproved")
        x509.load_pem_x509_certificate(found.status.certificate).verify_directly_issued_by(made.cert)

        wrong = csr(pem("jane", ""), requests.API_CLIENT, SERVING)
        wrong.metadata.name = "wrong"
        body = await world.client.create(wrong)
        body.status.conditions = (CertificateSigningRequestCondition(type="Approved", status="True", reason="Me"),)
        resource = catalog.by_type(CertificateSigningRequest)
        await world.client.subresource("PUT", resource, "wrong", sub="approval", body=body)

        async def failed() -> bool:
            conditions = (await world.client.get(CertificateSigningRequest, "wrong")).status.conditions
            return any(each.type == "Failed" and each.reason == "SignerValidationFailure" for each in conditions)

        await world.until(failed)
        (bundle,) = (await world.client.list(ClusterTrustBundle)).items
        assert bundle.spec.trustBundle == config.root_ca
        await world.gone(CertificateSigningRequest, "kubelet", seconds=2 * 3600)
        await world.gone(CertificateSigningRequest, "wrong", seconds=60)

    play(story, config=config)


def pod_request(name: str) -> PodCertificateRequest:
    """Of a pod that there is not: the server does not look."""
    proof = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())
    spec = PodCertificateRequestSpec(
        signerName="example.com/s", podName="p", podUID=UID, serviceAccountName="a", serviceAccountUID=UID,
        nodeName="n1", nodeUID=UID, maxExpirationSeconds=3600,
        stubPKCS10Request=proof.public_bytes(serialization.Encoding.DER),
    )  # fmt: skip
    return PodCertificateRequest(metadata=ObjectMeta(name=name, namespace="ns"), spec=spec)


def test_requests_of_pods_go_after_a_while() -> None:
    async def story(world: World) -> None:
        began = clock.wall()
        await world.client.create(pod_request("r"))
        await world.gone(PodCertificateRequest, "r", "ns", seconds=3600)
        assert clock.wall() - began >= cleaning.POD_SECONDS

    play(story)
