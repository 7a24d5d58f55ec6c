"""A WebSocket that only sends: for clients that read a log or a watch in frames (RFC 6455;
k8s.io/apimachinery `wsstream`).

`log.py` and `server.py` give it a stream of bytes; it makes an UpgradeAnswer that sends them, binary or in
base64 by the subprotocol that the client offers, answers pings, and closes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator

from kijabi.api.status import bad_request
from kijabi.apiserver.attributes import Duplex, UpgradeAnswer
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request

PROTOCOLS = ("", "binary.k8s.io", "base64.binary.k8s.io")
MAX_FRAME = 64 * 1024  # bytes of a frame from the client; it has nothing to say
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_NORMAL = b"\x03\xe8"


def stream_answer(request: Request, chunks: AsyncIterator[bytes], *, text: bool = False) -> UpgradeAnswer:
    """The answer that sends `chunks` over a WebSocket, text: in text frames (watch events).

    Raises BadRequest when the handshake is not one.
    """
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        raise bad_request("not a websocket protocol")
    offered = [each.strip() for each in request.headers.get("sec-websocket-protocol", "").split(",")]
    protocol = next((each for each in offered if each in PROTOCOLS), None)
    if protocol is None:
        raise bad_request(f"requested protocol(s) are not supported: {offered}; supports {list(PROTOCOLS)}")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()).decode()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
    if protocol:
        headers["Sec-WebSocket-Protocol"] = protocol
    encode = protocol.startswith("base64.")

    async def serve(client: Duplex) -> None:
        sender = asyncio.ensure_future(_send(client, chunks, encode, text))
        listener = asyncio.ensure_future(_listen(client))
        try:
            await asyncio.wait((sender, listener), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, listener):
                task.cancel()
            await asyncio.gather(sender, listener, return_exceptions=True)
            client.close()

    return UpgradeAnswer(serve=serve, headers=headers)


def frame(opcode: int, payload: bytes) -> bytes:
    """One unfragmented frame from a server (unmasked)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


async def _send(client: Duplex, chunks: AsyncIterator[bytes], encode: bool, text: bool) -> None:
    try:
        async for chunk in chunks:
            data = base64.b64encode(chunk) if encode else chunk
            await client.write(frame(_TEXT if encode or text else _BINARY, data))
        await client.write(frame(_CLOSE, _NORMAL))
    except ConnectionLost:
        return


async def _listen(client: Duplex) -> None:
    """Read what the client sends until it closes: pings are answered, all else is dropped."""
    buffer = bytearray()
    try:
        while data := await client.read():
            buffer += data
            while (found := _take(buffer)) is not None:
                opcode, payload = found
                if opcode == _CLOSE:
                    return
                if opcode == _PING:
                    await client.write(frame(_PONG, payload))
            if len(buffer) > MAX_FRAME:
                return
    except ConnectionLost:
        return


def _take(buffer: bytearray) -> tuple[int, bytes] | None:
    """The next whole frame of a client, unmasked, taken off the buffer; None if there is none yet."""
    if len(buffer) < 2:
        return None
    opcode, masked, size, start = buffer[0] & 0x0F, buffer[1] & 0x80, buffer[1] & 0x7F, 2
    if size > 125:
        start = 4 if size == 126 else 10
        size = int.from_bytes(buffer[2:start], "big")
    mask_end = start + (4 if masked else 0)
    if len(buffer) < mask_end + size:
        return None
    mask = bytes(buffer[start:mask_end]) or b"\0\0\0\0"
    payload = bytes(byte ^ mask[i & 3] for i, byte in enumerate(buffer[mask_end : mask_end + size]))
    del buffer[: mask_end + size]
    return opcode, payload
