"""What the cloud refused is tried again: after the time that it names, or with a back-off for each key."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from kijabi.base.backoff import Backoff
from kijabi.controllers.cloud.interface import CloudError, ImplementedElsewhere, RetryAfter

# Seconds between two tries (k8s.io/cloud-provider `controllers/service`).
FIRST_WAIT, MOST_WAIT = 5.0, 300.0

log = logging.getLogger(__name__)


class Patience:
    """One controller's."""

    def __init__(self, controller: str) -> None:
        self._controller = controller
        self._waits: dict[str, Backoff] = {}

    async def tried(self, key: str, work: Awaitable[float | None]) -> float | None:
        """Await some work on a key; its answer, or the seconds after which to try again what the cloud refused."""
        try:
            again = await work
        except ImplementedElsewhere:
            again = None
        except RetryAfter as error:
            log.info("not ready yet", extra=self._fields(key, error, error.seconds))
            return error.seconds
        except CloudError as error:
            wait = self._waits.setdefault(key, Backoff(FIRST_WAIT, MOST_WAIT, jitter=0.1)).next()
            log.warning("the cloud failed", extra=self._fields(key, error, wait))
            return wait
        self._waits.pop(key, None)
        return again

    def _fields(self, key: str, error: Exception, wait: float) -> dict[str, object]:
        return {"controller": self._controller, "key": key, "error": str(error), "retry_in": round(wait, 1)}
