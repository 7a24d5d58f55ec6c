"""Service account tokens are kept while they are good and renewed before they end, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from kijabi.api import codec
from kijabi.api.authentication.tokenrequest import TokenRequest, TokenRequestStatus
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Time
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.client.client import Client
from kijabi.client.transport import Request, Response, Stream
from kijabi.kubelet.volumes.payload import TokenWanted
from kijabi.kubelet.volumes.tokens import JITTER, Tokens
from kijabi.testing import simloop


class Issuer:
    """A server that gives numbered tokens, good for as long as was asked. ahead: seconds, of its clock."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.paths: list[str] = []
        self.ahead = ahead

    async def request(self, request: Request) -> Response:
        self.paths.append(request.path)
        asked = codec.decode(TokenRequest, request.body)
        expires = clock.now() + timedelta(seconds=(asked.spec.expirationSeconds or 3600) + self.ahead)
        asked.status = TokenRequestStatus(token=f"token-{len(self.paths)}", expirationTimestamp=Time.of(expires))
        return Response(status=201, body=codec.encode(asked))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        raise ConnectionLost("no streams here")
        yield

    async def close(self) -> None:
        return


POD = codec.from_builtins(
    Pod,
    {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"serviceAccountName": "robot"}},
)
HOUR = TokenWanted("", 3600)


@pytest.mark.parametrize("ahead", [0.0, -9000.0, 9000.0])
def test_a_token_is_renewed_after_four_fifths_of_its_life_whatever_the_clock_of_the_server_says(ahead: float) -> None:
    async def go() -> tuple[list[str], list[str]]:
        issuer = Issuer(ahead)
        tokens = Tokens(Client(issuer))
        found = [await tokens.get(POD, HOUR)]
        due = tokens.renew_at("u")
        assert due is not None
        assert 2880 - JITTER - 1 <= due - clock.wall() <= 2880
        await asyncio.sleep(due - clock.wall() - 1)
        found.append(await tokens.get(POD, HOUR))
        await asyncio.sleep(1)
        found.append(await tokens.get(POD, HOUR))
        assert (tokens.renew_at("u") or 0) > due
        return found, issuer.paths

    found, paths = simloop.run(go())
    assert found == ["token-1", "token-1", "token-2"]
    assert set(paths) == {"/api/v1/namespaces/ns/serviceaccounts/robot/token"}


@pytest.mark.parametrize("ahead", [-9000.0, 9000.0])
def test_a_node_whose_clock_is_set_renews_in_time(ahead: float) -> None:
    async def go() -> list[str]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, simloop.SimLoop)
        tokens = Tokens(Client(Issuer()))
        found = [await tokens.get(POD, HOUR)]
        loop.jump("", ahead)
        await asyncio.sleep(2880)
        assert (tokens.renew_at("u") or 0) <= clock.wall()
        return [*found, await tokens.get(POD, HOUR)]

    assert simloop.run(go()) == ["token-1", "token-2"]


def test_audiences_have_tokens_of_their_own_and_a_gone_pod_has_none() -> None:
    async def go() -> list[str]:
        tokens = Tokens(Client(Issuer()))
        wanted = (HOUR, TokenWanted("vault", 3600), HOUR)
        found = [await tokens.get(POD, each) for each in wanted]
        tokens.drop("u")
        assert tokens.renew_at("u") is None
        return [*found, await tokens.get(POD, HOUR)]

    assert simloop.run(go()) == ["token-1", "token-2", "token-1", "token-3"]
