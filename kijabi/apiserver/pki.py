"""The cluster's certificates and keys: made at first start, renewed before they end, written so that none is
torn.

Receives from `cmd` (which names and addresses the cluster answers to) and gives back pairs of files: to the
HTTP server its serving certificate, to each component a client certificate and a kubeconfig, to
`authn.tokens` the service-account signing key. `Renewer` does the same again while the cluster runs and
reloads what is in use.

Two authorities: the cluster CA signs the serving and client certificates; the front-proxy CA signs the client
certificate with which the API server speaks to aggregated API servers (kubeadm's layout, "PKI certificates
and requirements" in the Kubernetes documentation). All keys are ECDSA P-256, so a first start takes
milliseconds.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kijabi.apiserver.anyclient import accept_any_client
from kijabi.base import clock
from kijabi.base.errors import ConfigError
from kijabi.base.files import write_atomic

log = logging.getLogger(__name__)

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
SKEW = timedelta(minutes=5)  # clocks of clients may be behind: certificates begin this much earlier
RENEW_AT = 0.3  # a certificate with less than this share of its life left is made anew
CHECK_SECONDS = 3600.0  # how often a running cluster looks whether something must be renewed


class Pair(NamedTuple):
    """A certificate and its private key, as PEM files."""

    cert: Path
    key: Path


class Identity(NamedTuple):
    """Who a client certificate speaks for: CN is the user, each O a group."""

    user: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("kubernetes-admin", ("system:masters",))
CONTROLLER_MANAGER = Identity("system:kube-controller-manager")
SCHEDULER = Identity("system:kube-scheduler")
PROXY = Identity("system:kube-proxy")
DNS = Identity("system:kijabi-dns")
LOCAL_PATH = Identity("system:kijabi-local-path")
KUBELET_CLIENT = Identity("kube-apiserver-kubelet-client", ("system:masters",))
FRONT_PROXY = Identity("front-proxy-client")


def node_identity(node: str) -> Identity:
    """The kubelet of a node, as the Node authorizer expects it."""
    return Identity(f"system:node:{node}", ("system:nodes",))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """An EC private key in PEM. Raises ConfigError when the file holds something else."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(f"{path}: not a readable private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: expected an EC private key")
    return key


def load_cert(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file. Raises ConfigError when there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (ValueError, OSError, x509.InvalidVersion) as error:
        raise ConfigError(f"{path}: not a readable certificate: {error}") from error


def due(cert: x509.Certificate, now: datetime) -> bool:
    """Is it time to make this certificate anew?"""
    start, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    return now < start or (end - now) < (end - start) * RENEW_AT


def _subject(identity: Identity) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, identity.user)])


class Authority:
    """A certificate authority in two files. It keeps its key when its certificate is renewed, so that what it
    signed before stays valid."""

    def __init__(self, directory: Path, name: str, common_name: str) -> None:
        self.pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        if self.pair.key.exists():
            self.key = load_key(self.pair.key)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            write_atomic(self.pair.key, _key_pem(self.key), 0o600)
        if not self.pair.cert.exists() or due(load_cert(self.pair.cert), clock.now()):
            write_atomic(self.pair.cert, self._self_signed().public_bytes(serialization.Encoding.PEM), 0o644)
        self.cert = load_cert(self.pair.cert)
        if self.cert.public_key() != self.key.public_key():
            raise ConfigError(f"{self.pair.cert} and {self.pair.key} do not belong together")

    def _self_signed(self) -> x509.Certificate:
        public = self.key.public_key()
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=False,
            key_encipherment=False,
            content_commitment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            self._builder(self._subject, public, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta
    ) -> x509.CertificateBuilder:
        now = clock.now().replace(microsecond=0)
        return (
            x509.CertificateBuilder()
            .issuer_name(self._subject)
            .subject_name(subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + life)
        )

    def sign(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        usages: Sequence[x509.ObjectIdentifier],
        names: Sequence[x509.GeneralName] = (),
        life: timedelta = LEAF_LIFE,
    ) -> x509.Certificate:
        """A leaf certificate for a public key."""
        builder = (
            self._builder(subject, public, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def signed(self, cert: x509.Certificate) -> bool:
        """Did this authority sign that certificate?"""
        try:
            cert.verify_directly_issued_by(self.cert)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def _general_names(names: Iterable[str], addresses: Iterable[str]) -> list[x509.GeneralName]:
    hosts: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(names)]
    return hosts + [x509.IPAddress(ipaddress.ip_address(each)) for each in dict.fromkeys(addresses)]


def _alternative_names(cert: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


class Pki:
    """All certificates of a cluster under one directory.

    Every method makes what is missing, foreign, unreadable, about to end or made for other names, and else
    leaves the files as they are; so calling them again renews. `generation` counts what was written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.generation = 0
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ca = Authority(directory, "ca", "kubernetes")
        self.front_proxy_ca = Authority(directory, "front-proxy-ca", "kubernetes-front-proxy-ca")

    def client(self, name: str, identity: Identity, authority: Authority | None = None) -> Pair:
        """A client certificate for an identity, in `<name>.crt` and `<name>.key`."""
        usages = (ExtendedKeyUsageOID.CLIENT_AUTH,)
        return self._leaf(name, authority or self.ca, _subject(identity), usages, [])

    def serving(self, name: str, identity: Identity, names: Iterable[str], addresses: Iterable[str]) -> Pair:
        """A serving certificate for DNS names and IP addresses."""
        usages = (ExtendedKeyUsageOID.SERVER_AUTH,)
        return self._leaf(name, self.ca, _subject(identity), usages, _general_names(names, addresses))

    def apiserver(
        self,
        service_ip: str,
        addresses: Iterable[str] = (),
        names: Iterable[str] = (),
        domain: str = "cluster.local",
    ) -> Pair:
        """The API server's serving certificate: the names that pods and people reach it by, and more if
        given."""
        known = (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{domain}",
        )
        return self.serving(
            "apiserver",
            Identity("kube-apiserver"),
            (*known, "localhost", *names),
            (service_ip, "127.0.0.1", "::1", *addresses),
        )

    def kubelet_client(self) -> Pair:
        """What the API server shows to kubelets (log, exec, attach, port-forward, proxy)."""
        return self.client("apiserver-kubelet-client", KUBELET_CLIENT)

    def kubelet_serving(self, node: str, addresses: Iterable[str]) -> Pair:
        """What a kubelet shows to the API server."""
        return self.serving(f"nodes/{node}/kubelet-serving", node_identity(node), (node,), addresses)

    def node_client(self, node: str) -> Pair:
        """What a kubelet shows as a client of the API server."""
        return self.client(f"nodes/{node}/kubelet-client", node_identity(node))

    def front_proxy_client(self) -> Pair:
        """What the API server shows to aggregated API servers."""
        return self.client("front-proxy-client", FRONT_PROXY, self.front_proxy_ca)

    def service_account_key(self) -> Path:
        """The key that signs service-account tokens; its public half goes to `sa.pub`."""
        path = self.directory / "sa.key"
        if not path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(path, _key_pem(key), 0o600)
        public = self.directory / "sa.pub"
        if not public.exists():
            pem = (
                load_key(path)
                .public_key()
                .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            )
            self._write(public, pem, 0o644)
        return path

    def _write(self, path: Path, data: bytes, mode: int) -> None:
        write_atomic(path, data, mode)
        self.generation += 1

    def _leaf(
        self,
        name: str,
        authority: Authority,
        subject: x509.Name,
        usages: Sequence[x509.ObjectIdentifier],
        names: list[x509.GeneralName],
    ) -> Pair:
        pair = Pair(self.directory / f"{name}.crt", self.directory / f"{name}.key")
        if pair.cert.exists() and pair.key.exists():
            reason = _stale(pair, authority, subject, names)
            if not reason:
                return pair
            log.info("certificate renewed", extra={"certificate": name, "reason": reason})
        # A renewal keeps the key where there is a good one: then a crash between two files leaves a working
        # pair.
        try:
            key = load_key(pair.key)
        except ConfigError:
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(pair.key, _key_pem(key), 0o600)
        cert = authority.sign(subject, key.public_key(), usages, names)
        self._write(pair.cert, cert.public_bytes(serialization.Encoding.PEM), 0o644)
        return pair


def _stale(pair: Pair, authority: Authority, subject: x509.Name, names: list[x509.GeneralName]) -> str:
    """Why a pair of files can no longer be used; empty if it can."""
    try:
        cert, key = load_cert(pair.cert), load_key(pair.key)
    except ConfigError as error:
        return str(error)
    if cert.public_key() != key.public_key():
        return "key and certificate do not belong together"
    if due(cert, clock.now()):
        return f"ends {cert.not_valid_after_utc:%Y-%m-%d}"
    if cert.subject != subject or _alternative_names(cert) != names:
        return "made for other names"
    if not authority.signed(cert):
        return "signed by another authority"
    return ""


def kubeconfig(server: str, ca: Path, pair: Pair, user: str, *, cluster: str = "kijabi", embed: bool = False) -> bytes:
    """A kubeconfig for one client certificate.

    embed: carry the certificates in the file (so that it can be copied elsewhere) instead of naming their
    files (so that a renewed certificate is used at once).
    """

    def material(field: str, path: Path) -> str:
        if embed:
            return f"{field}-data: {base64.b64encode(path.read_bytes()).decode()}"
        return f"{field}: {path.resolve()}"

    return f"""apiVersion: v1
kind: Config
preferences: {{}}
clusters:
- name: {cluster}
  cluster:
    server: {server}
    {material("certificate-authority", ca)}
users:
- name: "{user}"
  user:
    {material("client-certificate", pair.cert)}
    {material("client-key", pair.key)}
contexts:
- name: "{user}@{cluster}"
  context:
    cluster: {cluster}
    user: "{user}"
current-context: "{user}@{cluster}"
""".encode()


def ensure_kubeconfig(path: Path, content: bytes) -> None:
    """Write a kubeconfig unless the file already says the same; what a user added to it (a namespace, another
    cluster) is kept as long as the server and the certificates are unchanged."""
    facts = [line for line in content.split(b"\n") if b"server:" in line or b"certificate" in line or b"-key" in line]
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        there = b""
    if not there or any(fact.strip() not in there for fact in facts):
        write_atomic(path, content, 0o600)


def server_context(pair: Pair, client_ca: Path, *, any_client: bool = False) -> ssl.SSLContext:
    """TLS for a server that asks for a client certificate and checks it against `client_ca` when one is shown.

    any_client: let any certificate pass the handshake, for a server that verifies it afterwards and answers 401
    (`authn/certificates.py` does); see `anyclient.py`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair.cert, pair.key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    if any_client:
        accept_any_client(context)
    context.num_tickets = 0  # no client of ours or Go's resumes sessions; two tickets are 40 % of a handshake's cost
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(ca: Path, pair: Pair | None = None) -> ssl.SSLContext:
    """TLS for a client that trusts one authority and may show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


class Renewer:
    """Renews while the cluster runs: calls `ensure` (which calls the methods of `Pki` again) now and then,
    and `reload` after something was written. A TLS context that loads its chain again serves it from the next
    handshake on, so nothing restarts."""

    def __init__(self, pki: Pki, ensure: Callable[[], None], reload: Callable[[], None]) -> None:
        self._pki = pki
        self._ensure = ensure
        self._reload = reload

    def check(self) -> bool:
        """Renew what is due; True if something was written."""
        before = self._pki.generation
        self._ensure()
        if self._pki.generation == before:
            return False
        self._reload()
        return True

    async def run(self) -> None:
        """Check for ever. A failure (a full disk) is logged and tried again: the old files still serve."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                self.check()
            except (OSError, ConfigError, ssl.SSLError) as error:
                log.error("certificates could not be renewed", extra={"reason": str(error)})


def expiry(pair: Pair) -> datetime:
    """When a certificate ends, in UTC."""
    return load_cert(pair.cert).not_valid_after_utc.astimezone(UTC)
