"""The scale types of the autoscaling group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.struct import Int32, Struct, Tag


class ScaleSpec(Struct):
    """What is asked of a Scale."""

    replicas: Annotated[Int32, Tag(1, default=0)] = 0


class ScaleStatus(Struct):
    """What was last seen of a Scale."""

    replicas: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    selector: Annotated[str, Tag(2)] = ""


class Scale(Object):
    """The API type Scale."""

    spec: Annotated[ScaleSpec, Tag(2)] = field(default_factory=ScaleSpec)
    status: Annotated[ScaleStatus, Tag(3)] = field(default_factory=ScaleStatus)
