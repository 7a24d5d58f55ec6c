"""Whose JWTs are believed, and where nobody needs credentials: the file of `--authentication-config`, or flags.

`build.py` makes authenticators of it, `claims.py` compiles its expressions. Source: apiserver.config.k8s.io
AuthenticationConfiguration (KEP-3331); rules and texts are those of k8s.io/apiserver `pkg/apis/apiserver/validation`.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from msgspec import field

from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError
from kijabi.api.struct import Struct
from kijabi.api.validation import aggregate, duplicate, invalid, required, too_many
from kijabi.apiserver.configfile import Configuration, load
from kijabi.apiserver.flags import Flags
from kijabi.base.errors import ConfigError
from kijabi.base.jws import ALGORITHMS

MAX_ISSUERS = 64
MATCH_ANY = "MatchAny"


class Issuer(Struct):
    """Who makes the tokens, for whom, and how its keys are found."""

    url: str = ""
    discoveryURL: str | None = None
    certificateAuthority: str = ""
    audiences: tuple[str, ...] = ()
    audienceMatchPolicy: str = ""
    egressSelectorType: str = ""


class ClaimValidationRule(Struct):
    """A claim that must have a value, or an expression over `claims` that must be true."""

    claim: str = ""
    requiredValue: str = ""
    expression: str = ""
    message: str = ""


class PrefixedClaimOrExpression(Struct):
    """A claim, with what comes before its values, or an expression over `claims`."""

    claim: str = ""
    prefix: str | None = None
    expression: str = ""


class ClaimOrExpression(Struct):
    """A claim, or an expression over `claims`."""

    claim: str = ""
    expression: str = ""


class ExtraMapping(Struct):
    """A key of the user's extra, and an expression for its values."""

    key: str = ""
    valueExpression: str = ""


class ClaimMappings(Struct):
    """How claims become a user."""

    username: PrefixedClaimOrExpression = field(default_factory=PrefixedClaimOrExpression)
    groups: PrefixedClaimOrExpression = field(default_factory=PrefixedClaimOrExpression)
    uid: ClaimOrExpression = field(default_factory=ClaimOrExpression)
    extra: tuple[ExtraMapping, ...] = ()


class UserValidationRule(Struct):
    """An expression over `user` that must be true."""

    expression: str = ""
    message: str = ""


class JWTAuthenticator(Struct):
    """One issuer with all its rules."""

    issuer: Issuer = field(default_factory=Issuer)
    claimValidationRules: tuple[ClaimValidationRule, ...] = ()
    claimMappings: ClaimMappings = field(default_factory=ClaimMappings)
    userValidationRules: tuple[UserValidationRule, ...] = ()


class AnonymousAuthCondition(Struct):
    """A path where nobody needs credentials."""

    path: str = ""


class AnonymousAuthConfig(Struct):
    """Whether people are let in without credentials, and where."""

    enabled: bool = False
    conditions: tuple[AnonymousAuthCondition, ...] = ()


class AuthenticationConfiguration(Configuration):
    """All issuers, and anonymous requests."""

    jwt: tuple[JWTAuthenticator, ...] = ()
    anonymous: AnonymousAuthConfig | None = None


def of_flags(flags: Flags, own: Collection[str]) -> AuthenticationConfiguration:
    """What the flags say, the file included. own: the issuers of service-account tokens. Raises ConfigError."""
    given = any(getattr(flags, name) not in (None, ()) for name in Flags.__struct_fields__ if name.startswith("oidc_"))
    path = flags.authentication_config
    if path is None:
        if given and not (flags.oidc_issuer_url and flags.oidc_client_id):
            raise ConfigError(
                "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set"
            )
        configuration = AuthenticationConfiguration(jwt=(_of_oidc(flags),) if given else ())
        _raise(check(configuration, own))
        return configuration
    if given:
        raise ConfigError("authentication-config file and oidc-* flags are mutually exclusive")
    try:
        data = path.read_bytes()
    except OSError as error:
        text = f'failed to load authentication configuration from file "{path}": {error}'
        raise ConfigError(text) from error
    configuration = of_file(data, own)
    if configuration.anonymous is not None and flags.anonymous_auth is not None:
        text = "cannot be set when anonymous field is configured in authentication configuration file"
        raise ConfigError(f"anonymous: Forbidden: --anonymous-auth flag {text}")
    return configuration


def of_file(data: bytes, own: Collection[str]) -> AuthenticationConfiguration:
    """What a file's content says. Raises ConfigError."""
    configuration = load(AuthenticationConfiguration, data)
    _raise(check(configuration, own))
    return configuration


def _raise(problems: Iterable[FieldError]) -> None:
    found = list(problems)
    if found:
        raise ConfigError(f"invalid authentication configuration: {aggregate(found)}")


def _of_oidc(flags: Flags) -> JWTAuthenticator:
    """The one issuer that the flags describe."""
    issuer, claim = flags.oidc_issuer_url or "", flags.oidc_username_claim or "sub"
    prefix = flags.oidc_username_prefix or ""
    if not prefix and claim != "email":
        prefix = f"{issuer}#"
    groups = PrefixedClaimOrExpression()
    if flags.oidc_groups_claim:
        groups = PrefixedClaimOrExpression(claim=flags.oidc_groups_claim, prefix=flags.oidc_groups_prefix or "")
    for name in flags.oidc_signing_algs:
        if name not in ALGORITHMS:
            raise ConfigError(f"oidc: unsupported signing alg: {quote(name)}")
    try:
        authority = flags.oidc_ca_file.read_text() if flags.oidc_ca_file is not None else ""
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read {flags.oidc_ca_file}: {error}") from error
    return JWTAuthenticator(
        issuer=Issuer(url=issuer, audiences=(flags.oidc_client_id or "",), certificateAuthority=authority),
        claimMappings=ClaimMappings(
            username=PrefixedClaimOrExpression(claim=claim, prefix="" if prefix == "-" else prefix), groups=groups
        ),
        claimValidationRules=tuple(_required_claim(text) for text in flags.oidc_required_claim),
    )


def _required_claim(text: str) -> ClaimValidationRule:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"malformed pair, expect string=string: {text}")
    return ClaimValidationRule(claim=name.strip(), requiredValue=value.strip())


def check(configuration: AuthenticationConfiguration, own: Collection[str]) -> Iterable[FieldError]:
    """What is wrong with a configuration."""
    from kijabi.apiserver.authn.claims import compiled  # few clusters have issuers

    if len(configuration.jwt) > MAX_ISSUERS:
        yield too_many("jwt", len(configuration.jwt), MAX_ISSUERS)
        return
    issuers: set[str] = set()
    places: set[str] = set()
    for index, each in enumerate(configuration.jwt):
        path, issuer = f"jwt[{index}]", each.issuer
        yield from _check_issuer(issuer, f"{path}.issuer", own)
        yield from compiled(each, path)[1]
        if issuer.url in issuers:
            yield duplicate(f"{path}.issuer.url", issuer.url)
        issuers.add(issuer.url)
        if issuer.discoveryURL:
            if issuer.discoveryURL in places:
                yield duplicate(f"{path}.issuer.discoveryURL", issuer.discoveryURL)
            places.add(issuer.discoveryURL)
    anonymous = configuration.anonymous
    if anonymous is not None and anonymous.conditions and not anonymous.enabled:
        detail = "enabled should be set to true when conditions are defined"
        yield invalid("anonymous.conditions", anonymous.conditions, detail)


def _check_issuer(issuer: Issuer, path: str, own: Collection[str]) -> Iterable[FieldError]:
    if not issuer.url:
        yield required(f"{path}.url")
    else:
        yield from _check_url(issuer.url, f"{path}.url", own)
    if issuer.discoveryURL:
        here = f"{path}.discoveryURL"
        if issuer.url and issuer.url.rstrip("/") == issuer.discoveryURL.rstrip("/"):
            yield invalid(here, issuer.discoveryURL, "discoveryURL must be different from URL")
        yield from _check_url(issuer.discoveryURL, here, ())
    yield from _check_audiences(issuer, path)
    if issuer.certificateAuthority:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=issuer.certificateAuthority)
        except (ssl.SSLError, ValueError):
            detail = "data does not contain any valid RSA or ECDSA certificates"
            yield invalid(f"{path}.certificateAuthority", "<omitted>", detail)
    if issuer.egressSelectorType:
        detail = "egress selectors are not supported: this API server reaches issuers directly"
        yield invalid(f"{path}.egressSelectorType", issuer.egressSelectorType, detail)


def _check_url(url: str, path: str, own: Collection[str]) -> Iterable[FieldError]:
    if url in own:
        listed = " ".join(sorted(own))
        yield invalid(path, url, f"URL must not overlap with disallowed issuers: [{listed}]")
    try:
        parts = urlsplit(url)
        _ = parts.port  # checked here
    except ValueError as error:
        yield invalid(path, url, str(error))
        return
    if parts.scheme != "https":
        yield invalid(path, url, "URL scheme must be https")
    if "@" in parts.netloc:
        yield invalid(path, url, "URL must not contain a username or password")
    if parts.query:
        yield invalid(path, url, "URL must not contain a query")
    if parts.fragment:
        yield invalid(path, url, "URL must not contain a fragment")


def _check_audiences(issuer: Issuer, path: str) -> Iterable[FieldError]:
    audiences, policy, here = issuer.audiences, issuer.audienceMatchPolicy, f"{path}.audienceMatchPolicy"
    if not audiences:
        yield required(f"{path}.audiences", f"at least one {path}.audiences is required")
        return
    for index, audience in enumerate(audiences):
        if not audience:
            yield required(f"{path}.audiences[{index}]")
        if audience in audiences[:index]:
            yield duplicate(f"{path}.audiences[{index}]", audience)
    if len(audiences) > 1 and policy != MATCH_ANY:
        yield invalid(here, policy, "audienceMatchPolicy must be MatchAny for multiple audiences")
    if len(audiences) == 1 and policy not in ("", MATCH_ANY):
        yield invalid(here, policy, "audienceMatchPolicy must be empty or MatchAny for single audience")
