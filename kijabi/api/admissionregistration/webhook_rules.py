"""Validation of MutatingWebhookConfiguration and ValidatingWebhookConfiguration.

Their modules name these in their RESOURCE. Texts and paths are those of k8s.io/kubernetes
`pkg/apis/admissionregistration/validation`; the checks of how a webhook is reached are of k8s.io/apiserver
`pkg/util/webhook`, and CustomResourceDefinitions use them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from kijabi.api.admissionregistration.matching_rules import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION,
    one_of_optional,
    static_warning,
    validate_conditions,
    validate_name,
    validate_rule,
)
from kijabi.api.admissionregistration.policyrules import MatchCondition, RuleWithOperations
from kijabi.api.admissionregistration.webhookclient import WebhookClientConfig
from kijabi.api.formats import dns1035_label, dns_subdomain, port_number
from kijabi.api.gotext import quote
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, fully_qualified, invalid, required, validate_label_selector

VERSIONS = ("v1", "v1beta1")  # of AdmissionReview
SIDE_EFFECTS = ("None", "NoneOnDryRun")  # that may be; those that do harm on a dry run may not
_URL_FORM = "; desired format: https://host[/path]"
_REVIEWS = {
    "authentication.k8s.io": ("selfsubjectreviews", "tokenreviews"),
    "authorization.k8s.io": (
        "localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews",
    ),
}  # fmt: skip


class Webhook(Protocol):
    """What both sorts of webhooks have."""

    name: str
    clientConfig: WebhookClientConfig
    rules: tuple[RuleWithOperations, ...]
    failurePolicy: str | None
    matchPolicy: str | None
    namespaceSelector: LabelSelector | None
    objectSelector: LabelSelector | None
    sideEffects: str | None
    timeoutSeconds: int | None
    admissionReviewVersions: tuple[str, ...]
    matchConditions: tuple[MatchCondition, ...]


class Configuration(Protocol):
    """What both configurations have."""

    metadata: ObjectMeta

    @property
    def webhooks(self) -> Sequence[Webhook]: ...


def validate(obj: Configuration) -> list[FieldError]:
    """Errors of a configuration.

    Upstream lets a change keep what older servers accepted; there are no objects of older servers here.
    """
    errors = validate_name(obj.metadata.name)
    names: set[str] = set()
    for index, hook in enumerate(obj.webhooks):
        path = f"webhooks[{index}]"
        errors += _validate_webhook(path, hook)
        errors += validate_client(f"{path}.clientConfig", hook.clientConfig)
        errors += validate_conditions(f"{path}.matchConditions", hook.matchConditions)
        errors += _validate_versions(f"{path}.admissionReviewVersions", hook.admissionReviewVersions)
        if hook.name in names:
            errors.append(duplicate(f"{path}.name", hook.name))
        if hook.name:
            names.add(hook.name)
    return errors


def _validate_webhook(path: str, hook: Webhook) -> list[FieldError]:
    errors = fully_qualified(f"{path}.name", hook.name)
    for index, rule in enumerate(hook.rules):
        errors += validate_rule(f"{path}.rules[{index}]", rule)
    errors += one_of_optional(f"{path}.failurePolicy", hook.failurePolicy, FAILURE_POLICIES)
    errors += one_of_optional(f"{path}.matchPolicy", hook.matchPolicy, MATCH_POLICIES)
    if hook.sideEffects is None:
        errors.append(required(f"{path}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}"))
    errors += one_of_optional(f"{path}.sideEffects", hook.sideEffects, SIDE_EFFECTS)
    seconds = hook.timeoutSeconds
    if seconds is not None and not 1 <= seconds <= 30:
        text = "the timeout value must be between 1 and 30 seconds"
        errors.append(invalid(f"{path}.timeoutSeconds", seconds, text))
    errors += validate_label_selector(hook.namespaceSelector, f"{path}.namespaceSelector")
    errors += validate_label_selector(hook.objectSelector, f"{path}.objectSelector")
    return errors + one_of_optional(
        f"{path}.reinvocationPolicy", getattr(hook, "reinvocationPolicy", None), REINVOCATION
    )


def _validate_versions(path: str, versions: Sequence[str]) -> list[FieldError]:
    if not versions:
        return [required(path, f"must specify one of {', '.join(VERSIONS)}")]
    errors: list[FieldError] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            errors.append(invalid(f"{path}[{index}]", version, "duplicate version"))
        else:
            errors += each(f"{path}[{index}]", version, dns1035_label(version))
    if not any(version in VERSIONS for version in versions):
        errors.append(invalid(path, versions, f"must include at least one of {', '.join(VERSIONS)}"))
    return errors


def validate_client(path: str, config: WebhookClientConfig) -> list[FieldError]:
    """Errors of how a webhook is reached."""
    url, service = config.url, config.service
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if url is not None:
        return validate_url(f"{path}.url", url)
    assert service is not None
    port = service.port if service.port is not None else 443
    # Upstream hands name and namespace over in each other's place; so do the errors.
    return validate_service(f"{path}.service", service.name, service.namespace, service.path, port)


def validate_url(path: str, url: str) -> list[FieldError]:
    """Errors of a webhook's URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as problem:
        return [required(path, f"url must be a valid URL: parse {quote(url)}: {problem}{_URL_FORM}")]
    errors: list[FieldError] = []
    if parts.scheme != "https":
        errors.append(invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_URL_FORM}"))
    user, at, host = parts.netloc.rpartition("@")
    if not host:
        errors.append(invalid(path, host, f"host must be specified{_URL_FORM}"))
    if at:
        errors.append(invalid(path, user, "user information is not permitted in the URL"))
    if parts.fragment:
        errors.append(invalid(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        errors.append(invalid(path, parts.query, "query parameters are not permitted in the URL"))
    return errors


def validate_service(path: str, namespace: str, name: str, where: str | None, port: int) -> list[FieldError]:
    """Errors of a reference to a webhook's Service. where: the path of the URL."""
    errors: list[FieldError] = []
    if not name:
        errors.append(required(f"{path}.name"))
    if not namespace:
        errors.append(required(f"{path}.namespace"))
    problems = port_number(port)
    if problems:
        errors.append(invalid(f"{path}.port", port, f"port is not valid: {', '.join(problems)}"))
    if where in (None, "", "/"):
        return errors
    assert where is not None
    here = f"{path}.path"
    if where == "//":
        return [*errors, invalid(here, where, "segment[0] may not be empty")]
    if not where.startswith("/"):
        errors.append(invalid(here, where, "must start with a '/'"))
    for index, step in enumerate(where[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(here, where, f"segment[{index}] may not be empty"))
        errors += [invalid(here, where, f"segment[{index}]: {text}") for text in (dns_subdomain(step) if step else ())]
    return errors


def warnings(obj: Configuration) -> list[str]:
    """What the writer of a configuration is told: rules about reviews, which no webhook ever sees."""
    found = static_warning(obj.metadata.name)
    for index, hook in enumerate(obj.webhooks):
        for position, rule in enumerate(hook.rules):
            if "*" in rule.apiGroups or "*" in rule.resources:
                continue
            named = [
                f"{plural}.{group}"
                for group in rule.apiGroups
                for plural in rule.resources
                if plural in _REVIEWS.get(group, ())
            ]
            found += [
                f"webhooks[{index}].rules[{position}]: {each_} is excluded from admission webhooks; "
                "this rule will have no effect"
                for each_ in dict.fromkeys(named)
            ]
    return found
