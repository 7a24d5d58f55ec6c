"""The schema of custom resources: OpenAPI v3 with the Kubernetes extensions."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.struct import NO_JSON, Int64, Struct, Tag


class ExternalDocumentation(Struct):
    """A link to more about a schema."""

    description: Annotated[str, Tag(1)] = ""
    url: Annotated[str, Tag(2)] = ""


class ValidationRule(Struct):
    """A CEL expression on a value, and what to say if it does not hold."""

    rule: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(2)] = ""
    messageExpression: Annotated[str, Tag(3)] = ""
    reason: Annotated[str | None, Tag(4)] = None
    fieldPath: Annotated[str, Tag(5)] = ""
    optionalOldSelf: Annotated[bool | None, Tag(6, gate="CRDValidationRatcheting")] = None


class JSONSchemaProps(Struct):
    """A schema; its properties, items and alternatives are schemas in turn."""

    id: Annotated[str, Tag(1)] = ""
    schema: Annotated[str, Tag(2)] = field(default="", name="$schema")
    ref: Annotated[str | None, Tag(3)] = field(default=None, name="$ref")
    description: Annotated[str, Tag(4)] = ""
    type: Annotated[str, Tag(5)] = ""
    format: Annotated[str, Tag(6)] = ""
    title: Annotated[str, Tag(7)] = ""
    default: Annotated[Raw, Tag(8)] = NO_JSON
    maximum: Annotated[float | None, Tag(9)] = None
    exclusiveMaximum: Annotated[bool, Tag(10)] = False
    minimum: Annotated[float | None, Tag(11)] = None
    exclusiveMinimum: Annotated[bool, Tag(12)] = False
    maxLength: Annotated[Int64 | None, Tag(13)] = None
    minLength: Annotated[Int64 | None, Tag(14)] = None
    pattern: Annotated[str, Tag(15)] = ""
    maxItems: Annotated[Int64 | None, Tag(16)] = None
    minItems: Annotated[Int64 | None, Tag(17)] = None
    uniqueItems: Annotated[bool, Tag(18)] = False
    multipleOf: Annotated[float | None, Tag(19)] = None
    enum: Annotated[tuple[Raw, ...], Tag(20, listType="atomic")] = ()
    maxProperties: Annotated[Int64 | None, Tag(21)] = None
    minProperties: Annotated[Int64 | None, Tag(22)] = None
    required: Annotated[tuple[str, ...], Tag(23, listType="atomic")] = ()
    items: "Annotated[JSONSchemaProps | tuple[JSONSchemaProps, ...] | None, Tag(24)]" = None
    allOf: "Annotated[tuple[JSONSchemaProps, ...], Tag(25, listType='atomic')]" = ()
    oneOf: "Annotated[tuple[JSONSchemaProps, ...], Tag(26, listType='atomic')]" = ()
    anyOf: "Annotated[tuple[JSONSchemaProps, ...], Tag(27, listType='atomic')]" = ()
    not_: "Annotated[JSONSchemaProps | None, Tag(28)]" = field(default=None, name="not")
    properties: "Annotated[dict[str, JSONSchemaProps], Tag(29)]" = {}
    additionalProperties: "Annotated[JSONSchemaProps | bool | None, Tag(30)]" = None
    patternProperties: "Annotated[dict[str, JSONSchemaProps], Tag(31)]" = {}
    dependencies: "Annotated[dict[str, JSONSchemaProps | tuple[str, ...]], Tag(32)]" = {}
    additionalItems: "Annotated[JSONSchemaProps | bool | None, Tag(33)]" = None
    definitions: "Annotated[dict[str, JSONSchemaProps], Tag(34)]" = {}
    externalDocs: Annotated[ExternalDocumentation | None, Tag(35)] = None
    example: Annotated[Raw, Tag(36)] = NO_JSON
    nullable: Annotated[bool, Tag(37)] = False
    xKubernetesPreserveUnknownFields: Annotated[
        bool | None,
        Tag(38),
    ] = field(default=None, name="x-kubernetes-preserve-unknown-fields")
    xKubernetesEmbeddedResource: Annotated[
        bool,
        Tag(39),
    ] = field(default=False, name="x-kubernetes-embedded-resource")
    xKubernetesIntOrString: Annotated[bool, Tag(40)] = field(default=False, name="x-kubernetes-int-or-string")
    xKubernetesListMapKeys: Annotated[
        tuple[str, ...],
        Tag(41, listType="atomic"),
    ] = field(default=(), name="x-kubernetes-list-map-keys")
    xKubernetesListType: Annotated[str | None, Tag(42)] = field(default=None, name="x-kubernetes-list-type")
    xKubernetesMapType: Annotated[str | None, Tag(43)] = field(default=None, name="x-kubernetes-map-type")
    xKubernetesValidations: Annotated[
        tuple[ValidationRule, ...],
        Tag(44, listType="map", keys=("rule",), strategy="merge", mergeKey="rule"),
    ] = field(default=(), name="x-kubernetes-validations")
