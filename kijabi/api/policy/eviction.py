"""The eviction types of the policy group."""

from typing import Annotated

from kijabi.api.meta import DeleteOptions, Object
from kijabi.api.struct import Tag


class Eviction(Object):
    """The API type Eviction."""

    deleteOptions: Annotated[DeleteOptions | None, Tag(2)] = None
