"""ARP on the wire: reading requests, making answers and announcements. Pure; `links` sends and receives.

Sources: RFC 826, RFC 5227. An address and a hardware address are bytes here, 4 and 6 of them.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ETHERTYPE = 0x0806
BROADCAST = b"\xff" * 6
REQUEST, REPLY = 1, 2
_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_NOBODY = b"\0" * 6


class Packet(NamedTuple):
    """One packet: who asks or tells (hardware, address), and about whom."""

    operation: int
    sender: bytes
    sender_address: bytes
    target: bytes
    target_address: bytes


def read(frame: bytes) -> Packet | None:
    """The ARP packet of an Ethernet frame; None if it is none for IPv4."""
    if len(frame) < _FRAME.size:
        return None
    _, _, ethertype, hardware, protocol, length, size, operation, *rest = _FRAME.unpack_from(frame)
    if (ethertype, hardware, protocol, length, size) != (ETHERTYPE, 1, 0x0800, 6, 4):
        return None
    return Packet(operation, *rest)


def _write(to: bytes, packet: Packet) -> bytes:
    operation, sender, *rest = packet
    return _FRAME.pack(to, sender, ETHERTYPE, 1, 0x0800, 6, 4, operation, sender, *rest)


def answer(request: Packet, mac: bytes) -> bytes:
    """The frame that says: the address that you ask for is at `mac`."""
    reply = Packet(REPLY, mac, request.target_address, request.sender, request.sender_address)
    return _write(request.sender, reply)


def announcement(address: bytes, mac: bytes) -> tuple[bytes, bytes]:
    """Two frames that tell everybody, unasked, that an address is at `mac`: some heed requests, some replies only."""
    return (
        _write(BROADCAST, Packet(REQUEST, mac, address, _NOBODY, address)),
        _write(BROADCAST, Packet(REPLY, mac, address, BROADCAST, address)),
    )
