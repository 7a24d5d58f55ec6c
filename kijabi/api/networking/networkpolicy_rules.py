"""What a network policy must be: peers that say one thing each, ports and ranges of them, blocks of addresses.

`networkpolicy.py` gives `validate` to its Resource. Texts are those of k8s.io/kubernetes
`pkg/apis/networking/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING

from kijabi.api.core.kinds import PROTOCOLS
from kijabi.api.formats import port_name, port_number
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    cidr_legacy,
    each,
    forbidden,
    invalid,
    not_supported,
    required,
    validate_label_selector,
)

if TYPE_CHECKING:
    from kijabi.api.networking.networkpolicy import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort

_TYPES = ("Ingress", "Egress")


def validate(obj: NetworkPolicy) -> Sequence[FieldError]:
    """Everything that is wrong with a network policy."""
    spec = obj.spec
    errors = validate_label_selector(spec.podSelector, "spec.podSelector")
    for index, incoming in enumerate(spec.ingress):
        path = f"spec.ingress[{index}]"
        errors += _validate_ports(f"{path}.ports", incoming.ports)
        for place, peer in enumerate(incoming.from_):
            errors += _validate_peer(f"{path}.from[{place}]", peer)
    for index, outgoing in enumerate(spec.egress):
        path = f"spec.egress[{index}]"
        errors += _validate_ports(f"{path}.ports", outgoing.ports)
        for place, peer in enumerate(outgoing.to):
            errors += _validate_peer(f"{path}.to[{place}]", peer)
    if len(spec.policyTypes) > len(_TYPES):
        errors.append(invalid("spec.policyTypes", spec.policyTypes, "may not specify more than two policyTypes"))
        return errors
    for index, kind in enumerate(spec.policyTypes):
        if kind not in _TYPES:
            errors.append(not_supported(f"spec.policyTypes[{index}]", kind, _TYPES))
    return errors


def _validate_ports(path: str, ports: Iterable[NetworkPolicyPort]) -> list[FieldError]:
    return [error for index, port in enumerate(ports) for error in _validate_port(f"{path}[{index}]", port)]


def _validate_port(path: str, port: NetworkPolicyPort) -> list[FieldError]:
    errors: list[FieldError] = []
    if port.protocol is not None and port.protocol not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port.protocol, ("TCP", "UDP", "SCTP")))
    here, first, last = f"{path}.endPort", port.port, port.endPort
    if isinstance(first, int):
        errors += each(f"{path}.port", first, port_number(first))
        if last is not None:
            errors += [invalid(here, last, "must be greater than or equal to `port`")] if last < first else []
            errors += each(here, last, port_number(last))
        return errors
    if last is not None:
        what = "not specified" if first is None else "non-numeric"
        errors.append(invalid(here, last, f"may not be specified when `port` is {what}"))
    return errors if first is None else errors + each(f"{path}.port", first, port_name(first))


def _validate_peer(path: str, peer: NetworkPolicyPeer) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("podSelector", "namespaceSelector"):
        errors += validate_label_selector(getattr(peer, name), f"{path}.{name}")
    if peer.ipBlock is not None:
        errors += _validate_block(f"{path}.ipBlock", peer.ipBlock)
    given = [name for name in ("podSelector", "namespaceSelector", "ipBlock") if getattr(peer, name) is not None]
    if not given:
        errors.append(required(path, "must specify a peer"))
    elif len(given) > 1 and peer.ipBlock is not None:
        errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return errors


def _validate_block(path: str, block: IPBlock) -> list[FieldError]:
    if not block.cidr:
        return [required(f"{path}.cidr")]
    errors = cidr_legacy(f"{path}.cidr", block.cidr)
    if errors:
        return errors
    whole = ip_network(block.cidr, strict=False)
    for index, text in enumerate(block.except_):
        here = f"{path}.except[{index}]"
        wrong = cidr_legacy(here, text)
        errors += wrong
        if wrong:
            continue
        part = ip_network(text, strict=False)
        inside = part.version == whole.version and part.network_address in whole
        if not inside or part.prefixlen <= whole.prefixlen:
            errors.append(invalid(here, text, "must be a strict subset of `cidr`"))
    return errors
