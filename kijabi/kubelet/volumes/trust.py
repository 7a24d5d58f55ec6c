"""Trust anchors in projected volumes: the certificates of ClusterTrustBundles, each once (KEP-3257). Pure.

`payload.py` asks with the bundles that `references.py` follows.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Sequence

from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle
from kijabi.api.core.volume import ClusterTrustBundleProjection
from kijabi.api.selector import from_label_selector
from kijabi.kubelet.problems import ConfigProblem

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def anchors(source: ClusterTrustBundleProjection, bundles: object) -> bytes:
    """The file of one projection, in PEM. bundles: a tuple of all there are. Raises ConfigProblem if none matches.

    The order says nothing and is no bundle's own; it stays the same until the certificates change.
    """
    known: Sequence[ClusterTrustBundle] = bundles if isinstance(bundles, tuple) else ()
    if source.name is not None:
        found = [one for one in known if one.metadata.name == source.name]
        missing = f'while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io "{source.name}" not found'
    elif source.signerName is not None:
        selector = from_label_selector(source.labelSelector)  # none selects nothing, an empty one everything
        found = [
            one for one in known if one.spec.signerName == source.signerName and selector.matches(one.metadata.labels)
        ]
        missing = "combination of signerName and labelSelector matched zero ClusterTrustBundles"
    else:
        raise ConfigProblem("ClusterTrustBundle projection requires either name or signerName to be set")
    if not found and not source.optional:
        raise ConfigProblem(missing)
    certificates = {certificate for one in found for certificate in certificates_in(one.spec.trustBundle)}
    ordered = sorted(certificates, key=lambda certificate: hashlib.sha256(certificate).digest())
    return "".join(map(ssl.DER_cert_to_PEM_cert, ordered)).encode()


def certificates_in(text: str) -> list[bytes]:
    """The certificates of a bundle, in DER."""
    parts = text.split(_BEGIN)[1:]
    return [ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{part.partition(_END)[0]}{_END}") for part in parts if _END in part]
