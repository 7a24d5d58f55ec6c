"""Legacy tokens: tokens that were once made for every service account and that nobody uses are first marked invalid,
then removed, each after a year (`--controller-arg legacy-service-account-token-clean-up-period`).

Receives Secrets of tokens, which the API server labels with the date of last use, service accounts and pods; writes the
label that makes the API server refuse a token, and deletes. Tokens that somebody asked for by making a Secret stay.
`plan` is pure (KEP-2799).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import references
from kijabi.api.core.secret import Secret
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.base import clock
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.serviceaccounttokens import NAME, TYPE, belongs
from kijabi.controllers.sources import by_namespace, pods

LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
SINCE = "since"  # the date, in that ConfigMap, from which uses are written down
FOREVER = datetime.max.replace(tzinfo=UTC)


class Step(Enum):
    """What happens to a token."""

    MARK = "mark"
    DELETE = "delete"


def day(text: str) -> date | None:
    """A date as labels have it, None for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def midnight_after(when: date) -> datetime:
    """The moment at which a date is over."""
    return datetime.combine(when + timedelta(days=1), time(), UTC)


def plan(
    secret: Secret, account: ServiceAccount | None, tracked: date | None, period: timedelta
) -> tuple[Step, datetime]:
    """What happens next to a token that no pod uses, and from when on; FOREVER: nothing.

    tracked: since when uses are written down.
    """
    step, keep = Step.MARK, (Step.MARK, FOREVER)
    known = account is not None and belongs(secret, account)
    if secret.metadata.deletionTimestamp is not None or tracked is None or account is None or not known:
        return keep
    if all(ref.name != secret.metadata.name for ref in account.secrets):
        return keep  # Somebody made it by hand.
    labels = secret.metadata.labels
    ends = [midnight_after(tracked)]
    if created := secret.metadata.creationTimestamp:
        ends.append(datetime.fromtimestamp(created.timestamp(), UTC))
    if LAST_USED in labels:
        used = day(labels[LAST_USED])
        if used is None:
            return keep
        ends.append(midnight_after(used))
    if (invalid := day(labels.get(INVALID_SINCE, ""))) is not None:
        step = Step.DELETE
        ends.append(midnight_after(invalid))
    return step, max(ends) + period


class LegacyTokenCleaner:
    """The controller; a key is a Secret's."""

    name = "legacy-serviceaccount-token-cleaner"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.period = timedelta(seconds=context.config.flags.legacy_service_account_token_clean_up_period)
        self.secrets = context.informers.of(Secret, fields=f"type={TYPE}")
        self.accounts = context.informers.of(ServiceAccount)
        self.tracking = context.informers.of(ConfigMap, namespace="kube-system", fields=f"metadata.name={TRACKING}")
        self.pods = pods(context.informers)
        self._used: dict[str, set[str]] = {}  # namespace: Secrets that only a pod keeps

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.secrets, lambda old, new: (key_of(new),) if new is not None else ()),
            Source(self.accounts, self._of_account),
            Source(self.tracking, lambda old, new: [key_of(each) for each in self.secrets.items()]),
            Source(self.pods, self._of_pod),
        )

    def _of_account(self, old: ServiceAccount | None, new: ServiceAccount | None) -> Iterable[str]:
        if new is None or (old is not None and old.secrets == new.secrets):
            return ()
        return [f"{new.metadata.namespace}/{ref.name}" for ref in new.secrets]

    def _of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """A pod that went may have been the last that used one."""
        return self._used.pop(old.metadata.namespace, ()) if old is not None and new is None else ()

    async def reconcile(self, key: str) -> float | None:
        secret = self.secrets.get(key)
        if secret is None:
            return None
        own = secret.metadata
        account = self.accounts.get(f"{own.namespace}/{own.annotations.get(NAME, '')}")
        tracking = self.tracking.get(f"kube-system/{TRACKING}")
        tracked = day(tracking.data.get(SINCE, "")) if tracking is not None else None
        step, at = plan(secret, account, tracked, self.period)
        if at == FOREVER:
            return None
        if (wait := (at - clock.now()).total_seconds()) > 0:
            return wait
        if own.name in self._mounted(own.namespace):
            self._used.setdefault(own.namespace, set()).add(key)
            return None
        try:
            if step is Step.MARK:
                labels = {INVALID_SINCE: f"{clock.now():%Y-%m-%d}"}
                patch = {"metadata": {"uid": own.uid, "labels": labels}}
                await self.client.patch(Secret, own.name, patch, namespace=own.namespace)
            else:
                await self.client.delete(
                    Secret, own.name, own.namespace, uid=own.uid, resource_version=own.resourceVersion
                )  # fmt: skip
        except (NotFound, Conflict):  # Gone, or used a moment ago: an event tells.
            return None
        return None

    def _mounted(self, namespace: str) -> set[str]:
        refs = (ref for pod in by_namespace(self.pods, namespace) for ref in references(pod))
        return {ref.name for ref in refs if ref.kind == "secrets"}
