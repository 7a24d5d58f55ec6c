"""Terms that pick nodes; used by affinity, volumes and devices."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.struct import Struct, Tag, empty_list


class NodeSelectorRequirement(Struct):
    """A label key, an operator (In, NotIn, Exists, DoesNotExist, Gt, Lt) and values."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()


class NodeSelectorTerm(Struct):
    """Requirements on labels and fields, all of which must hold."""

    ATOMIC: ClassVar[bool] = True

    matchExpressions: Annotated[tuple[NodeSelectorRequirement, ...], Tag(1, listType="atomic")] = ()
    matchFields: Annotated[tuple[NodeSelectorRequirement, ...], Tag(2, listType="atomic")] = ()


class NodeSelector(Struct):
    """Terms, one of which must hold."""

    ATOMIC: ClassVar[bool] = True

    nodeSelectorTerms: Annotated[
        tuple[NodeSelectorTerm, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class TopologySelectorLabelRequirement(Struct):
    """A label key and the values allowed for it."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    values: Annotated[
        tuple[str, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class TopologySelectorTerm(Struct):
    """Requirements on topology labels, all of which must hold."""

    ATOMIC: ClassVar[bool] = True

    matchLabelExpressions: Annotated[
        tuple[TopologySelectorLabelRequirement, ...],
        Tag(1, listType="atomic"),
    ] = ()
