"""An answer that goes on and holds its seats: its steps are charged to its flow, its end gives the seats back.

`gate.py` puts it around the chunks of a StreamAnswer; whoever writes them out sees no difference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from kijabi.apiserver.flowcontrol.line import Stream
from kijabi.apiserver.turns import CURRENT, Metered, Turns

SECONDS_PER_BYTE = 1.5e-9  # that encrypting and sending it takes


class Held:
    """Chunks. ended: called once, when they have ended or nobody wants them any more."""

    def __init__(self, chunks: AsyncIterator[bytes], turns: Turns, stream: Stream, ended: Callable[[], None]) -> None:
        self._chunks = chunks
        self._turns = turns
        self._stream = stream
        self._ended = ended

    def __aiter__(self) -> Held:
        """It is its own iterator."""
        return self

    async def __anext__(self) -> bytes:
        """The next chunk."""
        mine = CURRENT.set(self._stream)
        try:
            chunk = await Metered(self._next(), self._turns, self._stream)
            self._turns.charge(self._stream, len(chunk) * SECONDS_PER_BYTE)
            return chunk
        except BaseException:
            self._ended()
            raise
        finally:
            CURRENT.reset(mine)

    async def _next(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Nobody wants more."""
        self._ended()
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
