"""What the signers of `kubernetes.io/` ask of a request before they sign it; pure.

`approving.py` recognises kubelets by it, `signing.py` refuses what does not fit. Rules and texts: "Kubernetes signers"
in the documentation, k8s.io/kubernetes `pkg/apis/certificates/helpers.go` and `pkg/controller/certificates/signer`.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from kijabi.api.certificates.certificatesigningrequest import CertificateSigningRequest

API_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
SIGNERS = (API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)

NODES, NODE_PREFIX = ["system:nodes"], "system:node:"
CLIENT, SERVER, SIGNATURE, ENCIPHERMENT = "client auth", "server auth", "digital signature", "key encipherment"
_ALTERNATIVES: tuple[tuple[str, type[x509.GeneralName]], ...] = (
    ("DNS", x509.DNSName), ("Email", x509.RFC822Name), ("IP", x509.IPAddress), ("URI", x509.UniformResourceIdentifier),
)  # fmt: skip


def parse(csr: CertificateSigningRequest) -> x509.CertificateSigningRequest:
    """The PKCS#10 request in it. Raises ValueError if there is none or its signature is not of its key."""
    parsed = x509.load_pem_x509_csr(bytes(csr.spec.request))
    if not parsed.is_signature_valid:
        raise ValueError("unable to verify certificate request signature")
    return parsed


def common_name(request: x509.CertificateSigningRequest) -> str:
    """The subject's last common name, "" without one."""
    found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[-1].value) if found else ""


def alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The subject's other names."""
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def problem(signer: str, request: x509.CertificateSigningRequest, usages: Iterable[str]) -> str:
    """Why a signer of SIGNERS does not sign this; "" if it does."""
    wanted = tuple(usages)
    if signer == API_CLIENT:
        return _client_usages(wanted)
    if signer == KUBELET_CLIENT:
        return _kubelet(request, wanted, CLIENT, ())
    if signer == KUBELET_SERVING:
        return _kubelet(request, wanted, SERVER, ("DNS", "IP"))
    return ""  # the legacy one signs whatever was signed before there were signers


def _client_usages(usages: tuple[str, ...]) -> str:
    for usage in usages:
        if usage not in (SIGNATURE, ENCIPHERMENT, CLIENT):
            return f"invalid usage for client certificate: {usage}"
    return "" if CLIENT in usages else f"missing required usage for client certificate: {CLIENT}"


def _kubelet(request: x509.CertificateSigningRequest, usages: tuple[str, ...], use: str, names: tuple[str, ...]) -> str:
    """names: the kinds of alternative names of which there must be one; others may not be there."""
    organizations = [one.value for one in request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if organizations != NODES:
        return "subject organization is not system:nodes"
    other = alternatives(request)
    there = [kind for kind, cls in _ALTERNATIVES if any(isinstance(name, cls) for name in other)]
    if names and not set(names) & set(there):
        return f"{' or '.join(names)} subjectAltName is required"
    for kind in there:
        if kind not in names:
            return f"{kind} subjectAltNames are not allowed"
    if set(usages) not in ({SIGNATURE, use}, {SIGNATURE, ENCIPHERMENT, use}):
        return f"usages did not match [{' '.join(sorted((SIGNATURE, ENCIPHERMENT, use)))}]"
    if not common_name(request).startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return ""
