"""The answer of /version."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Struct, Tag


class Info(Struct):
    """Version, commit and build of the server; clients read major, minor and gitVersion."""

    major: Annotated[str, Tag(required=True)] = field(default_factory=str)
    minor: Annotated[str, Tag(required=True)] = field(default_factory=str)
    emulationMajor: Annotated[str, Tag()] = ""
    emulationMinor: Annotated[str, Tag()] = ""
    minCompatibilityMajor: Annotated[str, Tag()] = ""
    minCompatibilityMinor: Annotated[str, Tag()] = ""
    gitVersion: Annotated[str, Tag(required=True)] = field(default_factory=str)
    gitCommit: Annotated[str, Tag(required=True)] = field(default_factory=str)
    gitTreeState: Annotated[str, Tag(required=True)] = field(default_factory=str)
    buildDate: Annotated[str, Tag(required=True)] = field(default_factory=str)
    goVersion: Annotated[str, Tag(required=True)] = field(default_factory=str)
    compiler: Annotated[str, Tag(required=True)] = field(default_factory=str)
    platform: Annotated[str, Tag(required=True)] = field(default_factory=str)
