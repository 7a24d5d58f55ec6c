"""Trust anchors in projected volumes: whose certificates, each once."""

from __future__ import annotations

import ssl

import pytest

from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle, ClusterTrustBundleSpec
from kijabi.api.core.volume import ClusterTrustBundleProjection
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.kubelet.problems import ConfigProblem
from kijabi.kubelet.volumes.trust import anchors, certificates_in


def pem(name: str) -> str:
    """Something in the form of a certificate; nobody looks inside."""
    return ssl.DER_cert_to_PEM_cert(f"certificate {name}".encode())


def bundle(name: str, *certificates: str, signer: str = "", **labels: str) -> ClusterTrustBundle:
    spec = ClusterTrustBundleSpec(signerName=signer, trustBundle="words between\n".join(map(pem, certificates)))
    return ClusterTrustBundle(metadata=ObjectMeta(name=name, labels=labels), spec=spec)


BUNDLES = (
    bundle("plain", "a", "b"),
    bundle("s:1", "b", "c", signer="s", tier="one"),
    bundle("s:2", "c", "d", signer="s", tier="two"),
)


def held(**source: object) -> set[str]:
    text = anchors(ClusterTrustBundleProjection(path="x", **source), BUNDLES).decode()  # type: ignore[arg-type]
    found = certificates_in(text)
    assert len(set(found)) == len(found), "each once"
    return {each.decode().removeprefix("certificate ") for each in found}


def test_by_name_and_by_signer() -> None:
    assert held(name="plain") == {"a", "b"}
    assert held(signerName="s", labelSelector=LabelSelector()) == {"b", "c", "d"}
    assert held(signerName="s", labelSelector=LabelSelector(matchLabels={"tier": "two"})) == {"c", "d"}


def test_what_is_missing() -> None:
    with pytest.raises(ConfigProblem, match='"gone" not found'):
        held(name="gone")
    with pytest.raises(ConfigProblem, match="matched zero ClusterTrustBundles"):
        held(signerName="s")
    assert held(name="gone", optional=True) == set()
    with pytest.raises(ConfigProblem, match="requires either name or signerName"):
        held(optional=True)


def test_the_order_stays() -> None:
    source = ClusterTrustBundleProjection(path="x", signerName="s", labelSelector=LabelSelector())
    assert anchors(source, BUNDLES) == anchors(source, BUNDLES[::-1])
