"""Client certificates: the common name is the user, each organisation a group (documentation
"Authenticating").

`chain.py` asks with the certificate that the connection showed. The signature, the dates and the purpose are
checked here whatever TLS did, so that a simulation without TLS follows the same rules.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kijabi.apiserver.attributes import Peer, UserInfo
from kijabi.apiserver.authn.names import CREDENTIAL_ID
from kijabi.base import clock
from kijabi.base.errors import ConfigError, Unauthorized
from kijabi.client.transport import Request

CACHE = 4096  # verified certificates remembered; every connection of a component shows the same one
MAX_DER = 64 * 1024
_MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class _Verified(NamedTuple):
    user: UserInfo
    begins: float
    ends: float


class CertificateAuthenticator:
    """Knows the users whose certificates one of the given authorities signed."""

    def __init__(self, authorities: tuple[x509.Certificate, ...]) -> None:
        self._authorities = authorities
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    @classmethod
    def from_file(cls, path: Path) -> CertificateAuthenticator:
        """The authorities of a PEM bundle. Raises ConfigError when it holds none."""
        try:
            return cls(tuple(x509.load_pem_x509_certificates(path.read_bytes())))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: no readable certificate authority: {error}") from error

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """The certificate's user; None without a certificate; Unauthorized when it is not to be trusted."""
        if peer.cert_der is None:
            return None
        found = self._verified.get(peer.cert_der)
        if found is None:
            found = self._verify(peer.cert_der)
            self._verified[peer.cert_der] = found
            if len(self._verified) > CACHE:
                self._verified.popitem(last=False)
        if not found.begins <= clock.wall() <= found.ends:
            raise Unauthorized("x509: certificate has expired or is not yet valid")
        return found.user

    def _verify(self, der: bytes) -> _Verified:
        if len(der) > MAX_DER:
            raise Unauthorized("x509: certificate is too large")
        try:
            cert = x509.load_der_x509_certificate(der)
            if not any(_issued(cert, authority) for authority in self._authorities):
                raise Unauthorized("x509: certificate signed by unknown authority")
            if not _for_clients(cert):
                raise Unauthorized("x509: certificate specifies an incompatible key usage")
            names = [str(each.value) for each in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
            groups = [str(each.value) for each in cert.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
            begins, ends = cert.not_valid_before_utc, cert.not_valid_after_utc
        except _MALFORMED as error:
            raise Unauthorized(f"x509: malformed certificate: {error}") from error
        if not names or not names[0]:
            raise Unauthorized("x509: certificate without a common name")
        extra = {CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)}
        user = UserInfo(name=names[0], groups=tuple(groups), extra=extra)
        return _Verified(user, begins.timestamp(), ends.timestamp())


def _issued(cert: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        cert.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _for_clients(cert: x509.Certificate) -> bool:
    try:
        usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage
