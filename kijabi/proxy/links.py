"""The network as the announcer sees it: which interface an address belongs to, and a raw socket for ARP on it.

Everything is of the network namespace that this process is in, the node's. The kernel itself has none of the announced
addresses: what comes for them is translated (`rules`) before it would look whether it is for this machine. So nothing
else on the node can be reached by them, nothing has to be taken off an interface in the end, and a process that died
answers no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from kijabi.base import clock
from kijabi.proxy import arp

log = logging.getLogger(__name__)

# Frames that are read before others have a turn.
MAX_BATCH = 64
# What the kernel tells of: links, IPv4 addresses, IPv4 routes (linux/rtnetlink.h, RTMGRP_*).
_GROUPS = 0x1 | 0x10 | 0x40
_ETHERNET = 1
# Seconds between two announcements against somebody else who claims an address (RFC 5227, DEFEND_INTERVAL).
DEFEND = 10.0


def parse_routes(table: str) -> list[tuple[ipaddress.IPv4Network, str]]:
    """The networks that are on a link, and the link's name, of /proc/net/route; the smallest first."""
    found = []
    for line in table.splitlines()[1:]:
        name, destination, gateway, _, _, _, _, mask, *_ = line.split()
        if int(gateway, 16) == 0:
            start, bits = (int.from_bytes(bytes.fromhex(word), "little") for word in (destination, mask))
            if bits:
                found.append((ipaddress.IPv4Network((start, bits.bit_count())), name))
    return sorted(found, key=lambda one: -one[0].prefixlen)


def interface_of(address: str) -> str | None:
    """The interface whose own network has an address; None if there is none."""
    wanted = ipaddress.IPv4Address(address)
    table = Path("/proc/net/route").read_text()
    return next((name for network, name in parse_routes(table) if wanted in network), None)


class Link:
    """ARP on one interface, for some addresses. OSError where that cannot be.

    alive: whether nobody can take this node for dead. If so, an address that somebody else claims is defended; if not,
    whoever claims it has taken over, and it is `yielded`.
    """

    def __init__(self, name: str, alive: Callable[[], bool]) -> None:
        self.name = name
        self.addresses: set[bytes] = set()
        self.yielded: set[bytes] = set()
        self._alive = alive
        self._defended: dict[bytes, float] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(arp.ETHERTYPE))
        try:
            self._socket.setblocking(False)
            self._socket.bind((name, arp.ETHERTYPE))
            _, _, _, kind, self.mac = self._socket.getsockname()
            if kind != _ETHERNET:
                raise OSError(f"{name} is no Ethernet: nobody asks for addresses there")
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Answer no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def announce(self, address: bytes) -> None:
        """Tell everybody that an address is here."""
        for frame in arp.announcement(address, self.mac):
            self._send(frame)

    def _read(self) -> None:
        for _ in range(MAX_BATCH):
            try:
                frame = self._socket.recv(128)
            except BlockingIOError:
                return
            except OSError as error:  # The link is down: the kernel tells `Changes`, and the announcer looks again.
                log.info("no ARP", extra={"interface": self.name, "error": str(error)})
                return
            packet = arp.read(frame)
            if packet is None or packet.sender == self.mac:
                continue
            if packet.sender_address in self.addresses:
                self._contest(packet.sender_address, packet.sender)
            elif packet.operation == arp.REQUEST and packet.target_address in self.addresses - self.yielded:
                self._send(arp.answer(packet, self.mac))

    def _contest(self, address: bytes, mac: bytes) -> None:
        """Somebody else says that it has one of ours."""
        now = clock.monotonic()
        who = {"address": str(ipaddress.IPv4Address(address)), "by": mac.hex(":"), "interface": self.name}
        if self._alive():
            if now < self._defended.get(address, float("-inf")) + DEFEND:
                return
            log.warning("an address of ours is claimed: defended", extra=who)
            self._defended[address] = now
            self.announce(address)
        elif address not in self.yielded:
            log.info("an address of ours is claimed: given up", extra=who)
            self.yielded.add(address)

    def _send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame)
        except OSError as error:  # It is lost, as packets are; who asked asks again.
            log.info("ARP not sent", extra={"interface": self.name, "error": str(error)})


class Changes:
    """Calls back when interfaces, addresses or routes of this network namespace change."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _GROUPS))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Call no more."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(MAX_BATCH):
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:  # More came than the socket holds, so something has changed.
                break
        self._changed()
