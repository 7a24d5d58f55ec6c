"""Connections to webhooks: kept for the next call, bounded in number, one exchange at a time on each.

`client.py` hands in whole requests and gets whole answers. The bytes are parsed by `client/connection.py`'s `Answer`,
which knows no socket, and connections are opened by a `Dial`, so a simulation runs this without a network.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kijabi.apiserver.subresources.backend import CHUNK, Address, ByteReader, ByteWriter, Dial
from kijabi.base.errors import ConnectionLost
from kijabi.client.connection import Answer

MAX_CALLS = 128  # at once to one peer; more wait their turn, within their own time
MAX_IDLE = 8  # connections kept to one peer
IDLE_SECONDS = 90.0  # that an unused connection is kept


class TooLong(ConnectionLost):
    """The answer's body is longer than the caller takes."""


class _Link:
    """One open connection."""

    def __init__(self, reader: ByteReader, writer: ByteWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.expiry: asyncio.TimerHandle | None = None

    async def exchange(self, data: bytes, limit: int) -> Answer:
        """Send a request, read its answer. Raises OSError, ConnectionLost."""
        answer = Answer()
        self.writer.write(data)
        await self.writer.drain()
        while not answer.complete:
            piece = await self.reader.read(CHUNK)
            if not piece:
                answer.end()
                break
            answer.feed(piece)
            if answer.held > limit:
                raise TooLong(f"the answer is longer than {limit} bytes")
        return answer


class _Peer:
    """The connections to one address."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(MAX_CALLS)
        self.users = 0
        self.idle: deque[_Link] = deque()


class Pool:
    """Exchanges with any number of peers. `close` hangs up."""

    def __init__(self, open_: Dial) -> None:
        self._open = open_
        self._peers: dict[Address, _Peer] = {}

    async def exchange(self, address: Address, data: bytes, limit: int) -> Answer:
        """The whole answer to a whole request. limit: bytes of its body.

        A kept connection that turns out to be dead before its answer began is replaced once: the peer closed it while
        it was idle. Raises OSError when nobody can be reached, ConnectionLost when the answer is cut off or no HTTP.
        """
        async with self._turn(address) as peer:
            if peer.idle:
                link = self._take(peer)
                try:
                    return await self._use(address, peer, link, data, limit)
                except TooLong:
                    raise
                except (OSError, ConnectionLost):
                    pass  # it was closed while idle: a fresh one tells more
            link = _Link(*await self._open(address))
            return await self._use(address, peer, link, data, limit)

    @asynccontextmanager
    async def _turn(self, address: Address) -> AsyncIterator[_Peer]:
        """The peer, when fewer than MAX_CALLS are with it."""
        peer = self._peers.setdefault(address, _Peer())
        peer.users += 1
        try:
            async with peer.turns:
                yield peer
        finally:
            peer.users -= 1
            self._forget(address, peer)

    def _forget(self, address: Address, peer: _Peer) -> None:
        if not peer.users and not peer.idle:
            self._peers.pop(address, None)

    async def _use(self, address: Address, peer: _Peer, link: _Link, data: bytes, limit: int) -> Answer:
        """One exchange; the connection is kept if it may serve another."""
        keep = False
        try:
            answer = await link.exchange(data, limit)
            keep = answer.keep
        finally:
            if keep and len(peer.idle) < MAX_IDLE:
                loop = asyncio.get_running_loop()
                link.expiry = loop.call_later(IDLE_SECONDS, self._expire, address, peer, link)
                peer.idle.append(link)
            else:
                link.writer.close()
        return answer

    def _take(self, peer: _Peer) -> _Link:
        """The connection that was used last."""
        link = peer.idle.pop()
        if link.expiry is not None:
            link.expiry.cancel()
        return link

    def _expire(self, address: Address, peer: _Peer, link: _Link) -> None:
        peer.idle.remove(link)
        link.writer.close()
        self._forget(address, peer)

    def close(self) -> None:
        """Hang up on all idle peers."""
        for address, peer in tuple(self._peers.items()):
            while peer.idle:
                self._take(peer).writer.close()
            self._forget(address, peer)
