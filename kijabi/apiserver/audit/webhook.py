"""Events to somebody else's server: an EventList in each POST, tried again while it fails.

A Delivery for `sinks.py`; the connection and who we are there come from a kubeconfig (`webhooks/calls.py`). Rules:
k8s.io/apiserver `plugin/pkg/audit/webhook`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from kijabi.api.audit.event import API_VERSION
from kijabi.apiserver.audit.sinks import Entry, Undelivered
from kijabi.apiserver.webhooks.calls import Configured
from kijabi.apiserver.webhooks.client import WebhookError
from kijabi.base.backoff import delay

TRIES = 5
FACTOR, JITTER, LONGEST = 1.5, 0.2, 3600.0  # of the pauses between them
_HEAD = f'{{"kind":"EventList","apiVersion":"{API_VERSION}","metadata":{{}},"items":['.encode()


class Webhook:
    """Posts events. first: seconds before the first repetition; most: bytes of one list."""

    name = "webhook"

    def __init__(self, server: Configured, *, first: float, most: int) -> None:
        self._server = server
        self._first = first
        self._most = most

    async def deliver(self, entries: Sequence[Entry]) -> None:
        """See Delivery."""
        for body in bodies(entries, self._most):
            await self._post(body)

    async def _post(self, body: bytes) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                answer = await self._server.answer(body)
            except WebhookError as error:
                problem = str(error)
            else:
                if 200 <= answer.status <= 206:
                    return
                problem = f"the server answered with the status code {answer.status}"
            if attempt < TRIES:
                await asyncio.sleep(delay(attempt, first=self._first, most=LONGEST, factor=FACTOR, jitter=JITTER))
        raise Undelivered(problem)

    async def close(self) -> None:
        """See Delivery."""
        self._server.close()


def bodies(entries: Sequence[Entry], most: int) -> Iterator[bytes]:
    """The events as lists of about so many bytes at the most."""
    size, items = 0, list[bytes]()
    for each in entries:
        if items and size + len(each.data) > most:
            yield _HEAD + b",".join(items) + b"]}\n"
            size, items = 0, []
        size += len(each.data)
        items.append(each.data)
    if items:
        yield _HEAD + b",".join(items) + b"]}\n"
