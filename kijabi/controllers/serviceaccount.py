"""Every active namespace has a ServiceAccount named `default`, which pods use that name no other.

Receives namespaces and those ServiceAccounts; creates what is missing (core/v1 ServiceAccount).
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.core.namespace import Namespace
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import AlreadyExists, ApiError, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import active, namespace_of, namespaces

NAME = "default"


def plan(namespace: Namespace | None, account: ServiceAccount | None) -> ServiceAccount | None:
    """The account to create, if one is missing."""
    if namespace is None or account is not None or not active(namespace):
        return None
    return ServiceAccount(metadata=ObjectMeta(name=NAME, namespace=namespace.metadata.name))


class ServiceAccounts:
    """The controller; a key is a namespace's name."""

    name = "serviceaccount"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.namespaces = namespaces(context.informers)
        self.accounts = context.informers.of(ServiceAccount, fields=f"metadata.name={NAME}")

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.namespaces, lambda old, new: (new.metadata.name,) if new is not None else ()),
            Source(self.accounts, lambda old, new: namespace_of(old) if new is None else ()),
        )

    async def reconcile(self, key: str) -> float | None:
        wanted = plan(self.namespaces.get(key), self.accounts.get(f"{key}/{NAME}"))
        if wanted is None:
            return None
        try:
            await self.client.create(wanted)
        except (AlreadyExists, NotFound):  # There already; or the namespace is gone.
            return None
        except ApiError as error:
            if not namespace_terminating(error):
                raise
        return None
