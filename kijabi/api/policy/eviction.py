"""A polite request to delete a pod, subject to disruption budgets. Posted to `pods/NAME/eviction`."""

from typing import Annotated

from kijabi.api.meta import DeleteOptions, Object
from kijabi.api.struct import Tag


class Eviction(Object):
    """Asks for a pod to be deleted if its budget allows it."""

    deleteOptions: Annotated[DeleteOptions | None, Tag(2)] = None
