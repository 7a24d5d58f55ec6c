"""The record of the request that the running task answers, for what lies deep inside: authentication, webhooks.

`auditor.py` sets it; when nothing is recorded it is None and every function here does nothing. Nothing is imported
for it, so that whoever calls these pays nothing while the audit log is off.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kijabi.apiserver.attributes import UserInfo
    from kijabi.apiserver.audit.record import Record


class NotStored(Exception):
    """The log must have every request, and did not take this one: it may not go on."""


CURRENT: ContextVar[Record | None] = ContextVar("audit record", default=None)


def annotate(key: str, value: str) -> None:
    """Note something in the audit log; what was noted before under this key stays."""
    record = CURRENT.get()
    if record is not None:
        record.annotate(key, value)


def identified(user: UserInfo) -> None:
    """Authentication found who asks. Whoever acts as another is told apart from him by this."""
    record = CURRENT.get()
    if record is not None:
        record.identified(user)


def impersonated(user: UserInfo, constraint: str = "") -> None:
    """Who asks may act as this user; constraint: the rule that lets him (KEP-5284)."""
    record = CURRENT.get()
    if record is not None:
        record.impersonated(user, constraint)


def spent(layer: str, seconds: float) -> None:
    """A layer of the server took so long for this request, in addition to what it took before."""
    record = CURRENT.get()
    if record is not None:
        record.spent(layer, seconds)
