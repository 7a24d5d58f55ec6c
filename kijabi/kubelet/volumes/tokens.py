"""Service account tokens for projected volumes: asked for by TokenRequest, kept, and renewed in time.

`manager.py` asks for the tokens that volumes show. A token is renewed after four fifths of its life or a day,
whichever comes first, with a little chance so that not all come at once (k8s `pkg/kubelet/token`).

The server's clock need not be this node's, and this node's may be set while a token is held: how long a token is good
for counts, on the clock that runs on, and on that of the date too, which goes on while a machine is suspended.
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api import catalog, codec
from kijabi.api.authentication.tokenrequest import BoundObjectReference, TokenRequest, TokenRequestSpec
from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.base import clock, rand
from kijabi.client.client import Client
from kijabi.kubelet.volumes.payload import TokenWanted

LONGEST = 24 * 3600.0
JITTER = 10.0
MOMENT = 0.001  # seconds: what is due within one is due, for a date is no finer than that on every clock


class _Held(NamedTuple):
    """A token, and when it is to be renewed: in seconds since the epoch, and on the loop's clock."""

    token: str
    date: float
    tick: float

    def left(self) -> float:
        """Seconds until it is to be renewed, by the clock that has come further."""
        return min(self.date - clock.wall(), self.tick - clock.monotonic())


class Tokens:
    """The tokens of this node's pods, by pod and by what was wanted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._held: dict[str, dict[TokenWanted, _Held]] = {}

    async def get(self, pod: Pod, wanted: TokenWanted) -> str:
        """A token that is still good for a while. Raises ApiError or ConnectionLost if none can be had."""
        held = self._held.get(pod.metadata.uid, {}).get(wanted)
        if held is None or held.left() <= MOMENT:
            held = await self._request(pod, wanted)
            self._held.setdefault(pod.metadata.uid, {})[wanted] = held
        return held.token

    def renew_at(self, uid: str) -> float | None:
        """When the first of a pod's tokens is to be renewed, in seconds since the epoch."""
        left = min((held.left() for held in self._held.get(uid, {}).values()), default=None)
        return None if left is None else clock.wall() + left

    def drop(self, uid: str) -> None:
        """The pod is gone."""
        self._held.pop(uid, None)

    async def _request(self, pod: Pod, wanted: TokenWanted) -> _Held:
        date, tick = clock.wall(), clock.monotonic()
        meta = pod.metadata
        body = TokenRequest(
            apiVersion="authentication.k8s.io/v1",
            kind="TokenRequest",
            spec=TokenRequestSpec(
                audiences=(wanted.audience,) if wanted.audience else (),
                expirationSeconds=wanted.seconds,
                boundObjectRef=BoundObjectReference(kind="Pod", apiVersion="v1", name=meta.name, uid=meta.uid),
            ),
        )
        answer = await self._client.subresource(
            "POST",
            catalog.by_type(ServiceAccount),
            pod.spec.serviceAccountName or "default",
            meta.namespace,
            "token",
            body,
        )
        made = codec.decode(TokenRequest, answer.body)
        life = float(made.spec.expirationSeconds or wanted.seconds)
        wait = max(min(life * 0.8, LONGEST) - rand.rng().random() * JITTER, 1.0)
        return _Held(made.status.token, date + wait, tick + wait)
