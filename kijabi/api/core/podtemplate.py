"""Pods to be: what workloads stamp pods from."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import NAME, column, images, label_text, names
from kijabi.api.core.pod import PodSpec
from kijabi.api.core.pod_warnings import template_warnings
from kijabi.api.core.podspec_rules import validate_template
from kijabi.api.meta import Object, ObjectMeta
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class PodTemplateSpec(Struct):
    """The metadata and spec that new pods get."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[PodSpec, Tag(2)] = field(default_factory=PodSpec)


class PodTemplate(Object):
    """A template kept as an object of its own."""

    template: Annotated[PodTemplateSpec, Tag(2)] = field(default_factory=PodTemplateSpec)


COLUMNS = (
    NAME,
    column("Containers", lambda obj: names(obj.template.spec.containers), "Names of each container in the template."),
    column("Images", lambda obj: images(obj.template.spec.containers), "Images of each container in the template."),
    column("Pod Labels", lambda obj: label_text(obj.template.metadata.labels), "The labels of its pods."),
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="PodTemplate",
    plural="podtemplates",
    type=PodTemplate,
    singular="podtemplate",
    has_generation=True,
    columns=COLUMNS,
    validate=lambda obj: validate_template("template", obj.template),
    warnings=lambda obj: template_warnings("template", obj.template),
)
