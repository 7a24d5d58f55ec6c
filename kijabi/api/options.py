"""What may go with a call besides its body; it comes as query parameters."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import TypeMeta
from kijabi.api.struct import Int64, Tag


class CreateOptions(TypeMeta):
    """How to create: dry run, field manager, strictness."""

    dryRun: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    fieldManager: Annotated[str, Tag(3)] = ""
    fieldValidation: Annotated[str, Tag(4)] = ""


class UpdateOptions(TypeMeta):
    """How to update: dry run, field manager, strictness."""

    dryRun: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    fieldManager: Annotated[str, Tag(2)] = ""
    fieldValidation: Annotated[str, Tag(3)] = ""


class PatchOptions(TypeMeta):
    """How to patch: dry run, field manager, strictness, and force for apply."""

    dryRun: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    force: Annotated[bool | None, Tag(2)] = None
    fieldManager: Annotated[str, Tag(3)] = ""
    fieldValidation: Annotated[str, Tag(4)] = ""


class GetOptions(TypeMeta):
    """Which version is fresh enough to be read."""

    resourceVersion: Annotated[str, Tag(1)] = ""


class ListOptions(TypeMeta):
    """What to list or watch: selectors, version, page, timeout."""

    labelSelector: Annotated[str, Tag(1)] = ""
    fieldSelector: Annotated[str, Tag(2)] = ""
    watch: Annotated[bool, Tag(3)] = False
    allowWatchBookmarks: Annotated[bool, Tag(9)] = False
    resourceVersion: Annotated[str, Tag(4)] = ""
    resourceVersionMatch: Annotated[str, Tag(10)] = ""
    timeoutSeconds: Annotated[Int64 | None, Tag(5)] = None
    limit: Annotated[Int64, Tag(7)] = 0
    continue_: Annotated[str, Tag(8)] = field(default="", name="continue")
    sendInitialEvents: Annotated[bool | None, Tag(11)] = None
    shardSelector: Annotated[str, Tag(15, gate="ShardedListAndWatch")] = ""
