"""The table types of the meta group."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.meta import ListMeta, TypeMeta
from kijabi.api.struct import NO_JSON, Int32, Struct, Tag, empty_list


class TableColumnDefinition(Struct):
    """The API type TableColumnDefinition."""

    name: Annotated[str, Tag(required=True)] = field(default_factory=str)
    type: Annotated[str, Tag(required=True)] = field(default_factory=str)
    format: Annotated[str, Tag(required=True)] = field(default_factory=str)
    description: Annotated[str, Tag(required=True)] = field(default_factory=str)
    priority: Annotated[Int32, Tag(required=True)] = field(default_factory=int)


class TableRowCondition(Struct):
    """One condition of a Table Row."""

    type: Annotated[str, Tag(required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag()] = ""
    message: Annotated[str, Tag()] = ""


class TableRow(Struct):
    """The API type TableRow."""

    conditions: Annotated[tuple[TableRowCondition, ...], Tag(listType="atomic")] = ()
    object: Annotated[Raw, Tag()] = NO_JSON


class Table(TypeMeta):
    """The API type Table."""

    metadata: Annotated[ListMeta, Tag()] = field(default_factory=ListMeta)
    columnDefinitions: Annotated[
        tuple[TableColumnDefinition, ...],
        Tag(listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    rows: Annotated[
        tuple[TableRow, ...],
        Tag(listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class TableOptions(TypeMeta):
    """The API type TableOptions."""

    includeObject: Annotated[str, Tag(1)] = ""
