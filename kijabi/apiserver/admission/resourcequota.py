"""A namespace uses no more than its quotas allow, however many write at once.

`validate` refuses what does not fit. What does is charged in the transaction that writes the object: the quota's new
status goes along, guarded by the version that the sum was made from (`storage.Reservation`). So an object is never
there without its charge nor charged without being there, whatever fails in between, and two writers can never both take
the last of something. Within this server the writers of a namespace go one after the other, so that they need not
repeat; a namespace without a quota pays for one look. What is freed is given back by `controllers/resourcequota.py`.
The sums are pure and in `api/quota`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from kijabi.api import codec, status
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.quota import evaluators
from kijabi.api.quota.check import Charge, Limited, Refused, Write, check
from kijabi.api.quota.evaluators import Evaluator
from kijabi.api.resource import Resource
from kijabi.apiserver.admission.plugin import Plugin, refuse
from kijabi.apiserver.attributes import Attributes, Operation, Reader
from kijabi.base import clock

PATIENCE = 10.0  # seconds that a write waits for the others of its namespace


class ResourceQuotas(Plugin):
    """Checks every write that a quota counts. limited: what may only be used where a quota covers it."""

    name = "ResourceQuota"

    def __init__(self, reader: Reader, limited: Sequence[Limited] = ()) -> None:
        self._reader = reader
        self._limited = tuple(limited)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """See Admission."""
        evaluator = evaluators.of(resource)
        return evaluator is not None and evaluator.may_handle(subresource, operation)

    async def validate(self, attrs: Attributes) -> None:
        """See Admission."""
        attrs.reservation = None
        if not self.quotas(attrs) and not self._limited:
            return
        evaluator = evaluators.of(attrs.resource)
        if evaluator is None or not evaluator.handles(attrs.subresource, attrs.operation, attrs.object, attrs.old):
            return
        if self.charges(attrs, evaluator) and not attrs.dry_run:
            attrs.reservation = _Reservation(self, attrs, evaluator, self._turn(attrs.namespace))

    def quotas(self, attrs: Attributes) -> Sequence[ResourceQuota]:
        """The quotas of the namespace that is written to."""
        return tuple(self._reader.items(ResourceQuota, attrs.namespace)) if attrs.namespace else ()

    def charges(self, attrs: Attributes, evaluator: Evaluator) -> list[Charge]:
        """What the write costs, by the quotas as they are now. Raises Forbidden."""
        write = Write(attrs.object, attrs.old, clock.now(), bounded=not attrs.is_status)
        try:
            return check(self.quotas(attrs), evaluator, write, self._limited)
        except Refused as refused:
            raise refuse(attrs, str(refused)) from None

    def _turn(self, namespace: str) -> asyncio.Lock:
        turn = self._turns.get(namespace)
        if turn is None:
            turn = self._turns[namespace] = asyncio.Lock()
        return turn


class _Reservation:
    """What one write takes of the quotas of its namespace; see `storage.Reservation`."""

    def __init__(self, plugin: ResourceQuotas, attrs: Attributes, evaluator: Evaluator, turn: asyncio.Lock) -> None:
        self._plugin = plugin
        self._attrs = attrs
        self._evaluator = evaluator
        self._turn = turn

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """One write of a namespace at a time. Raises InternalError when the others take too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
        except TimeoutError:
            raise status.internal("resource quota evaluation timed out") from None
        try:
            yield
        finally:
            self._turn.release()

    def replacements(self) -> Iterable[Any]:
        """The quotas with their charges. Raises Forbidden if there is no room any more."""
        return [_charged(charge) for charge in self._plugin.charges(self._attrs, self._evaluator)]


def _charged(charge: Charge) -> ResourceQuota:
    quota = codec.clone(charge.quota)
    quota.metadata.resourceVersion = charge.quota.metadata.resourceVersion
    quota.status = msgspec.structs.replace(quota.status, used=charge.used)
    return quota
