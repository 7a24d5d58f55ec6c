"""The rules of `spec.conversion` of a CustomResourceDefinition: which webhook converts, which reviews it understands.

`definitionrules.py` calls `validate`. Paths are those of upstream's internal type, which has no `webhook` in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509

from kijabi.api import validation
from kijabi.api.admissionregistration.webhook_rules import validate_service, validate_url
from kijabi.api.formats import dns1035_label
from kijabi.api.resource import FieldError

if TYPE_CHECKING:
    from kijabi.api.apiextensions.customresourcedefinition import CustomResourceConversion, WebhookClientConfig

_REVIEW_VERSIONS = ("v1", "v1beta1")


def validate(
    conversion: CustomResourceConversion | None, old: CustomResourceConversion | None, path: str, *, served: bool
) -> list[FieldError]:
    """Errors of a conversion. old: the stored one. served: the resource is, so its CA bundle must be good."""
    if conversion is None:
        return []
    errors = enumerated(f"{path}.strategy", conversion.strategy, ("None", "Webhook"))
    client, versions = _parts(conversion)
    if conversion.strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        if client is not None:
            errors.append(validation.forbidden(f"{path}.webhookClientConfig", detail))
        if versions:
            errors.append(validation.forbidden(f"{path}.conversionReviewVersions", detail))
        return errors
    before, known = _parts(old)
    at = f"{path}.webhookClientConfig"
    if client is None:
        errors.append(validation.required(at, "required when strategy is set to Webhook"))
    else:
        errors += _client(client, at)
        had_bad = before is not None and before.caBundle and _bundle(before.caBundle, "")
        if client.caBundle and served and not had_bad:
            errors += _bundle(client.caBundle, f"{at}.caBundle")
    recognized = not known or any(version in _REVIEW_VERSIONS for version in known)
    return errors + _reviews(versions, recognized, f"{path}.conversionReviewVersions")


def enumerated(path: str, value: str, known: Sequence[str]) -> list[FieldError]:
    """Errors of a value that must be there and be one of those known."""
    return validation.one_of(path, value, known) if value else [validation.required(path)]


def _parts(conversion: CustomResourceConversion | None) -> tuple[WebhookClientConfig | None, Sequence[str]]:
    if conversion is None or conversion.webhook is None:
        return None, ()
    return conversion.webhook.clientConfig, conversion.webhook.conversionReviewVersions


def _client(client: WebhookClientConfig, path: str) -> list[FieldError]:
    if (client.url is None) == (client.service is None):
        return [validation.required(path, "exactly one of url or service is required")]
    if client.url is not None:
        return validate_url(f"{path}.url", client.url)
    service = client.service
    assert service is not None  # one of both is there
    port = 443 if service.port is None else service.port
    # Upstream hands name and namespace over in each other's place; so do the errors.
    return validate_service(f"{path}.service", service.name, service.namespace, service.path, port)


def _bundle(bundle: bytes, path: str) -> list[FieldError]:
    try:
        x509.load_pem_x509_certificates(bundle)
    except ValueError:
        shown = msgspec.Raw(msgspec.json.encode(bundle))
        return [validation.invalid(path, shown, "unable to load root certificates: unable to parse bytes as PEM block")]
    return []


def _reviews(versions: Sequence[str], recognized: bool, path: str) -> list[FieldError]:
    if not versions:
        return [validation.required(path)]
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            errors.append(validation.invalid(f"{path}[{index}]", version, "duplicate version"))
        else:
            errors += validation.each(f"{path}[{index}]", version, dns1035_label(version))
    if recognized and not any(version in _REVIEW_VERSIONS for version in versions):
        detail = f"must include at least one of {', '.join(_REVIEW_VERSIONS)}"
        errors.append(validation.invalid(path, versions, detail))
    return errors
