"""Private keys for pods, each with a PKCS#10 request that proves its possession (KEP-4317).

`certificates.py` calls it in a thread: an RSA key takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from kijabi.kubelet.problems import ConfigProblem


class Key(NamedTuple):
    """pem: the private key in PKCS#8. proof: a request without names or extensions, in DER, signed by it."""

    pem: bytes
    proof: bytes


def make(kind: str) -> Key:
    """A new key of a kind that PodCertificateProjection.keyType names. Raises ConfigProblem for any other."""
    # Most nodes never make one, and the library is large.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
    # How the key is made and the digest that it signs with, as Go's crypto/x509 chooses it.
    kinds: dict[str, tuple[Callable[[], CertificateIssuerPrivateKeyTypes], Digest | None]] = {
        "RSA3072": (partial(rsa.generate_private_key, 65537, 3072), hashes.SHA256()),
        "RSA4096": (partial(rsa.generate_private_key, 65537, 4096), hashes.SHA256()),
        "ECDSAP256": (partial(ec.generate_private_key, ec.SECP256R1()), hashes.SHA256()),
        "ECDSAP384": (partial(ec.generate_private_key, ec.SECP384R1()), hashes.SHA384()),
        "ECDSAP521": (partial(ec.generate_private_key, ec.SECP521R1()), hashes.SHA512()),
        "ED25519": (ed25519.Ed25519PrivateKey.generate, None),
    }
    if kind not in kinds:
        raise ConfigProblem(f'unknown key type "{kind}"')
    generate, digest = kinds[kind]
    key = generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, digest)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Key(pem, request.public_bytes(serialization.Encoding.DER))
