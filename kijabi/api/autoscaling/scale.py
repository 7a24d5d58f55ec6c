"""The Scale that every scalable resource shows under `/scale`; the autoscaler and `kubectl scale` write it."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.struct import Int32, Struct, Tag


class ScaleSpec(Struct):
    """How many replicas there should be."""

    replicas: Annotated[Int32, Tag(1, default=0)] = 0


class ScaleStatus(Struct):
    """How many there are, and the selector of their pods as text."""

    replicas: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    selector: Annotated[str, Tag(2)] = ""


class Scale(Object):
    """The size of a workload, whatever its kind."""

    spec: Annotated[ScaleSpec, Tag(2)] = field(default_factory=ScaleSpec)
    status: Annotated[ScaleStatus, Tag(3)] = field(default_factory=ScaleStatus)
