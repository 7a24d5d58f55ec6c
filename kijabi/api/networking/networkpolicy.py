"""The networkpolicy types of the networking group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import LabelSelector, Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, IntOrString, Struct, Tag


class NetworkPolicyPort(Struct):
    """The API type NetworkPolicyPort."""

    protocol: Annotated[str | None, Tag(1)] = None
    port: Annotated[IntOrString | None, Tag(2)] = None
    endPort: Annotated[Int32 | None, Tag(3)] = None

    def set_defaults(self) -> None:
        """TCP."""
        if self.protocol is None:
            self.protocol = "TCP"


class IPBlock(Struct):
    """The API type IPBlock."""

    cidr: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    except_: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = field(default=(), name="except")


class NetworkPolicyPeer(Struct):
    """The API type NetworkPolicyPeer."""

    podSelector: Annotated[LabelSelector | None, Tag(1)] = None
    namespaceSelector: Annotated[LabelSelector | None, Tag(2)] = None
    ipBlock: Annotated[IPBlock | None, Tag(3)] = None


class NetworkPolicyIngressRule(Struct):
    """The API type NetworkPolicyIngressRule."""

    ports: Annotated[tuple[NetworkPolicyPort, ...], Tag(1, listType="atomic")] = ()
    from_: Annotated[
        tuple[NetworkPolicyPeer, ...],
        Tag(2, listType="atomic"),
    ] = field(default=(), name="from")


class NetworkPolicyEgressRule(Struct):
    """The API type NetworkPolicyEgressRule."""

    ports: Annotated[tuple[NetworkPolicyPort, ...], Tag(1, listType="atomic")] = ()
    to: Annotated[tuple[NetworkPolicyPeer, ...], Tag(2, listType="atomic")] = ()


class NetworkPolicySpec(Struct):
    """What is asked of a Network Policy."""

    podSelector: Annotated[LabelSelector, Tag(1)] = field(default_factory=LabelSelector)
    ingress: Annotated[tuple[NetworkPolicyIngressRule, ...], Tag(2, listType="atomic")] = ()
    egress: Annotated[tuple[NetworkPolicyEgressRule, ...], Tag(3, listType="atomic")] = ()
    policyTypes: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """A policy is about what comes in, and about what goes out if it has a rule for that."""
        if not self.policyTypes:
            self.policyTypes = ("Ingress", "Egress") if self.egress else ("Ingress",)


class NetworkPolicy(Object):
    """The API type NetworkPolicy."""

    spec: Annotated[NetworkPolicySpec, Tag(2)] = field(default_factory=NetworkPolicySpec)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    type=NetworkPolicy,
    singular="networkpolicy",
    short=("netpol",),
    has_generation=True,
)
