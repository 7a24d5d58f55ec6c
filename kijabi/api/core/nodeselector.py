"""The nodeselector types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.struct import Struct, Tag, empty_list


class NodeSelectorRequirement(Struct):
    """The API type NodeSelectorRequirement."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class NodeSelectorTerm(Struct):
    """The API type NodeSelectorTerm."""

    ATOMIC: ClassVar[bool] = True

    matchExpressions: Annotated[tuple[NodeSelectorRequirement, ...], Tag(1, listType="atomic")] = ()
    matchFields: Annotated[tuple[NodeSelectorRequirement, ...], Tag(2, listType="atomic")] = ()


class NodeSelector(Struct):
    """The API type NodeSelector."""

    ATOMIC: ClassVar[bool] = True

    nodeSelectorTerms: Annotated[
        tuple[NodeSelectorTerm, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class TopologySelectorLabelRequirement(Struct):
    """The API type TopologySelectorLabelRequirement."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    values: Annotated[
        tuple[str, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class TopologySelectorTerm(Struct):
    """The API type TopologySelectorTerm."""

    ATOMIC: ClassVar[bool] = True

    matchLabelExpressions: Annotated[
        tuple[TopologySelectorLabelRequirement, ...],
        Tag(1, listType="atomic"),
    ] = ()
