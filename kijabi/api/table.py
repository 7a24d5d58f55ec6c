"""Objects as tables: what `kubectl get` asks the server for and prints."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.meta import ListMeta, TypeMeta
from kijabi.api.struct import NO_JSON, Int32, Struct, Tag, empty_list


class TableColumnDefinition(Struct):
    """A column: name, type, and whether it is shown by default."""

    name: Annotated[str, Tag(required=True)] = field(default_factory=str)
    type: Annotated[str, Tag(required=True)] = field(default_factory=str)
    format: Annotated[str, Tag(required=True)] = field(default_factory=str)
    description: Annotated[str, Tag(required=True)] = field(default_factory=str)
    priority: Annotated[Int32, Tag(required=True)] = field(default_factory=int)


class TableRowCondition(Struct):
    """A fact about a row, such as Completed."""

    type: Annotated[str, Tag(required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag()] = ""
    message: Annotated[str, Tag()] = ""


class TableRow(Struct):
    """The cells of one object, and the object or its metadata."""

    conditions: Annotated[tuple[TableRowCondition, ...], Tag(listType="atomic")] = ()
    object: Annotated[Raw, Tag()] = NO_JSON


class Table(TypeMeta):
    """Columns and rows."""

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
    """How much of the objects to put into the rows: None, Metadata or Object."""

    includeObject: Annotated[str, Tag(1)] = ""
