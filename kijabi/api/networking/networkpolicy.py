"""Who may talk to whom; enforced by the pod network."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column, selector_text
from kijabi.api.meta import LabelSelector, Object
from kijabi.api.networking.networkpolicy_rules import validate
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, IntOrString, Struct, Tag


class NetworkPolicyPort(Struct):
    """A port, or a range of them, of a protocol."""

    protocol: Annotated[str | None, Tag(1)] = None
    port: Annotated[IntOrString | None, Tag(2)] = None
    endPort: Annotated[Int32 | None, Tag(3)] = None

    def set_defaults(self) -> None:
        """TCP."""
        if self.protocol is None:
            self.protocol = "TCP"


class IPBlock(Struct):
    """A network, less some parts of it."""

    cidr: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    except_: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = field(default=(), name="except")


class NetworkPolicyPeer(Struct):
    """Pods, namespaces, or a block of addresses."""

    podSelector: Annotated[LabelSelector | None, Tag(1)] = None
    namespaceSelector: Annotated[LabelSelector | None, Tag(2)] = None
    ipBlock: Annotated[IPBlock | None, Tag(3)] = None


class NetworkPolicyIngressRule(Struct):
    """Traffic that may come in: from whom, to which ports."""

    ports: Annotated[tuple[NetworkPolicyPort, ...], Tag(1, listType="atomic")] = ()
    from_: Annotated[
        tuple[NetworkPolicyPeer, ...],
        Tag(2, listType="atomic"),
    ] = field(default=(), name="from")


class NetworkPolicyEgressRule(Struct):
    """Traffic that may go out: to whom, to which ports."""

    ports: Annotated[tuple[NetworkPolicyPort, ...], Tag(1, listType="atomic")] = ()
    to: Annotated[tuple[NetworkPolicyPeer, ...], Tag(2, listType="atomic")] = ()


class NetworkPolicySpec(Struct):
    """The pods, and what may come in and go out."""

    podSelector: Annotated[LabelSelector, Tag(1)] = field(default_factory=LabelSelector)
    ingress: Annotated[tuple[NetworkPolicyIngressRule, ...], Tag(2, listType="atomic")] = ()
    egress: Annotated[tuple[NetworkPolicyEgressRule, ...], Tag(3, listType="atomic")] = ()
    policyTypes: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """A policy is about what comes in, and about what goes out if it has a rule for that."""
        if not self.policyTypes:
            self.policyTypes = ("Ingress", "Egress") if self.egress else ("Ingress",)


class NetworkPolicy(Object):
    """Confines the traffic of the pods that it selects to what it lists."""

    spec: Annotated[NetworkPolicySpec, Tag(2)] = field(default_factory=NetworkPolicySpec)


COLUMNS = (
    NAME,
    column("Pod-Selector", lambda obj: selector_text(obj.spec.podSelector), "Labels of the pods that it is about."),
    AGE,
)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    type=NetworkPolicy,
    singular="networkpolicy",
    short=("netpol",),
    has_generation=True,
    columns=COLUMNS,
    validate=validate,
)
