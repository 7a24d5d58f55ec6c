"""What is wrong with requests for certificates (of anyone, and of pods), and with the roots that pods are given.

The kinds beside this hand it on to the registry. Texts are those of k8s.io/kubernetes
`pkg/apis/certificates/validation`. The library that reads certificates is large, so it is loaded with the first one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kijabi.api import formats
from kijabi.api.certificates import pem
from kijabi.api.conditions import validate_conditions
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    ANNOTATIONS_LIMIT_BYTES,
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
    too_long,
)
from kijabi.base import clock

if TYPE_CHECKING:
    from cryptography import x509

    from kijabi.api.certificates.certificatesigningrequest import CertificateSigningRequest
    from kijabi.api.certificates.clustertrustbundle import ClusterTrustBundle
    from kijabi.api.certificates.podcertificaterequest import PodCertificateRequest

USAGES = (
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping",
)  # fmt: skip
LEGACY = "kubernetes.io/legacy-unknown"
VERDICTS = ("Approved", "Denied")
FINAL = ("Denied", "Failed", "Issued")
SHORTEST_SECONDS = 600
LONGEST_PROOF = 10 * 1024
LONGEST_UID = 128
LONGEST_BUNDLE = 1 << 20
LONGEST_CHAIN = 100 * 1024
MAX_CHAIN = 1000  # certificates that are looked at; a chain of so many is too long anyway
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_GO_CURVES = {"secp224r1": "P-224"}
_UNKNOWN_KEY = "unknown public key type; supported types are Ed25519, ECDSA, and RSA"
HOUR, DAY = 3600, 86400
NEAR, MARGIN = 300, 600


def signer_name(path: str, name: str) -> list[FieldError]:
    """A domain, a slash and a name."""
    if not name:
        return [required(path)]
    domain, _, own = name.partition("/")
    if name.count("/") != 1:
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid(path, name, detail)]
    errors = [too_long(path, 253)] if len(domain) > 253 else []
    for part, check in ((domain, formats.dns_label), (own, formats.dns_subdomain)):
        bad = next(((label, found) for label in part.split(".") if (found := check(label))), None)
        if bad is not None:
            errors += [invalid(path, part, f"validating label {quote(bad[0])}: {text}") for text in bad[1]]
        if part is domain and "." not in domain:
            errors.append(invalid(path, domain, "should be a domain with at least two segments separated by dots"))
    return errors


# CertificateSigningRequest


def validate_csr(csr: CertificateSigningRequest) -> list[FieldError]:
    """Of a new one. Its spec never changes."""
    spec = csr.spec
    problem = _request_problem(bytes(spec.request))
    errors = [invalid("spec.request", spec.request, problem)] if problem else []
    if not spec.usages:
        errors.append(required("spec.usages"))
    for index, usage in enumerate(spec.usages):
        if usage not in USAGES:
            errors.append(not_supported(f"spec.usages[{index}]", usage, USAGES))
        if usage in spec.usages[:index]:
            errors.append(duplicate(f"spec.usages[{index}]", usage))
    if spec.signerName == LEGACY:
        detail = "the legacy signerName is not allowed via this API version"
        errors.append(invalid("spec.signerName", spec.signerName, detail))
    else:
        errors += signer_name("spec.signerName", spec.signerName)
    if spec.expirationSeconds is not None and spec.expirationSeconds < SHORTEST_SECONDS:
        detail = "may not specify a duration less than 600 seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", spec.expirationSeconds, detail))
    return errors


def validate_csr_update(new: CertificateSigningRequest, old: CertificateSigningRequest) -> list[FieldError]:
    """Of the object and of its approval: conditions are sound, and no verdict is taken back."""
    errors = _csr_conditions(new, old)
    for verdict in (*VERDICTS, "Failed"):
        if _count(new, verdict) < _count(old, verdict):
            errors.append(forbidden("status.conditions", f'updates may not remove a condition of type "{verdict}"'))
    return errors


def validate_csr_status(new: CertificateSigningRequest, old: CertificateSigningRequest) -> list[FieldError]:
    """Of the status: the certificate comes once, and verdicts come elsewhere."""
    errors = validate_csr_update(new, old)
    for verdict in VERDICTS:
        if _count(new, verdict) > _count(old, verdict):
            errors.append(forbidden("status.conditions", f'updates may not add a condition of type "{verdict}"'))
    if new.status.certificate != old.status.certificate:
        if old.status.certificate:
            errors.append(forbidden("status.certificate", "updates may not modify existing certificate content"))
        elif problem := pem.chain_problem(bytes(new.status.certificate).decode("utf-8", "replace")):
            errors.append(invalid("status.certificate", "<certificate data>", problem))
    return errors


def _count(csr: CertificateSigningRequest, kind: str) -> int:
    return sum(condition.type == kind for condition in csr.status.conditions)


def _csr_conditions(new: CertificateSigningRequest, old: CertificateSigningRequest) -> list[FieldError]:
    """What the stored object has wrong already is forgiven."""
    path, errors, seen = "status.conditions", [], set()
    types = [condition.type for condition in old.status.conditions]
    for index, condition in enumerate(new.status.conditions):
        here = f"{path}[{index}]"
        if not condition.type and "" not in types:
            errors.append(required(f"{here}.type"))
        allowed = ("True",) if condition.type in (*VERDICTS, "Failed") else ("False", "True", "Unknown")
        if not condition.status:
            errors.append(required(f"{here}.status"))
        elif condition.status not in allowed:
            errors.append(not_supported(f"{here}.status", condition.status, allowed))
        other = {"Approved": "Denied", "Denied": "Approved"}.get(condition.type)
        if other in seen and not set(VERDICTS) <= set(types):
            errors.append(invalid(path, condition.type, "Approved and Denied conditions are mutually exclusive"))
        if condition.type in seen and len(set(types)) == len(types):
            errors.append(duplicate(f"{here}.type", condition.type))
        seen.add(condition.type)
    return errors


def _request_problem(text: bytes) -> str:
    from cryptography import x509

    first = next(pem.blocks(text.decode("utf-8", "replace")), None)
    if first is None or first.type != "CERTIFICATE REQUEST":
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        return "" if x509.load_der_x509_csr(first.content).is_signature_valid else "x509: the signature is not valid"
    except ValueError as problem:
        return str(problem)


# PodCertificateRequest


def validate_pod_request(request: PodCertificateRequest) -> list[FieldError]:
    """Of a new one."""
    spec = request.spec
    errors = signer_name("spec.signerName", spec.signerName)
    errors += _user_annotations("spec.unverifiedUserAnnotations", spec.unverifiedUserAnnotations)
    for name in ("pod", "serviceAccount", "node"):
        value, uid = getattr(spec, f"{name}Name"), getattr(spec, f"{name}UID")
        errors += [invalid(f"spec.{name}Name", value, text) for text in formats.dns_subdomain(value)]
        if not uid:
            errors.append(invalid(f"spec.{name}UID", uid, "must not be empty"))
        elif len(uid.encode()) > LONGEST_UID:
            errors.append(too_long(f"spec.{name}UID", LONGEST_UID))
    seconds = spec.maxExpirationSeconds
    if seconds is None:
        return [*errors, required("spec.maxExpirationSeconds", "must be set")]
    domain = spec.signerName.partition("/")[0]
    most = DAY if domain == "kubernetes.io" or domain.endswith(".kubernetes.io") else 91 * DAY
    if not HOUR <= seconds <= most:
        errors.append(invalid("spec.maxExpirationSeconds", seconds, f"must be in the range [{HOUR}, {most}]"))
    return errors + _proof_problems(bytes(spec.stubPKCS10Request))


def _user_annotations(path: str, annotations: Mapping[str, str]) -> list[FieldError]:
    """Keys are told apart by domains; in all they are no longer than annotations."""
    errors: list[FieldError] = []
    for name in annotations:
        key = name.lower()
        wrong = formats.qualified_name(key)
        if not key:
            errors.append(required(path))
        elif wrong:
            errors += [invalid(path, key, text) for text in wrong]
        elif "/" not in key:
            errors.append(invalid(path, key, 'must be a domain-prefixed key (such as "acme.io/foo")'))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    return [*errors, too_long(path, ANNOTATIONS_LIMIT_BYTES)] if size > ANNOTATIONS_LIMIT_BYTES else errors


def _proof_problems(proof: bytes) -> list[FieldError]:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    path = "spec.stubPKCS10Request"
    if not proof:
        detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set"
        return [invalid("spec", None, detail)]
    if len(proof) > LONGEST_PROOF:
        return [too_long(path, LONGEST_PROOF)]
    try:
        request = x509.load_der_x509_csr(proof)
        key = request.public_key()
    except UnsupportedAlgorithm:
        return [invalid(path, None, _UNKNOWN_KEY)]
    except ValueError:
        return [invalid(path, None, "must be a valid PKCS#10 CSR")]
    wrong = _key_problem(path, key)
    if wrong:
        return wrong
    return [] if request.is_signature_valid else [invalid(path, None, "invalid signature")]


def _key_problem(path: str, key: object) -> list[FieldError]:
    """Keys that certificates of pods may have."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match key:
        case ed25519.Ed25519PublicKey():
            return []
        case ec.EllipticCurvePublicKey():
            name = _GO_CURVES.get(key.curve.name, key.curve.name)
            detail = "elliptic public keys must use curve P256, P384, or P521"
            return [] if key.curve.name in _CURVES else [invalid(path, f"curve {name}", detail)]
        case rsa.RSAPublicKey():
            bits = (key.key_size + 7) // 8 * 8
            detail = "RSA keys must have modulus size 3072 or 4096"
            return [] if bits in (3072, 4096) else [invalid(path, f"{bits}-bit modulus", detail)]
    return [invalid(path, None, _UNKNOWN_KEY)]


def validate_pod_request_update(new: PodCertificateRequest, old: PodCertificateRequest) -> list[FieldError]:
    """What was asked for stays."""
    return immutable("spec", new.spec, old.spec)


def validate_pod_request_status(new: PodCertificateRequest, old: PodCertificateRequest) -> list[FieldError]:
    """One last word, after which nothing changes; with Issued, a certificate for the key that was shown."""
    errors: list[FieldError] = []
    known = 0
    for index, condition in enumerate(new.status.conditions):
        here = f"status.conditions[{index}]"
        if condition.type not in FINAL:
            errors.append(not_supported(f"{here}.type", condition.type, FINAL))
            continue
        known += 1
        if known > 1:
            detail = 'There may be at most one condition with type "Issued", "Denied", or "Failed"'
            errors.append(invalid(f"{here}.type", condition.type, detail))
        if condition.status != "True":
            errors.append(not_supported(f"{here}.status", condition.status, ("True",)))
    errors += validate_conditions("status.conditions", new.status.conditions)
    if errors:
        return errors
    if any(condition.type in FINAL for condition in old.status.conditions):
        same = new.status == old.status
        text = "immutable after PodCertificateRequest is issued, denied, or failed"
        return [] if same else [invalid("status", None, text)]
    status = new.status
    filled = bool(status.certificateChain or status.notBefore or status.notAfter or status.beginRefreshAt)
    issued = any(condition.type == "Issued" for condition in status.conditions)
    if known and not issued and filled:
        text = "non-condition status fields must be empty when denying or failing the PodCertificateRequest"
        return [invalid("status", None, text)]
    if issued:
        return _issued(new)
    if not known and new.status != old.status:
        text = 'status is immutable unless transitioning to "Issued", "Denied", or "Failed"'
        return [invalid("status", None, text)]
    return []


def _issued(request: PodCertificateRequest) -> list[FieldError]:
    """The chain begins with a certificate for the key that was shown, whose names are sound."""
    from cryptography import x509

    path, text = "status.certificateChain", request.status.certificateChain
    if len(text.encode()) > LONGEST_CHAIN:
        return [too_long(path, LONGEST_CHAIN)]
    first, *others = [*pem.blocks(text), None][: MAX_CHAIN + 1]
    if first is None:
        return [invalid(path, text, "issued certificate chain must contain at least one certificate")]
    if first.type != "CERTIFICATE":
        detail = "issued certificate chain must consist entirely of CERTIFICATE PEM blocks"
        return [invalid(path, text, detail)]
    try:
        leaf = pem.certificate(first.content)
        own = leaf.public_key()
        named = pem.names(leaf)
    except ValueError:
        return [invalid(path, text, "leaf certificate does not parse as valid X.509")]
    errors = _names(path, *named)
    if own != x509.load_der_x509_csr(bytes(request.spec.stubPKCS10Request)).public_key():
        detail = "leaf certificate was not issued to the requested public key"
        return [*errors, invalid(path, text, detail)]
    found = _times(request, leaf)
    if errors:
        return errors + [each for each in found if each.reason == "FieldValueRequired"]
    return found or _intermediates(path, text, [each for each in others if each])


def _names(path: str, hosts: Sequence[str], addresses: Sequence[str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for host in hosts:
        if not host:
            errors.append(invalid(path, host, "leaf certificate should not contain empty DNSName"))
        if ".." in host:
            errors.append(invalid(path, host, "leaf certificate's DNSName should not contain '..'"))
        if host.startswith(".") or host.endswith("."):
            errors.append(invalid(path, host, "leaf certificate's DNSName should not start or end with '.'"))
    wrong = (address for address in addresses if not pem.is_address(address))
    detail = "leaf certificate should not contain invalid EmailAddress"
    return errors + [invalid(path, address, detail) for address in wrong]


def _intermediates(path: str, text: str, blocks: Sequence[pem.Block]) -> list[FieldError]:
    for block in blocks:
        if block.type != "CERTIFICATE":
            detail = "issued certificate chain must consist entirely of CERTFICATE PEM blocks"
            return [invalid(path, text, detail)]
        try:
            pem.certificate(block.content)
        except ValueError:
            return [invalid(path, text, "intermediate certificate does not parse as valid X.509")]
    return []


def _times(request: PodCertificateRequest, leaf: x509.Certificate) -> list[FieldError]:
    status, consistent = request.status, "must be present and consistent with the issued certificate"
    begin, end, refresh = status.notBefore, status.notAfter, status.beginRefreshAt
    errors = [required(f"status.{name}", consistent) for name in ("notBefore", "notAfter") if not getattr(status, name)]
    if not refresh:
        detail = "must be present and in the range [notbefore+10min, notafter-10min]"
        errors.append(required("status.beginRefreshAt", detail))
    if errors or begin is None or end is None or refresh is None:
        return errors
    first, last = begin.timestamp(), end.timestamp()
    most, life = request.spec.maxExpirationSeconds or 0, last - first
    encoded = "must be set to the {} time encoded in the leaf certificate"
    for name, right, value, detail in (
        ("notBefore", first == leaf.not_valid_before_utc.timestamp(), begin, encoded.format("NotBefore")),
        (
            "notBefore", abs(first - clock.wall()) <= NEAR, begin,
            "must be set to within 5 minutes of kube-apiserver's current time",
        ),
        ("notAfter", last == leaf.not_valid_after_utc.timestamp(), end, encoded.format("NotAfter")),
        ("certificateChain", life >= HOUR, f"{life:.0f}s", "leaf certificate lifetime must be >= 1 hour"),
        (
            "certificateChain", life <= most, f"{life:.0f}s",
            f"leaf certificate lifetime must be <= spec.maxExpirationSeconds ({most})",
        ),
        (
            "beginRefreshAt", refresh.timestamp() >= first + MARGIN, refresh,
            "must be at least 10 minutes after status.notBefore",
        ),
        (
            "beginRefreshAt", refresh.timestamp() <= last - MARGIN, refresh,
            "must be at least 10 minutes before status.notAfter",
        ),
    ):  # fmt: skip
        if not right:
            return [invalid(f"status.{name}", value, detail)]
    return []


# ClusterTrustBundle


def validate_bundle(bundle: ClusterTrustBundle) -> list[FieldError]:
    """Of a new one: named after its signer, and of certificates of authorities only, each once."""
    signer = bundle.spec.signerName
    errors = _bundle_name(bundle.metadata.name, signer)
    errors += signer_name("spec.signerName", signer) if signer else []
    return errors + _anchors("spec.trustBundle", bundle.spec.trustBundle)


def validate_bundle_update(new: ClusterTrustBundle, old: ClusterTrustBundle) -> list[FieldError]:
    """The signer stays; certificates that stay are not read again."""
    same = new.spec.trustBundle == old.spec.trustBundle
    errors = [] if same else _anchors("spec.trustBundle", new.spec.trustBundle)
    return errors + immutable("spec.signerName", new.spec.signerName, old.spec.signerName)


def _bundle_name(name: str, signer: str) -> list[FieldError]:
    path, prefix = "metadata.name", f"{signer.replace('/', ':')}:" if signer else ""
    if not signer and ":" in name:
        return [invalid(path, name, 'ClusterTrustBundle without signer name must not have ":" in its name')]
    if not name.startswith(prefix):
        return [invalid(path, name, f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}")]
    return [invalid(path, name, text) for text in formats.dns_subdomain(name.removeprefix(prefix))]


def _anchors(path: str, text: str) -> list[FieldError]:
    if len(text.encode()) > LONGEST_BUNDLE:
        return [too_long(path, LONGEST_BUNDLE)]
    places: dict[bytes, list[int]] = {}
    problems = []
    for number, block in enumerate(pem.blocks(text)):
        problem = _anchor_problem(block)
        if problem:
            problems.append(f"entry {number} {problem}")
        places.setdefault(block.content, []).append(number)
    if not problems:
        if not places:
            problems.append("at least one trust anchor must be provided")
        twice = (numbers for numbers in places.values() if len(numbers) > 1)
        problems += [f"duplicate trust anchor (indices [{' '.join(map(str, numbers))}])" for numbers in twice]
    return [invalid(path, "<value omitted>", problem) for problem in problems]


def _anchor_problem(block: pem.Block) -> str:
    from cryptography import x509

    if block.type != "CERTIFICATE":
        return f"has bad block type: {block.type}"
    if block.headers:
        return "has PEM block headers"
    try:
        certificate = pem.certificate(block.content)
    except ValueError:
        return "does not parse as X.509"
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    return "" if authority else "does not have the CA bit set"
