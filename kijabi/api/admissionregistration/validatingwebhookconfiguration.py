"""Webhooks that judge objects on their way in; the API server's admission chain calls them."""

from typing import Annotated

from msgspec import field

from kijabi.api.admissionregistration.policyrules import MatchCondition, RuleWithOperations
from kijabi.api.admissionregistration.webhookclient import WebhookClientConfig
from kijabi.api.columns import AGE, NAME, number
from kijabi.api.meta import LabelSelector, Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class ValidatingWebhook(Struct):
    """One webhook: where it is, what it wants to see, how long to wait and what if it fails."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    clientConfig: Annotated[
        WebhookClientConfig,
        Tag(2, required=True),
    ] = field(default_factory=WebhookClientConfig)
    rules: Annotated[tuple[RuleWithOperations, ...], Tag(3, listType="atomic")] = ()
    failurePolicy: Annotated[str | None, Tag(4)] = None
    matchPolicy: Annotated[str | None, Tag(9)] = None
    namespaceSelector: Annotated[LabelSelector | None, Tag(5)] = None
    objectSelector: Annotated[LabelSelector | None, Tag(10)] = None
    sideEffects: Annotated[str | None, Tag(6, required=True)] = None
    timeoutSeconds: Annotated[Int32 | None, Tag(7)] = None
    admissionReviewVersions: Annotated[
        tuple[str, ...],
        Tag(8, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    matchConditions: Annotated[
        tuple[MatchCondition, ...],
        Tag(11, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()

    def set_defaults(self) -> None:
        """What is absent: fail closed, equivalent versions, ten seconds, everything."""
        if self.failurePolicy is None:
            self.failurePolicy = "Fail"
        if self.matchPolicy is None:
            self.matchPolicy = "Equivalent"
        if self.timeoutSeconds is None:
            self.timeoutSeconds = 10
        if self.namespaceSelector is None:
            self.namespaceSelector = LabelSelector()
        if self.objectSelector is None:
            self.objectSelector = LabelSelector()


class ValidatingWebhookConfiguration(Object):
    """A named set of webhooks that judge objects."""

    webhooks: Annotated[
        tuple[ValidatingWebhook, ...],
        Tag(2, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()


COLUMNS = (NAME, number("Webhooks", lambda obj: len(obj.webhooks), "How many there are."), AGE)


def _validate(obj: ValidatingWebhookConfiguration) -> list[FieldError]:
    from kijabi.api.admissionregistration import (
        webhook_rules,  # it brings the expression language, which only the API server needs
    )

    return webhook_rules.validate(obj)


def _warnings(obj: ValidatingWebhookConfiguration) -> list[str]:
    from kijabi.api.admissionregistration import webhook_rules

    return webhook_rules.warnings(obj)


RESOURCE = Resource(
    group="admissionregistration.k8s.io",
    version="v1",
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    type=ValidatingWebhookConfiguration,
    namespaced=False,
    singular="validatingwebhookconfiguration",
    categories=("api-extensions",),
    has_generation=True,
    validate=_validate,
    warnings=_warnings,
    columns=COLUMNS,
    update_needs_version=True,
)
