"""Certificates of pods: asked for once, shown when issued, renewed in time, refused for good; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kijabi.api import codec
from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest, PodCertificateRequestStatus
from kijabi.api.core.pod import Pod
from kijabi.api.core.security import PodSecurityContext
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.core.volume import PodCertificateProjection, ProjectedVolumeSource, Volume, VolumeProjection
from kijabi.api.meta import Condition, ObjectMeta, Time
from kijabi.base import clock
from kijabi.base.errors import NotFound
from kijabi.kubelet.problems import ConfigProblem, VolumeProblem
from kijabi.kubelet.volumes import keys
from kijabi.kubelet.volumes.certificates import (
    ABANDON_SECONDS,
    JITTER,
    NOT_YET,
    OVERDUE_SECONDS,
    Certificates,
    Issued,
    Refused,
    verdict,
)
from kijabi.kubelet.volumes.payload import Credentials, File, Place, Sources, payload
from kijabi.testing import simloop
from tests.kubelet.things import pod

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PLACE = Place("tls", 0)
HOUR = 3600.0


def projected(**more: Any) -> Volume:
    source = PodCertificateProjection(signerName="example.com/s", keyType="ED25519", **more)
    return Volume(name="tls", projected=ProjectedVolumeSource(sources=(VolumeProjection(podCertificate=source),)))


POD = pod(volumes=(projected(credentialBundlePath="b.pem", userAnnotations={"a/b": "c"}),), serviceAccountName="robot")


class Server:
    """What the kubelet asks of the API server; requests are answered by the test."""

    def __init__(self) -> None:
        self.asked: list[PodCertificateRequest] = []
        self.accounts = True

    async def get(self, cls: type[Any], name: str, namespace: str = "") -> Any:
        assert (cls, name, namespace) == (ServiceAccount, "robot", "ns")
        if not self.accounts:
            raise NotFound('serviceaccounts "robot" not found')
        return ServiceAccount(metadata=ObjectMeta(name=name, uid="account"))

    async def create(self, obj: PodCertificateRequest) -> PodCertificateRequest:
        obj.metadata.name = f"{obj.metadata.generateName}{len(self.asked)}"
        obj.metadata.creationTimestamp = Time.of(clock.now())
        self.asked.append(obj)
        return obj


class World:
    """A kubelet's certificates with their server. The watch shows what `answer` wrote."""

    def __init__(self) -> None:
        self.server = Server()
        self.events: list[tuple[str, str]] = []
        self.told: list[str] = []
        reports = SimpleNamespace(pod=lambda _, kind, reason, text: self.events.append((reason, text)))
        self.shown: dict[str, PodCertificateRequest] = {}
        requests = SimpleNamespace(get=self.shown.get, add_handler=lambda handler: None)
        self.certificates = Certificates(
            self.server, requests, "n1", lambda: "node", reports, self.told.append,  # type: ignore[arg-type]
            make_key=lambda kind: keys.Key(f"key {len(self.server.asked)}".encode(), b"proof"),
        )  # fmt: skip

    async def look(self, given: Pod = POD) -> Credentials:
        return (await self.certificates.get(given))[PLACE]

    def answer(self, kind: str, *, life: float = HOUR) -> None:
        """The signer's word about the last request; the certificate is to be renewed after half its life."""
        now = clock.now()
        condition = Condition(type=kind, status="True", reason="Why", message="so it is")
        status = PodCertificateRequestStatus(conditions=(condition,))
        if kind == "Issued":
            status.certificateChain = CERTIFICATE
            status.beginRefreshAt = Time.of(now + timedelta(seconds=life / 2))
            status.notAfter = Time.of(now + timedelta(seconds=life))
        answered = codec.decode(PodCertificateRequest, codec.encode(self.server.asked[-1]))
        answered.status = status
        self.shown[f"ns/{answered.metadata.name}"] = answered


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def go() -> None:
        await story(World())

    simloop.run(go())


def test_one_request_until_it_is_answered() -> None:
    async def story(world: World) -> None:
        assert await world.look() == Credentials(problem=NOT_YET)
        assert await world.look() == Credentials(problem=NOT_YET)
        (asked,) = world.server.asked
        assert asked.metadata.ownerReferences[0].uid == "u1"
        spec = asked.spec
        assert (spec.signerName, spec.podName, spec.podUID) == ("example.com/s", "web", "u1")
        assert (spec.serviceAccountName, spec.serviceAccountUID) == ("robot", "account")
        assert (spec.nodeName, spec.nodeUID, spec.stubPKCS10Request) == ("n1", "node", b"proof")
        assert spec.unverifiedUserAnnotations == {"a/b": "c"}
        world.answer("Issued")
        assert await world.look() == Credentials(b"key 0", CERTIFICATE.encode())
        assert world.events == []

    play(story)


def test_renewed_in_time_and_shown_until_then() -> None:
    async def story(world: World) -> None:
        await world.look()
        world.answer("Issued")
        await world.look()
        due = world.certificates.renew_at("u1") or 0.0
        assert HOUR / 2 - 1 <= due - clock.wall() <= HOUR / 2 + JITTER
        await asyncio.sleep(due - clock.wall())
        assert (await world.look()).key == b"key 0"
        assert len(world.server.asked) == 2
        world.answer("Issued")
        assert (await world.look()).key == b"key 1"

    play(story)


def test_what_is_late_is_reported_once() -> None:
    async def story(world: World) -> None:
        await world.look()
        world.answer("Issued")
        for _ in range(20):
            assert (await world.look()).key == b"key 0"
            due = world.certificates.renew_at("u1") or 0.0
            assert due > clock.wall()
            await asyncio.sleep(due - clock.wall())
        assert [reason for reason, _ in world.events] == ["CertificateOverdueForRefresh", "CertificateExpired"]
        assert len(world.server.asked) > 2  # the watch never showed them: they count as deleted after a while

    play(story)


REFUSALS = (("Denied", "denied", "was denied"), ("Failed", "failed", "failed"))


@pytest.mark.parametrize(("kind", "verb", "event"), REFUSALS)
def test_refused_for_good(kind: str, verb: str, event: str) -> None:
    async def story(world: World) -> None:
        await world.look()
        world.answer(kind)
        said = f'PodCertificateRequest was permanently {verb}: reason="Why" message="so it is"'
        assert await world.look() == Credentials(problem=said)
        assert world.certificates.renew_at("u1") is None
        await asyncio.sleep(10 * HOUR)
        assert await world.look() == Credentials(problem=said)
        assert len(world.server.asked) == 1
        text = f'PodCertificateRequest ns/req-0 {event}, reason="Why", message="so it is"'
        assert world.events == [(kind, text)]

    play(story)


def test_a_request_that_is_gone_is_made_again_and_a_gone_pod_has_none() -> None:
    async def story(world: World) -> None:
        await world.look()
        due = world.certificates.renew_at("u1") or 0.0
        assert ABANDON_SECONDS - 1 <= due - clock.wall() <= ABANDON_SECONDS + JITTER
        await asyncio.sleep(due - clock.wall())
        await world.look()
        assert len(world.server.asked) == 2
        world.certificates.drop("u1")
        assert world.certificates.renew_at("u1") is None

    play(story)


def test_an_error_is_the_pods_problem_only_while_it_has_nothing() -> None:
    async def story(world: World) -> None:
        world.server.accounts = False
        assert (await world.look()).problem == 'serviceaccounts "robot" not found'
        world.server.accounts = True
        assert (await world.look()).problem == NOT_YET
        world.answer("Issued")
        await world.look()
        world.server.accounts = False
        await asyncio.sleep(HOUR / 2 + JITTER)
        assert (await world.look()).key == b"key 0"
        assert (world.certificates.renew_at("u1") or 0.0) > clock.wall()
        assert OVERDUE_SECONDS > JITTER

    play(story)


def test_the_verdict() -> None:
    request = PodCertificateRequest()
    assert verdict(request, b"k", 1.0) is None
    request.status.conditions = (Condition(type="Denied", reason="R", message="M"),)
    assert verdict(request, b"k", 1.0) == Refused("Denied", "R", "M")
    at = Time("2026-01-01T00:00:00Z")
    request.status = PodCertificateRequestStatus(
        conditions=(Condition(type="Issued"),),
        certificateChain=f"between {CERTIFICATE}\n{CERTIFICATE}",
        beginRefreshAt=at,
        notAfter=at,
    )
    assert verdict(request, b"k", 1.0) == Issued(b"k", CERTIFICATE.encode() * 2, at.timestamp() + 1, at.timestamp())


def test_the_files() -> None:
    held = Sources(credentials={PLACE: Credentials(b"k", b"c")})
    both = projected(keyPath="k.pem", certificateChainPath="c.pem", credentialBundlePath="b.pem")
    assert payload(pod(), both, held) == {
        "b.pem": File(b"kc", 0o644), "k.pem": File(b"k", 0o644), "c.pem": File(b"c", 0o644),
    }  # fmt: skip
    grouped = pod(securityContext=PodSecurityContext(fsGroup=5))
    assert payload(grouped, projected(keyPath="k"), held) == {"k": File(b"k", 0o600)}
    with pytest.raises(VolumeProblem, match="not yet"):
        payload(pod(), both, Sources(credentials={PLACE: Credentials(problem="not yet")}))


@pytest.mark.parametrize("kind", ["RSA3072", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"])
def test_keys_prove_their_possession(kind: str) -> None:
    made = keys.make(kind)
    request = x509.load_der_x509_csr(made.proof)
    assert request.is_signature_valid
    assert not list(request.subject)
    private = serialization.load_pem_private_key(made.pem, None)
    assert private.public_key() == request.public_key()


def test_no_other_keys() -> None:
    with pytest.raises(ConfigProblem, match='unknown key type "DSA"'):
        keys.make("DSA")
