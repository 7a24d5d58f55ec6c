"""What stands between the controllers and the server: a transport that hands on, until a test says otherwise."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from kijabi.client.transport import Request, Response, Stream, Transport


class Between:
    """Hands everything on to the transport that it is called with; for those that answer something themselves."""

    inner: Transport

    def __call__(self, inner: Transport) -> Transport:
        """Take a place in front of a transport."""
        self.inner = inner
        return self

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        return self.inner.stream(request)

    async def close(self) -> None:
        await self.inner.close()

    async def request(self, request: Request) -> Response:
        return await self.inner.request(request)
