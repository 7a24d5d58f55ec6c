"""Service account tokens for projected volumes: asked for by TokenRequest, kept, and renewed in time.

`manager.py` asks for the tokens that volumes show. A token is renewed after four fifths of its life or a day,
whichever comes first, with a little chance so that not all come at once (k8s `pkg/kubelet/token`).
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


class _Held(NamedTuple):
    token: str
    renew_at: float


class Tokens:
    """The tokens of this node's pods, by pod and by what was wanted."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._held: dict[str, dict[TokenWanted, _Held]] = {}

    async def get(self, pod: Pod, wanted: TokenWanted) -> str:
        """A token that is still good for a while. Raises ApiError or ConnectionLost if none can be had."""
        held = self._held.get(pod.metadata.uid, {}).get(wanted)
        if held is None or clock.wall() >= held.renew_at:
            held = await self._request(pod, wanted)
            self._held.setdefault(pod.metadata.uid, {})[wanted] = held
        return held.token

    def renew_at(self, uid: str) -> float | None:
        """When the first of a pod's tokens is to be renewed, in seconds since the epoch."""
        return min((held.renew_at for held in self._held.get(uid, {}).values()), default=None)

    def drop(self, uid: str) -> None:
        """The pod is gone."""
        self._held.pop(uid, None)

    async def _request(self, pod: Pod, wanted: TokenWanted) -> _Held:
        asked = clock.wall()
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
        # How long, and not until when: that date is of the server's clock, which need not be this node's.
        life = float(made.spec.expirationSeconds or wanted.seconds)
        wait = min(life * 0.8, LONGEST) - rand.rng().random() * JITTER
        return _Held(made.status.token, asked + max(wait, 1.0))
