"""The resourceclaimtemplate types of the dra group."""

from typing import Annotated

from msgspec import field

from kijabi.api.dra.resourceclaim import ResourceClaimSpec
from kijabi.api.meta import Object, ObjectMeta
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ResourceClaimTemplateSpec(Struct):
    """What is asked of a Resource Claim Template."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[ResourceClaimSpec, Tag(2)] = field(default_factory=ResourceClaimSpec)


class ResourceClaimTemplate(Object):
    """The API type ResourceClaimTemplate."""

    spec: Annotated[ResourceClaimTemplateSpec, Tag(2)] = field(default_factory=ResourceClaimTemplateSpec)


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    type=ResourceClaimTemplate,
    singular="resourceclaimtemplate",
)
