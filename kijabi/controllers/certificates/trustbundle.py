"""The ClusterTrustBundle of the signer `kubernetes.io/kube-apiserver-serving`: by which pods know the API server.

Receives the bundles of that signer; keeps one with the authority's certificate, named by its hash, and deletes others
(KEP-3257, k8s.io/kubernetes `pkg/controller/certificates/clustertrustbundlepublisher`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle, ClusterTrustBundleSpec
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import AlreadyExists, NotFound
from kijabi.controllers.runtime import Context, Source

SIGNER = "kubernetes.io/kube-apiserver-serving"
BEGIN = "-----BEGIN CERTIFICATE-----"


class Plan(NamedTuple):
    """What is to be done: at most one of create and update, and the names of those to delete."""

    create: ClusterTrustBundle | None = None
    update: ClusterTrustBundle | None = None
    delete: tuple[str, ...] = ()


def plan(present: Iterable[ClusterTrustBundle], certificates: str) -> Plan:
    """Make the signer's bundles one, with these certificates (PEM). Pure."""
    name = f"{SIGNER.replace('/', ':')}:{hashlib.sha256(certificates.encode()).digest()[:12].hex()}"
    spec = ClusterTrustBundleSpec(signerName=SIGNER, trustBundle=certificates)
    others = []
    found = None
    for bundle in present:
        if bundle.metadata.name == name:
            found = bundle
        else:
            others.append(bundle.metadata.name)
    gone = tuple(sorted(others))
    if found is None:
        return Plan(create=ClusterTrustBundle(metadata=ObjectMeta(name=name), spec=spec), delete=gone)
    if found.spec.trustBundle != certificates:
        return Plan(update=replace(found, spec=spec), delete=gone)
    return Plan(delete=gone)


class _Start:
    """Wakes a controller once, for there may be no object whose coming would."""

    def add_handler(self, handler: Callable[[Any, Any], None], /) -> None:
        handler(None, None)

    async def wait_synced(self) -> None:
        return


class ServingTrustBundle:
    """The controller; its only key is the signer. Without a certificate it publishes nothing."""

    name = "kube-apiserver-serving-clustertrustbundle-publisher"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.certificates = context.config.root_ca
        self.bundles = context.informers.of(ClusterTrustBundle, fields=f"spec.signerName={SIGNER}")

    def sources(self) -> Sequence[Source]:
        if BEGIN not in self.certificates:
            return ()
        return tuple(Source(watched, lambda old, new: (SIGNER,)) for watched in (_Start(), self.bundles))

    async def reconcile(self, key: str) -> float | None:
        wanted = plan(self.bundles.items(), self.certificates)
        try:
            if wanted.create is not None:
                await self.client.create(wanted.create)
            if wanted.update is not None:
                await self.client.update(wanted.update)
            for name in wanted.delete:
                await self.client.delete(ClusterTrustBundle, name)
        except (AlreadyExists, NotFound):  # the watch brings what is there
            return None
        return None
