"""The podtemplate types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.pod import PodSpec
from kijabi.api.meta import Object, ObjectMeta
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class PodTemplateSpec(Struct):
    """What is asked of a Pod Template."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[PodSpec, Tag(2)] = field(default_factory=PodSpec)


class PodTemplate(Object):
    """The API type PodTemplate."""

    template: Annotated[PodTemplateSpec, Tag(2)] = field(default_factory=PodTemplateSpec)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    type=PodTemplate,
    singular="podtemplate",
    has_generation=True,
)
