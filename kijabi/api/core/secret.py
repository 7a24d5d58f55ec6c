"""The secret types of the core group."""

from typing import Annotated

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class Secret(Object):
    """The API type Secret."""

    immutable: Annotated[bool | None, Tag(5)] = None
    data: Annotated[dict[str, bytes], Tag(2)] = {}
    stringData: Annotated[dict[str, str], Tag(4)] = {}
    type: Annotated[str, Tag(3)] = ""

    def set_defaults(self) -> None:
        """Opaque; the plain text of stringData goes into data and is never shown again."""
        self.type = self.type or "Opaque"
        for key, text in self.stringData.items():
            self.data[key] = text.encode()
        self.stringData = {}


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    type=Secret,
    singular="secret",
)
