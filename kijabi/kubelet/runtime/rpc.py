"""gRPC to a local daemon without generated code: a path, a request Struct, a reply type.

`cri` and `tasks` call containerd through a `Channel`; messages become bytes in `kijabi.api.protobuf`. grpc costs some
30 MB and 100 ms to import, so that happens when a channel opens and not when this module does.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from kijabi.api import protobuf
from kijabi.api.struct import Struct
from kijabi.base.errors import ConnectionLost, KijabiError

MAX_MESSAGE = 64 << 20  # bytes; ExecSync alone may answer 2 × 16 MiB
CALL_TIMEOUT = 120.0  # seconds, as the kubelet's default for runtime calls (`runtimeRequestTimeout`)

T = TypeVar("T", bound=Struct)


class RpcError(KijabiError):
    """The daemon answered with an error; `code` is gRPC's status name: NOT_FOUND, INVALID_ARGUMENT, UNKNOWN …"""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Channel:
    """One HTTP/2 connection to a unix socket, reconnecting by itself; calls may run side by side."""

    def __init__(self, socket: str) -> None:
        # grpc's fork handlers cost time at each subprocess and can hang; nothing here uses grpc after a fork.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        import grpc.aio

        self.socket = socket
        self._grpc = grpc
        self._channel = grpc.aio.insecure_channel(
            f"unix:{socket}",
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.max_send_message_length", MAX_MESSAGE),
                # After containerd's restart the next call must not wait out a back-off grown to minutes.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._calls: dict[str, Any] = {}

    async def call(
        self,
        method: str,
        request: Struct,
        reply: type[T],
        *,
        timeout: float | None = CALL_TIMEOUT,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> T:
        """Call `package.Service/Method`; raises RpcError, ConnectionLost or, after `timeout` seconds, TimeoutError."""
        unary = self._calls.get(method)
        if unary is None:
            unary = self._calls[method] = self._channel.unary_unary(f"/{method}")
        try:
            body = await unary(protobuf.encode(request), timeout=timeout, metadata=metadata)
        except self._grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        return protobuf.decode(reply, body)

    async def stream(
        self,
        method: str,
        request: Struct,
        reply: type[T],
        *,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> AsyncGenerator[T, None]:
        """Call a method that answers many times; raises as `call` does."""
        call = self._channel.unary_stream(f"/{method}")(protobuf.encode(request), metadata=metadata)
        try:
            async for body in call:
                yield protobuf.decode(reply, body)
        except self._grpc.aio.AioRpcError as error:
            raise self._translate(error) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the connection; running calls are cancelled."""
        await self._channel.close()

    def _translate(self, error: Any) -> Exception:
        code, message = error.code().name, error.details() or ""
        if code == "UNAVAILABLE":
            return ConnectionLost(f"{self.socket}: {message}")
        if code == "DEADLINE_EXCEEDED":
            return TimeoutError(message)
        return RpcError(code, message)
