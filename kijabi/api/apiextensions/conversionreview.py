"""The ConversionReview that asks a webhook to convert custom objects between versions."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.meta import Status, TypeMeta
from kijabi.api.struct import Struct, Tag, empty_list


class ConversionRequest(Struct):
    """Objects and the version that is wanted of them."""

    uid: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    desiredAPIVersion: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    objects: Annotated[
        tuple[Raw, ...],
        Tag(3, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class ConversionResponse(Struct):
    """The converted objects in the same order, or why it failed."""

    uid: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    convertedObjects: Annotated[
        tuple[Raw, ...],
        Tag(2, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    result: Annotated[Status, Tag(3, required=True)] = field(default_factory=Status)


class ConversionReview(TypeMeta):
    """The envelope of both: the question carries `request`, the answer `response` with the same uid."""

    request: Annotated[ConversionRequest | None, Tag(1)] = None
    response: Annotated[ConversionResponse | None, Tag(2)] = None
