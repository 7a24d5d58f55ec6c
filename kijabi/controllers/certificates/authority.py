"""The cluster's certificate authority: a certificate for a request.

`signing.py` loads it and asks. The rules are those of k8s.io/kubernetes `pkg/controller/certificates/authority`:
names are taken over from the request, usages from the API object, and nothing else that the request may carry.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from kijabi.base.errors import ConfigError
from kijabi.controllers.certificates.requests import alternatives

BACKDATE = timedelta(minutes=5)  # clocks of those who look at it may be behind
SHORT = timedelta(hours=8)  # what lives less does not lose the five minutes at its end
LEAST = timedelta(minutes=10)

_KEY_USAGES = {
    "signing": "digital_signature", "digital signature": "digital_signature",
    "content commitment": "content_commitment", "key encipherment": "key_encipherment",
    "key agreement": "key_agreement", "data encipherment": "data_encipherment", "cert sign": "key_cert_sign",
    "crl sign": "crl_sign", "encipher only": "encipher_only", "decipher only": "decipher_only",
}  # fmt: skip
_EXTENDED_USAGES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION, "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"), "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"), "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING, "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}  # fmt: skip


class Authority:
    """A certificate and its private key."""

    def __init__(self, certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes) -> None:
        self.certificate = certificate
        self.key = key

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Authority:
        """From two PEM files. Raises ConfigError."""
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            private = serialization.load_pem_private_key(key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"no certificate authority in {certificate} and {key}: {error}") from error
        if not isinstance(private, get_args(CertificateIssuerPrivateKeyTypes)):
            raise ConfigError(f"{key}: a key of this kind signs no certificates")
        if found.public_key() != private.public_key():
            raise ConfigError(f"{certificate} and {key} do not belong together")
        return cls(found, private)

    def sign(
        self, request: x509.CertificateSigningRequest, usages: Iterable[str], life: timedelta, now: datetime
    ) -> bytes:
        """A certificate in PEM, which ends no later than the authority's own. Raises ValueError."""
        ends = self.certificate.not_valid_after_utc
        if now >= ends:
            raise ValueError(f"refusing to sign a certificate that expired in the past: NotAfter={ends}")
        end = now + life if life < SHORT else now + life - BACKDATE
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self.certificate.subject)
            .subject_name(request.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(min(end, ends))
        )
        for extension, critical in (*_usages(tuple(usages)), *self._about(request)):
            builder = builder.add_extension(extension, critical)
        has_digest = isinstance(self.key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
        signed = builder.sign(self.key, None if has_digest else hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    def _about(self, request: x509.CertificateSigningRequest) -> Iterable[tuple[x509.ExtensionType, bool]]:
        yield x509.BasicConstraints(ca=False, path_length=None), True
        yield x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False
        if names := alternatives(request):
            yield x509.SubjectAlternativeName(names), not list(request.subject)


def _usages(usages: tuple[str, ...]) -> Iterable[tuple[x509.ExtensionType, bool]]:
    unknown = [usage for usage in usages if usage not in _KEY_USAGES and usage not in _EXTENDED_USAGES]
    if unknown:
        raise ValueError(f"unrecognized usage values: {unknown}")
    wanted = {_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}
    if "key_agreement" not in wanted:
        wanted -= {"encipher_only", "decipher_only"}  # which say something of it alone
    if wanted:
        yield x509.KeyUsage(**{name: name in wanted for name in set(_KEY_USAGES.values())}), True
    extended = dict.fromkeys(_EXTENDED_USAGES[usage] for usage in usages if usage in _EXTENDED_USAGES)
    if extended:
        yield x509.ExtendedKeyUsage(list(extended)), False


def duration(seconds: int | None, most: timedelta) -> timedelta:
    """For how long a certificate is good: as asked for, within reason."""
    return most if seconds is None else min(max(timedelta(seconds=seconds), LEAST), most)
