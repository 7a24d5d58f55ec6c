"""Where pods like to be: affinity, tolerations and spreading; read by the scheduler and the kubelet."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorTerm
from kijabi.api.meta import LabelSelector
from kijabi.api.struct import Int32, Int64, Struct, Tag


class PreferredSchedulingTerm(Struct):
    """A wish for nodes, and its weight from 1 to 100."""

    weight: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    preference: Annotated[NodeSelectorTerm, Tag(2, required=True)] = field(default_factory=NodeSelectorTerm)


class NodeAffinity(Struct):
    """Which nodes a pod needs, and which it would like."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[NodeSelector | None, Tag(1)] = None
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PreferredSchedulingTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class PodAffinityTerm(Struct):
    """Pods by selector and namespace, and the topology key that says what near means."""

    labelSelector: Annotated[LabelSelector | None, Tag(1)] = None
    namespaces: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    topologyKey: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    namespaceSelector: Annotated[LabelSelector | None, Tag(4)] = None
    matchLabelKeys: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    mismatchLabelKeys: Annotated[tuple[str, ...], Tag(6, listType="atomic")] = ()


class WeightedPodAffinityTerm(Struct):
    """A wish about other pods, and its weight from 1 to 100."""

    weight: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    podAffinityTerm: Annotated[
        PodAffinityTerm,
        Tag(2, required=True),
    ] = field(default_factory=PodAffinityTerm)


class PodAffinity(Struct):
    """Pods that a pod needs, or would like, to be near to."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PodAffinityTerm, ...],
        Tag(1, listType="atomic"),
    ] = ()
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[WeightedPodAffinityTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class PodAntiAffinity(Struct):
    """Pods that a pod must, or would like to, be away from."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PodAffinityTerm, ...],
        Tag(1, listType="atomic"),
    ] = ()
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[WeightedPodAffinityTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class Affinity(Struct):
    """All needs and wishes about nodes and other pods."""

    nodeAffinity: Annotated[NodeAffinity | None, Tag(1)] = None
    podAffinity: Annotated[PodAffinity | None, Tag(2)] = None
    podAntiAffinity: Annotated[PodAntiAffinity | None, Tag(3)] = None


class Toleration(Struct):
    """Taints that do not keep a pod away; tolerationSeconds bounds for how long NoExecute is borne."""

    key: Annotated[str, Tag(1)] = ""
    operator: Annotated[str, Tag(2)] = ""
    value: Annotated[str, Tag(3)] = ""
    effect: Annotated[str, Tag(4)] = ""
    tolerationSeconds: Annotated[Int64 | None, Tag(5)] = None


class TopologySpreadConstraint(Struct):
    """How evenly matching pods must be spread over zones, nodes or another topology."""

    maxSkew: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    topologyKey: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    whenUnsatisfiable: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    labelSelector: Annotated[LabelSelector | None, Tag(4)] = None
    minDomains: Annotated[Int32 | None, Tag(5)] = None
    nodeAffinityPolicy: Annotated[str | None, Tag(6)] = None
    nodeTaintsPolicy: Annotated[str | None, Tag(7)] = None
    matchLabelKeys: Annotated[tuple[str, ...], Tag(8, listType="atomic")] = ()
