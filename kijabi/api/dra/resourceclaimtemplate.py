"""Claims to be: the claim controller stamps one for each pod."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME
from kijabi.api.dra.claim_rules import validate_template, validate_template_update
from kijabi.api.dra.resourceclaim import ResourceClaimSpec
from kijabi.api.meta import Object, ObjectMeta
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ResourceClaimTemplateSpec(Struct):
    """The metadata and spec that new claims get."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[ResourceClaimSpec, Tag(2)] = field(default_factory=ResourceClaimSpec)


class ResourceClaimTemplate(Object):
    """A template for claims."""

    spec: Annotated[ResourceClaimTemplateSpec, Tag(2)] = field(default_factory=ResourceClaimTemplateSpec)


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    type=ResourceClaimTemplate,
    singular="resourceclaimtemplate",
    columns=(NAME, AGE),
    validate=validate_template,
    validate_update=validate_template_update,
    update_alone=True,
)
