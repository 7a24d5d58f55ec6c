"""The affinity types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorTerm
from kijabi.api.meta import LabelSelector
from kijabi.api.struct import Int32, Int64, Struct, Tag


class PreferredSchedulingTerm(Struct):
    """The API type PreferredSchedulingTerm."""

    weight: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    preference: Annotated[NodeSelectorTerm, Tag(2, required=True)] = field(default_factory=NodeSelectorTerm)


class NodeAffinity(Struct):
    """The API type NodeAffinity."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[NodeSelector | None, Tag(1)] = None
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PreferredSchedulingTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class PodAffinityTerm(Struct):
    """The API type PodAffinityTerm."""

    labelSelector: Annotated[LabelSelector | None, Tag(1)] = None
    namespaces: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    topologyKey: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    namespaceSelector: Annotated[LabelSelector | None, Tag(4)] = None
    matchLabelKeys: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    mismatchLabelKeys: Annotated[tuple[str, ...], Tag(6, listType="atomic")] = ()


class WeightedPodAffinityTerm(Struct):
    """The API type WeightedPodAffinityTerm."""

    weight: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    podAffinityTerm: Annotated[
        PodAffinityTerm,
        Tag(2, required=True),
    ] = field(default_factory=PodAffinityTerm)


class PodAffinity(Struct):
    """The API type PodAffinity."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PodAffinityTerm, ...],
        Tag(1, listType="atomic"),
    ] = ()
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[WeightedPodAffinityTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class PodAntiAffinity(Struct):
    """The API type PodAntiAffinity."""

    requiredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[PodAffinityTerm, ...],
        Tag(1, listType="atomic"),
    ] = ()
    preferredDuringSchedulingIgnoredDuringExecution: Annotated[
        tuple[WeightedPodAffinityTerm, ...],
        Tag(2, listType="atomic"),
    ] = ()


class Affinity(Struct):
    """The API type Affinity."""

    nodeAffinity: Annotated[NodeAffinity | None, Tag(1)] = None
    podAffinity: Annotated[PodAffinity | None, Tag(2)] = None
    podAntiAffinity: Annotated[PodAntiAffinity | None, Tag(3)] = None


class Toleration(Struct):
    """The API type Toleration."""

    key: Annotated[str, Tag(1)] = ""
    operator: Annotated[str, Tag(2)] = ""
    value: Annotated[str, Tag(3)] = ""
    effect: Annotated[str, Tag(4)] = ""
    tolerationSeconds: Annotated[Int64 | None, Tag(5)] = None


class TopologySpreadConstraint(Struct):
    """The API type TopologySpreadConstraint."""

    maxSkew: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    topologyKey: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    whenUnsatisfiable: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    labelSelector: Annotated[LabelSelector | None, Tag(4)] = None
    minDomains: Annotated[Int32 | None, Tag(5)] = None
    nodeAffinityPolicy: Annotated[str | None, Tag(6)] = None
    nodeTaintsPolicy: Annotated[str | None, Tag(7)] = None
    matchLabelKeys: Annotated[tuple[str, ...], Tag(8, listType="atomic")] = ()
