"""What authorizers there are: the file of `--authorization-config`, or the flags before it, as one configuration.

`modes.py` builds the authorizers of it. Source: apiserver.config.k8s.io AuthorizationConfiguration (KEP-3221); rules
and texts are those of k8s.io/apiserver `pkg/apis/apiserver/validation` and k8s.io/kubernetes `pkg/kubeapiserver`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from msgspec import field
from msgspec.structs import replace

from kijabi.api import gotext
from kijabi.api.formats import dns_subdomain
from kijabi.api.resource import FieldError
from kijabi.api.struct import Struct
from kijabi.api.validation import aggregate, duplicate, invalid, not_supported, required, too_many
from kijabi.apiserver.authz import matching
from kijabi.apiserver.configfile import Configuration, load, seconds
from kijabi.apiserver.flags import Flags
from kijabi.base.errors import ConfigError

MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
DEFAULT_MODES = ("Node", "RBAC")
MAX_CONDITIONS = 64
MAX_TIMEOUT = 30.0
_OTHERS = "--authorization-mode or --authorization-webhook-* flags"
_ALONE = f"--authorization-config can not be specified when {_OTHERS} are defined"


class MatchCondition(Struct):
    """An expression over `request` that must hold for the webhook to be asked."""

    expression: str = ""


class ConnectionInfo(Struct):
    """How the webhook is reached: type KubeConfigFile and the file, or InClusterConfig."""

    type: str = ""
    kubeConfigFile: str | None = None


class WebhookConfiguration(Struct):
    """A webhook: how it is asked, how long its answers are remembered, what is done when it fails."""

    authorizedTTL: str = ""
    cacheAuthorizedRequests: bool = True
    unauthorizedTTL: str = ""
    cacheUnauthorizedRequests: bool = True
    timeout: str = ""
    subjectAccessReviewVersion: str = ""
    matchConditionSubjectAccessReviewVersion: str = ""
    failurePolicy: str = ""
    connectionInfo: ConnectionInfo = field(default_factory=ConnectionInfo)
    matchConditions: tuple[MatchCondition, ...] = ()


class AuthorizerConfiguration(Struct):
    """One authorizer: its type (a mode), its name, and for a webhook more."""

    type: str = ""
    name: str = ""
    webhook: WebhookConfiguration | None = None


class AuthorizationConfiguration(Configuration):
    """All authorizers, in the order in which they are asked."""

    authorizers: tuple[AuthorizerConfiguration, ...] = ()


def of_flags(flags: Flags) -> AuthorizationConfiguration:
    """What the flags say, the file included. Raises ConfigError."""
    path = flags.authorization_config
    if path is None:
        return _of_modes(flags)
    others = (
        flags.authorization_webhook_config_file, flags.authorization_webhook_version,
        flags.authorization_webhook_cache_authorized_ttl, flags.authorization_webhook_cache_unauthorized_ttl,
    )  # fmt: skip
    if flags.authorization_mode or any(each is not None for each in others):
        raise ConfigError(_ALONE)
    try:
        return of_file(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read the authorization configuration {path}: {error}") from error


def of_file(data: bytes, needed: Collection[str] = ()) -> AuthorizationConfiguration:
    """What a file's content says. needed: types that must be there. Raises ConfigError."""
    try:
        found = load(AuthorizationConfiguration, data)
    except ConfigError as error:
        raise ConfigError(f"failed to load AuthorizationConfiguration from file: {error}") from error
    found = replace(found, authorizers=tuple(_defaulted(each) for each in found.authorizers))
    problems = list(_check(found))
    if problems:
        raise ConfigError(aggregate(problems))
    texts = [
        f"expected name {each.type.lower()} for authorizer {each.type} instead of {each.name}"
        for each in found.authorizers
        if each.type != "Webhook" and each.name != each.type.lower()
    ]
    missing = sorted(set(needed) - {each.type for each in found.authorizers})
    if missing:
        texts.append(f"missing required types: [{' '.join(missing)}]")
    if texts:
        raise ConfigError(gotext.aggregate(texts))
    return found


def _defaulted(authorizer: AuthorizerConfiguration) -> AuthorizerConfiguration:
    hook = authorizer.webhook
    if hook is None:
        return authorizer
    allowed, refused = hook.authorizedTTL or "5m0s", hook.unauthorizedTTL or "30s"
    return replace(authorizer, webhook=replace(hook, authorizedTTL=allowed, unauthorizedTTL=refused))


def _of_modes(flags: Flags) -> AuthorizationConfiguration:
    modes = flags.authorization_mode or DEFAULT_MODES
    for mode in modes:
        if mode not in MODES:
            raise ConfigError(f'authorization-mode "{mode}" is not a valid mode')
    if len(set(modes)) != len(modes):
        listed = " ".join(f'"{mode}"' for mode in modes)
        raise ConfigError(f"authorization-mode [{listed}] has mode specified more than once")
    if "ABAC" in modes and flags.authorization_policy_file is None:
        raise ConfigError("authorization-mode ABAC's authorization policy file not passed")
    if flags.authorization_policy_file is not None and "ABAC" not in modes:
        raise ConfigError("cannot specify --authorization-policy-file without mode ABAC")
    path = flags.authorization_webhook_config_file
    if "Webhook" in modes and path is None:
        raise ConfigError("authorization-mode Webhook's authorization config file not passed")
    if path is not None and "Webhook" not in modes:
        raise ConfigError("cannot specify --authorization-webhook-config-file without mode Webhook")
    hook = _flag_webhook(flags, path) if path is not None else None
    return AuthorizationConfiguration(
        authorizers=tuple(
            AuthorizerConfiguration(type=mode, name="default", webhook=hook)
            if mode == "Webhook"
            else AuthorizerConfiguration(type=mode, name=mode.lower())
            for mode in modes
        )
    )


def _flag_webhook(flags: Flags, path: Path) -> WebhookConfiguration:
    """The webhook of the flags: it waits half a minute and has no opinion when it fails."""
    allowed = flags.authorization_webhook_cache_authorized_ttl
    refused = flags.authorization_webhook_cache_unauthorized_ttl
    return WebhookConfiguration(
        authorizedTTL="5m0s" if allowed is None else f"{allowed:g}s",
        cacheAuthorizedRequests=allowed is None or allowed > 0,
        unauthorizedTTL="30s" if refused is None else f"{refused:g}s",
        cacheUnauthorizedRequests=refused is None or refused > 0,
        timeout="30s",
        failurePolicy="NoOpinion",
        subjectAccessReviewVersion=flags.authorization_webhook_version or "v1beta1",
        connectionInfo=ConnectionInfo(type="KubeConfigFile", kubeConfigFile=str(path)),
    )


def _check(configuration: AuthorizationConfiguration) -> Iterable[FieldError]:
    if not configuration.authorizers:
        yield required("authorizers", "at least one authorization mode must be defined")
    types: set[str] = set()
    names: set[str] = set()
    for index, each in enumerate(configuration.authorizers):
        path = f"authorizers[{index}]"
        if not each.type:
            yield required(f"{path}.type")
            continue
        if each.type not in MODES:
            yield not_supported(f"{path}.type", each.type, MODES)
            continue
        if each.type in types and each.type != "Webhook":
            yield duplicate(f"{path}.type", each.type)
            continue
        types.add(each.type)
        if not each.name:
            yield required(f"{path}.name")
        elif each.name in names:
            yield duplicate(f"{path}.name", each.name)
        elif wrong := dns_subdomain(each.name):
            yield invalid(f"{path}.name", each.name, f"authorizer name is invalid: {', '.join(wrong)}")
        names.add(each.name)
        if each.type != "Webhook":
            if each.webhook is not None:
                yield invalid(f"{path}.webhook", "non-null", "may only be specified when type=Webhook")
        elif each.webhook is None:
            yield required(f"{path}.webhook", "required when type=Webhook")
        else:
            yield from _check_webhook(path, each.webhook)


def _check_webhook(path: str, hook: WebhookConfiguration) -> Iterable[FieldError]:
    timeout = seconds(hook.timeout)
    if not timeout:
        yield required(f"{path}.timeout")
    elif not 0 < timeout <= MAX_TIMEOUT:
        yield invalid(f"{path}.timeout", hook.timeout, "must be > 0s and <= 30s")
    for name in ("authorizedTTL", "unauthorizedTTL"):
        if seconds(getattr(hook, name)) < 0:
            yield invalid(f"{path}.{name}", getattr(hook, name), "must be > 0s")
    version, reviewed = hook.subjectAccessReviewVersion, hook.matchConditionSubjectAccessReviewVersion
    if not version:
        yield required(f"{path}.subjectAccessReviewVersion")
    elif version not in ("v1", "v1beta1"):
        yield not_supported(f"{path}.subjectAccessReviewVersion", version, ("v1", "v1beta1"))
    if not reviewed:
        if hook.matchConditions:
            detail = "required if match conditions are specified"
            yield required(f"{path}.matchConditionSubjectAccessReviewVersion", detail)
    elif reviewed != "v1":
        yield not_supported(f"{path}.matchConditionSubjectAccessReviewVersion", reviewed, ("v1",))
    if not hook.failurePolicy:
        yield required(f"{path}.failurePolicy")
    elif hook.failurePolicy not in ("NoOpinion", "Deny"):
        yield not_supported(f"{path}.failurePolicy", hook.failurePolicy, ("NoOpinion", "Deny"))
    yield from _check_connection(f"{path}.connectionInfo", hook.connectionInfo)
    yield from _check_conditions(f"{path}.matchConditions", hook.matchConditions)


def _check_connection(path: str, info: ConnectionInfo) -> Iterable[FieldError]:
    file = info.kubeConfigFile
    match info.type:
        case "":
            yield required(f"{path}.type")
        case "InClusterConfig":
            if file is not None:
                yield invalid(f"{path}.kubeConfigFile", file, "can only be set when type=KubeConfigFile")
        case "KubeConfigFile":
            if not file:
                yield required(f"{path}.kubeConfigFile")
            elif not Path(file).is_absolute():
                yield invalid(f"{path}.kubeConfigFile", file, "must be an absolute path")
            elif not Path(file).exists():
                text = f"error loading file: stat {file}: no such file or directory"
                yield invalid(f"{path}.kubeConfigFile", file, text)
            elif not Path(file).is_file():
                yield invalid(f"{path}.kubeConfigFile", file, "must be a regular file")
        case other:
            yield not_supported(f"{path}.type", other, ("InClusterConfig", "KubeConfigFile"))


def _check_conditions(path: str, conditions: tuple[MatchCondition, ...]) -> Iterable[FieldError]:
    if len(conditions) > MAX_CONDITIONS:
        yield too_many(path, len(conditions), MAX_CONDITIONS)
        return
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        here = f"{path}[{index}].expression"
        if not condition.expression.strip():
            yield required(here)
        elif condition.expression in seen:
            yield duplicate(here, condition.expression)
        else:
            yield from matching.compiled(condition.expression, here)[1]
        seen.add(condition.expression)
