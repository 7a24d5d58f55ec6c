"""A range of numbers and which are taken, as a bitmap."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.struct import Tag


class RangeAllocation(Object):
    """The bitmap of a range of addresses or ports."""

    range: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    data: Annotated[bytes, Tag(3, required=True)] = field(default_factory=bytes)
