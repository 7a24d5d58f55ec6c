"""Puts authentication together from the flags and the cluster's keys; `app.py` calls `build` with loaded caches.

What is not configured is not imported. `Authenticators.run` is the work beside requests: issuers of tokens are looked
for, files that changed are read, dates of use are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kijabi.apiserver.attributes import Authorizer, Reader
from kijabi.apiserver.authn import config
from kijabi.apiserver.authn.bearer import Bearer, Local, Remote
from kijabi.apiserver.authn.certificates import CertificateAuthenticator
from kijabi.apiserver.authn.chain import Authentication
from kijabi.apiserver.authn.legacy import LegacyTokens
from kijabi.apiserver.authn.requestheader import FrontProxyAuthenticator
from kijabi.apiserver.authn.serviceaccounts import TokenAuthenticator
from kijabi.apiserver.authn.tokens import Keys
from kijabi.apiserver.flags import Flags
from kijabi.apiserver.storage import Storage
from kijabi.base.errors import ConfigError
from kijabi.base.jws import ALGORITHMS


class Accounts(NamedTuple):
    """How tokens of service accounts are made and checked. issuers: the first is that of new ones."""

    keys: Keys
    issuers: tuple[str, ...]
    audiences: tuple[str, ...]


class Authenticators(NamedTuple):
    """What authentication consists of. works: what runs beside the requests."""

    chain: Authentication
    tokens: Bearer
    works: Sequence[Callable[[Storage], Awaitable[None]]]

    async def run(self, storage: Storage) -> None:
        """The work beside requests."""
        async with asyncio.TaskGroup() as tasks:
            for number, work in enumerate(self.works):
                tasks.create_task(_of(work, storage), name=f"authentication {number}")


async def _of(work: Callable[[Storage], Awaitable[None]], storage: Storage) -> None:
    await work(storage)


def accounts(flags: Flags, private: Path, public: Path, issuer: str) -> Accounts:
    """The keys and names of service-account tokens. issuer: used unless a flag names others. Raises ConfigError."""
    issuers: tuple[str, ...] = flags.service_account_issuer or (issuer,)
    for index, each in enumerate(issuers):
        if not each:
            raise ConfigError("service-account-issuer should not be an empty string")
        if each in issuers[:index]:
            raise ConfigError(f'service-account-issuer "{each}" is already specified')
    uri = flags.service_account_jwks_uri
    if uri is not None and not uri.startswith("https://"):
        raise ConfigError(f"service-account-jwks-uri requires https scheme, parsed as: {uri}")
    keys = Keys.from_files(private, public, *flags.service_account_key_file)
    return Accounts(keys, issuers, flags.api_audiences or issuers)


def build(
    flags: Flags,
    reader: Reader,
    authorizer: Authorizer,
    own: Accounts,
    client_ca: Path,
    front_proxy_ca: Path,
    *,
    everybody: bool = False,
) -> Authenticators:
    """Authentication as the flags say. everybody: whether everything is allowed, so that nobody may come without a
    name. Raises ConfigError."""
    configuration = config.of_flags(flags, own.issuers)
    legacy = LegacyTokens(reader, lookup=flags.service_account_lookup)
    works: list[Callable[[Storage], Awaitable[None]]] = [legacy.run]
    local: list[Local] = [TokenAuthenticator(own.keys, reader, own.issuers, own.audiences, legacy)]
    remote: list[Remote] = []
    issuers = None
    if flags.token_auth_file is not None:
        from kijabi.apiserver.authn import tokenfile

        local.insert(0, tokenfile.StaticTokens(tokenfile.read(flags.token_auth_file), own.audiences))
    if flags.enable_bootstrap_token_auth:
        from kijabi.apiserver.authn.bootstrap import BootstrapTokens

        local.append(BootstrapTokens(reader, own.audiences))
    if configuration.jwt or flags.authentication_config is not None:
        from kijabi.apiserver.authn.jwts import Issuers

        # A file's issuers may use what they like; with flags it is to be said.
        known = ALGORITHMS if flags.authentication_config is not None else flags.oidc_signing_algs or ("RS256",)
        issuers = Issuers(configuration, known, own.audiences, own.issuers, flags.authentication_config)
        remote.append(issuers)
        works.append(issuers.run)
    if flags.authentication_token_webhook_config_file is not None:
        from kijabi.apiserver.authn.webhook import WebhookTokens

        path, version = flags.authentication_token_webhook_config_file, flags.authentication_token_webhook_version
        seconds = flags.authentication_token_webhook_cache_ttl
        remote.append(WebhookTokens(path, version, own.audiences, seconds))
    tokens = Bearer(local, remote, own.audiences)
    if issuers is not None:
        issuers.changed = tokens.forget
    anonymous = configuration.anonymous
    enabled = anonymous.enabled if anonymous is not None else flags.anonymous_auth is not False and not everybody
    chain = Authentication(
        CertificateAuthenticator.from_file(client_ca),
        tokens,
        authorizer,
        front_proxy=FrontProxyAuthenticator(CertificateAuthenticator.from_file(front_proxy_ca)),
        anonymous=enabled,
        paths=[each.path for each in anonymous.conditions] if anonymous is not None else (),
    )
    return Authenticators(chain, tokens, works)
