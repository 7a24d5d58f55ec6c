"""Certificates of pods in projected volumes: asked for with a fresh key, waited for, and renewed in time (KEP-4317).

`manager.py` asks for what the volumes of a pod are to show; each call takes every projection one step further, and the
pod is told (`changed`) when one of its requests changes. Kept in memory only: a kubelet that starts anew asks anew.

    nothing ──request──▶ pending ──Issued──▶ held ──time to refresh: request──▶ held and pending ──Issued──▶ held
                            └──────Denied, Failed──▶ refused (for good) ◀──────────────┘

Source of the rules: k8s.io/kubernetes `pkg/kubelet/podcertificate`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator

import msgspec

from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest, PodCertificateRequestSpec
from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.core.volume import PodCertificateProjection
from kijabi.api.gotext import quote
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.base import clock, rand
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.base.tasks import aside
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.kubelet.problems import ConfigProblem
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.together import together
from kijabi.kubelet.volumes import keys
from kijabi.kubelet.volumes.payload import Credentials, Place
from kijabi.kubelet.volumes.trust import certificates_in

ABANDON_SECONDS = 600.0  # a request that the watch does not show for so long was deleted
OVERDUE_SECONDS = 600.0  # so long after its time to be renewed a certificate is reported as overdue
JITTER = 300.0  # so that not all of a node's requests come at once
NOT_YET = "credential bundle is not issued yet"
OVERDUE = ("CertificateOverdueForRefresh", "PodCertificate refresh overdue")
EXPIRED = ("CertificateExpired", "PodCertificate expired")

log = logging.getLogger(__name__)


class Pending(msgspec.Struct, frozen=True):
    """A request under way, with the key that it is for. Times in seconds since the epoch."""

    name: str
    key: bytes
    abandon_at: float


class Issued(msgspec.Struct, frozen=True):
    """A key and its certificates (PEM), when to ask for the next ones, and when they end."""

    key: bytes
    chain: bytes
    refresh_at: float
    not_after: float

    def troubles(self) -> tuple[tuple[float, tuple[str, str]], ...]:
        """What is to be reported if this is still in use at a time."""
        return ((self.refresh_at + OVERDUE_SECONDS, OVERDUE), (self.not_after, EXPIRED))


class Refused(msgspec.Struct, frozen=True):
    """The signer's last word. verdict: Denied or Failed."""

    verdict: str
    reason: str
    message: str


class Record:
    """What is known of one projection."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()  # two operations of a pod may set up its volumes
        self.held: Issued | None = None
        self.pending: Pending | None = None
        self.refused: Refused | None = None
        self.told: set[str] = set()  # the events that were recorded about what is held
        self.problem = NOT_YET
        self.backoff = Backoff(first=1.0, most=300.0)
        self.retry_at = 0.0

    def credentials(self) -> Credentials:
        """What the volume shows of it."""
        if self.refused is not None:
            verb = "failed" if self.refused.verdict == "Failed" else "denied"
            said = f"reason={quote(self.refused.reason)} message={quote(self.refused.message)}"
            return Credentials(problem=f"PodCertificateRequest was permanently {verb}: {said}")
        if self.held is None:
            return Credentials(problem=self.problem)
        return Credentials(self.held.key, self.held.chain)

    def look_at(self) -> float | None:
        """When to look again if nothing happens, in seconds since the epoch."""
        times = [self.pending.abandon_at] if self.pending is not None else []
        if self.held is not None:
            if self.pending is None:
                times.append(max(self.held.refresh_at, self.retry_at))
            times += [at for at, (reason, _) in self.held.troubles() if reason not in self.told]
        return min(times, default=None)


def verdict(request: PodCertificateRequest, key: bytes, jitter: float) -> Issued | Refused | None:
    """What became of a request for a key; None while nobody has said. Pure."""
    for condition in request.status.conditions:
        if condition.type in ("Denied", "Failed"):
            return Refused(condition.type, condition.reason, condition.message)
        status = request.status
        if condition.type == "Issued" and status.beginRefreshAt is not None and status.notAfter is not None:
            refresh_at = status.beginRefreshAt.timestamp() + jitter
            return Issued(key, clean(status.certificateChain), refresh_at, status.notAfter.timestamp())
    return None


def clean(chain: str) -> bytes:
    """The certificates alone, without what stands between them."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificates_in(chain))).encode()


def projections(pod: Pod) -> Iterator[tuple[Place, PodCertificateProjection]]:
    """The certificates that a pod's volumes show."""
    for volume in pod.spec.volumes:
        for index, source in enumerate(volume.projected.sources if volume.projected is not None else ()):
            if source.podCertificate is not None:
                yield Place(volume.name, index), source.podCertificate


class Certificates:
    """The certificates of this node's pods. requests: those of this node, which this runs when a pod needs them.

    node: the node's name; node_uid(): "" while unknown. changed(uid) is called for a pod whose request changed.
    """

    def __init__(
        self,
        client: Client,
        requests: Informer[PodCertificateRequest],
        node: str,
        node_uid: Callable[[], str],
        reports: Reports,
        changed: Callable[[str], None],
        make_key: Callable[[str], keys.Key] = keys.make,
    ) -> None:
        self._client, self._requests, self._reports = client, requests, reports
        self._node, self._node_uid = node, node_uid
        self._changed, self._make_key = changed, make_key
        self._records: dict[str, dict[Place, Record]] = {}
        self._wanted = asyncio.Event()
        requests.add_handler(self._told)

    async def run(self) -> None:
        """Follow this node's requests, from the first pod on that needs it."""
        await self._wanted.wait()
        await self._requests.run()

    def _told(self, old: PodCertificateRequest | None, new: PodCertificateRequest | None) -> None:
        request = new or old
        if request is not None:
            self._changed(request.spec.podUID)

    async def get(self, pod: Pod) -> dict[Place, Credentials]:
        """What the pod's volumes are to show; what cannot be shown says why."""
        wanted = tuple(projections(pod))
        if not wanted:
            return {}
        self._wanted.set()
        found = await together(self._one(pod, place, source) for place, source in wanted)
        return dict(zip((place for place, _ in wanted), found, strict=True))

    def renew_at(self, uid: str) -> float | None:
        """When to ask for a pod's certificates again at the latest, in seconds since the epoch."""
        times = (record.look_at() for record in self._records.get(uid, {}).values())
        return min((at for at in times if at is not None), default=None)

    def drop(self, uid: str) -> None:
        """The pod is gone."""
        self._records.pop(uid, None)

    async def _one(self, pod: Pod, place: Place, source: PodCertificateProjection) -> Credentials:
        record = self._records.setdefault(pod.metadata.uid, {}).setdefault(place, Record())
        async with record.lock:
            self._follow(pod, record)
            await self._ask(pod, record, source)
        return record.credentials()

    def _follow(self, pod: Pod, record: Record) -> None:
        """Take in what became of the request, and say what is late."""
        now = clock.wall()
        if record.pending is not None:
            name = f"{pod.metadata.namespace}/{record.pending.name}"
            request = self._requests.get(name)
            said = verdict(request, record.pending.key, _jitter()) if request is not None else None
            if isinstance(said, Issued):
                record.held, record.pending, record.told = said, None, set()
            elif said is not None:
                record.held, record.pending, record.refused = None, None, said
                verb = "was denied" if said.verdict == "Denied" else "failed"
                text = f"{verb}, reason={quote(said.reason)}, message={quote(said.message)}"
                self._reports.pod(pod, "Warning", said.verdict, f"PodCertificateRequest {name} {text}")
            elif request is None and now >= record.pending.abandon_at:
                record.pending = None
        for at, (reason, text) in record.held.troubles() if record.held is not None else ():
            if now >= at and reason not in record.told:
                record.told.add(reason)
                self._reports.pod(pod, "Warning", reason, text)

    async def _ask(self, pod: Pod, record: Record, source: PodCertificateProjection) -> None:
        """Make a request where one is due. What goes wrong is the volume's problem only while it has nothing."""
        now = clock.wall()
        if record.refused is not None or record.pending is not None:
            return
        if record.held is not None and now < max(record.held.refresh_at, record.retry_at):
            return
        try:
            record.pending = await self._request(pod, source)
        except (ApiError, ConnectionLost, ConfigProblem) as problem:
            record.problem = str(problem)
            record.retry_at = now + record.backoff.next()
            log.warning("no certificate asked for", extra={"pod": pod.metadata.uid, "reason": record.problem})
            return
        record.problem = NOT_YET
        record.backoff.reset()

    async def _request(self, pod: Pod, source: PodCertificateProjection) -> Pending:
        meta, account = pod.metadata, pod.spec.serviceAccountName
        found = await self._client.get(ServiceAccount, account, meta.namespace)
        node_uid = self._node_uid()
        if not node_uid:
            raise ConfigProblem(f"while getting node object from local cache: node {quote(self._node)} not found")
        key = await aside(lambda: self._make_key(source.keyType))
        owner = OwnerReference(apiVersion="v1", kind="Pod", name=meta.name, uid=meta.uid)
        made = await self._client.create(
            PodCertificateRequest(
                metadata=ObjectMeta(generateName="req-", namespace=meta.namespace, ownerReferences=(owner,)),
                spec=PodCertificateRequestSpec(
                    signerName=source.signerName,
                    podName=meta.name,
                    podUID=meta.uid,
                    serviceAccountName=account,
                    serviceAccountUID=found.metadata.uid,
                    nodeName=self._node,
                    nodeUID=node_uid,
                    maxExpirationSeconds=source.maxExpirationSeconds,
                    stubPKCS10Request=key.proof,
                    unverifiedUserAnnotations=source.userAnnotations,
                ),
            )
        )
        created = made.metadata.creationTimestamp.timestamp() if made.metadata.creationTimestamp else clock.wall()
        return Pending(made.metadata.name, key.pem, created + ABANDON_SECONDS + _jitter())


def _jitter() -> float:
    return rand.rng().random() * JITTER
