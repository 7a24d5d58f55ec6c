"""Configuration that is to be kept quiet; pods read it as environment or files."""

from typing import Annotated

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class Secret(Object):
    """Named byte strings, at most 1 MiB in all; stringData is a way to write them as text."""

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


COLUMNS = (
    NAME,
    column("Type", lambda obj: obj.type, "What its keys mean to programs."),
    column("Data", lambda obj: len(obj.data), "How many keys it holds."),
    AGE,
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    type=Secret,
    singular="secret",
    columns=COLUMNS,
    fields=(("type", lambda secret: secret.type),),
)
