"""Tokens that are kept in Secrets: whoever makes a Secret of their type for a service account has it filled in.

Such tokens never expire and end with their Secret, which ends with its account; the TokenRequest API is the better way.
Receives these Secrets and service accounts; writes and deletes Secrets (k8s.io/kubernetes
`pkg/controller/serviceaccount/tokens_controller.go`, documentation "Managing Service Accounts").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.base.errors import Conflict, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source

if TYPE_CHECKING:
    from kijabi.base import jws

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
ISSUER = "kubernetes/serviceaccount"
_CLAIM = "kubernetes.io/serviceaccount/"


def claims(account: ServiceAccount, secret: Secret) -> dict[str, str]:
    """What the token in a Secret says."""
    meta = account.metadata
    return {
        "iss": ISSUER,
        f"{_CLAIM}namespace": meta.namespace,
        f"{_CLAIM}secret.name": secret.metadata.name,
        f"{_CLAIM}service-account.name": meta.name,
        f"{_CLAIM}service-account.uid": meta.uid,
        "sub": f"system:serviceaccount:{meta.namespace}:{meta.name}",
    }


def belongs(secret: Secret, account: ServiceAccount | None) -> bool:
    """Whether a Secret is this account's; one that names no uid is that of any account of the name."""
    if account is None:
        return False
    return secret.metadata.annotations.get(UID, "") in ("", account.metadata.uid)


def plan(secret: Secret, account: ServiceAccount, root_ca: str, key: jws.PrivateKey) -> Secret | None:
    """The Secret as it is to be written, None if it is complete."""
    from kijabi.base import jws

    data = dict(secret.data)
    if root_ca and bytes(data.get("ca.crt", b"")) != root_ca.encode():
        data["ca.crt"] = root_ca.encode()
    if not data.get("namespace"):
        data["namespace"] = secret.metadata.namespace.encode()
    if not data.get("token"):
        data["token"] = jws.sign(claims(account, secret), key).encode()
    if data == secret.data:
        return None
    annotations = {**secret.metadata.annotations, NAME: account.metadata.name, UID: account.metadata.uid}
    return replace(secret, data=data, metadata=replace(secret.metadata, annotations=annotations))


class ServiceAccountTokens:
    """The controller; a key is a Secret's."""

    name = "serviceaccount-token"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.root_ca = context.config.root_ca
        self.path = context.config.account_key
        self.key: jws.PrivateKey | None = None
        self.secrets = context.informers.of(Secret, fields=f"type={TYPE}")
        self.accounts = context.informers.of(ServiceAccount)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.secrets, lambda old, new: (_key(new),) if new is not None else ()),
            Source(self.accounts, self._of_account),
        )

    def _of_account(self, old: ServiceAccount | None, new: ServiceAccount | None) -> Iterable[str]:
        """An account that came, or went, or came anew, is work for its Secrets."""
        if old is not None and new is not None and old.metadata.uid == new.metadata.uid:
            return ()
        known = new or old
        if known is None:
            return ()
        meta = known.metadata
        return [
            _key(each)
            for each in self.secrets.items()
            if each.metadata.namespace == meta.namespace and each.metadata.annotations.get(NAME) == meta.name
        ]

    async def reconcile(self, key: str) -> float | None:
        secret = self.secrets.get(key)
        if secret is None or not self.path or secret.metadata.deletionTimestamp is not None:
            return None
        space, name = secret.metadata.namespace, secret.metadata.annotations.get(NAME, "")
        if not name:
            return None
        account = self.accounts.get(f"{space}/{name}")
        if not belongs(secret, account):
            account = await self._live(name, space)  # the cache may be behind, and deleting is not taken back
        try:
            if account is None or not belongs(secret, account):
                await self.client.delete(Secret, secret.metadata.name, space, uid=secret.metadata.uid)
                return None
            wanted = plan(secret, account, self.root_ca, self._signing())
            if wanted is not None:
                await self.client.update(wanted)
        except (NotFound, Conflict):  # somebody else changed it: an event follows
            return None
        return None

    def _signing(self) -> jws.PrivateKey:
        """The key; it and what reads it are loaded with the first such Secret, for most clusters have none."""
        if self.key is None:
            from kijabi.base import jws

            self.key = jws.private_key(Path(self.path))
        return self.key

    async def _live(self, name: str, namespace: str) -> ServiceAccount | None:
        try:
            return await self.client.get(ServiceAccount, name, namespace)
        except NotFound:
            return None


def _key(secret: Secret) -> str:
    return f"{secret.metadata.namespace}/{secret.metadata.name}"
