"""Custom resources: from each definition the API server makes a Resource at run time."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field
from msgspec.structs import replace

from kijabi.api.apiextensions import lifecycle
from kijabi.api.apiextensions.jsonschema import JSONSchemaProps
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class CustomResourceDefinitionNames(Struct):
    """What the resource is called: plural, singular, kind, short names, categories."""

    plural: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    singular: Annotated[str, Tag(2)] = ""
    shortNames: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    kind: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    listKind: Annotated[str, Tag(5)] = ""
    categories: Annotated[tuple[str, ...], Tag(6, listType="atomic")] = ()


class CustomResourceValidation(Struct):
    """The schema that objects must fit."""

    openAPIV3Schema: Annotated[JSONSchemaProps | None, Tag(1)] = None


class CustomResourceSubresourceStatus(Struct):
    """Present if the resource has `/status`; it has no settings."""


class CustomResourceSubresourceScale(Struct):
    """Present if the resource has `/scale`: where replicas and selector are found."""

    specReplicasPath: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    statusReplicasPath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    labelSelectorPath: Annotated[str | None, Tag(3)] = None


class CustomResourceSubresources(Struct):
    """The subresources of one version."""

    status: Annotated[CustomResourceSubresourceStatus | None, Tag(1)] = None
    scale: Annotated[CustomResourceSubresourceScale | None, Tag(2)] = None


class CustomResourceColumnDefinition(Struct):
    """A column of `kubectl get`, read by a JSON path."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    type: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    format: Annotated[str, Tag(3)] = ""
    description: Annotated[str, Tag(4)] = ""
    priority: Annotated[Int32, Tag(5)] = 0
    jsonPath: Annotated[str, Tag(6, required=True)] = field(default_factory=str)


class SelectableField(Struct):
    """A JSON path that field selectors may ask for."""

    jsonPath: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class CustomResourceDefinitionVersion(Struct):
    """One version: whether it is served and stored, its schema, subresources and columns."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    served: Annotated[bool, Tag(2, required=True)] = field(default_factory=bool)
    storage: Annotated[bool, Tag(3, required=True)] = field(default_factory=bool)
    deprecated: Annotated[bool, Tag(7)] = False
    deprecationWarning: Annotated[str | None, Tag(8)] = None
    schema: Annotated[CustomResourceValidation | None, Tag(4)] = None
    subresources: Annotated[CustomResourceSubresources | None, Tag(5)] = None
    additionalPrinterColumns: Annotated[
        tuple[CustomResourceColumnDefinition, ...],
        Tag(6, listType="atomic"),
    ] = ()
    selectableFields: Annotated[
        tuple[SelectableField, ...],
        Tag(9, listType="atomic", gate="CustomResourceFieldSelectors"),
    ] = ()


class ServiceReference(Struct):
    """A service in the cluster, with path and port."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    path: Annotated[str | None, Tag(3)] = None
    port: Annotated[Int32 | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """The port of HTTPS."""
        if self.port is None:
            self.port = 443


class WebhookClientConfig(Struct):
    """Either a URL or a service, and the CA bundle that its certificate must chain to."""

    url: Annotated[str | None, Tag(3)] = None
    service: Annotated[ServiceReference | None, Tag(1)] = None
    caBundle: Annotated[bytes, Tag(2)] = b""


class WebhookConversion(Struct):
    """The webhook that converts, and the review versions it understands."""

    clientConfig: Annotated[WebhookClientConfig | None, Tag(2)] = None
    conversionReviewVersions: Annotated[
        tuple[str, ...],
        Tag(3, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class CustomResourceConversion(Struct):
    """How versions turn into one another: None (only apiVersion changes) or Webhook."""

    strategy: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    webhook: Annotated[WebhookConversion | None, Tag(2)] = None


class CustomResourceDefinitionSpec(Struct):
    """The group, the names, the scope, the versions and the conversion."""

    group: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    names: Annotated[
        CustomResourceDefinitionNames,
        Tag(3, required=True),
    ] = field(default_factory=CustomResourceDefinitionNames)
    scope: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    versions: Annotated[
        tuple[CustomResourceDefinitionVersion, ...],
        Tag(7, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    conversion: Annotated[CustomResourceConversion | None, Tag(9)] = None
    preserveUnknownFields: Annotated[bool, Tag(10)] = False

    def set_defaults(self) -> None:
        """The other names follow from the kind; objects of several versions differ in nothing but apiVersion."""
        names = self.names
        singular = names.singular or names.kind.lower()
        plural_kind = names.listKind or (f"{names.kind}List" if names.kind else "")
        self.names = replace(names, singular=singular, listKind=plural_kind)
        if self.conversion is None:
            self.conversion = CustomResourceConversion(strategy="None")


class CustomResourceDefinitionCondition(Struct):
    """NamesAccepted, Established, Terminating and their like."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""
    observedGeneration: Annotated[Int64, Tag(6, gate="CRDObservedGenerationTracking")] = 0


class CustomResourceDefinitionStatus(Struct):
    """Conditions, the names that were accepted, and the versions ever stored."""

    conditions: Annotated[
        tuple[CustomResourceDefinitionCondition, ...],
        Tag(1, listType="map", keys=("type",)),
    ] = field(default_factory=empty_list)
    acceptedNames: Annotated[
        CustomResourceDefinitionNames,
        Tag(2),
    ] = field(default_factory=CustomResourceDefinitionNames)
    storedVersions: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = field(default_factory=empty_list)
    observedGeneration: Annotated[Int64, Tag(4, gate="CRDObservedGenerationTracking")] = 0


class CustomResourceDefinition(Object):
    """The declaration of a resource that does not ship with the server."""

    spec: Annotated[
        CustomResourceDefinitionSpec,
        Tag(2, required=True),
    ] = field(default_factory=CustomResourceDefinitionSpec)
    status: Annotated[
        CustomResourceDefinitionStatus,
        Tag(3),
    ] = field(default_factory=CustomResourceDefinitionStatus)

    def set_defaults(self) -> None:
        """What is stored now has been stored."""
        if not self.status.storedVersions:
            storage = tuple(version.name for version in self.spec.versions if version.storage)[:1]
            self.status = replace(self.status, storedVersions=storage)


# The rules bring expressions and cryptography along, which only the API server needs: so they are imported when used.


def _validate(crd: CustomResourceDefinition) -> Sequence[FieldError]:
    from kijabi.api.apiextensions import definitionrules

    return definitionrules.validate(crd)


def _validate_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Sequence[FieldError]:
    from kijabi.api.apiextensions import definitionrules

    return definitionrules.validate_update(new, old)


def _validate_status(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Sequence[FieldError]:
    from kijabi.api.apiextensions import definitionrules

    return definitionrules.validate_status(new, old)


def _warnings(crd: CustomResourceDefinition) -> Sequence[str]:
    from kijabi.api.apiextensions import definitionwarnings

    return definitionwarnings.warnings(crd)


def _warnings_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> Sequence[str]:
    from kijabi.api.apiextensions import definitionwarnings

    return definitionwarnings.warnings_update(new, old)


RESOURCE = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    kind="CustomResourceDefinition",
    plural="customresourcedefinitions",
    type=CustomResourceDefinition,
    namespaced=False,
    singular="customresourcedefinition",
    short=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(
        Subresource(
            name="status",
            kind="CustomResourceDefinition",
            verbs=("get", "patch", "update"),
            type=CustomResourceDefinition,
        ),
    ),
    has_generation=True,
    prepare=lifecycle.prepare,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    update_alone=True,
    warnings=_warnings,
    warnings_update=_warnings_update,
    begin_delete=lifecycle.begin_delete,
)
