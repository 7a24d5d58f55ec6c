"""ARP on a real cable: a neighbour in a network namespace asks, and hears from us, from nobody, or unasked."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from kijabi.proxy.arp import announcement
from kijabi.proxy.links import Changes, Link, interface_of

pytestmark = pytest.mark.node

CABLE = f"ka{os.getpid() % 100000}"
OURS = "198.18.77.130"
PACKED = IPv4Address(OURS).packed


def ip(command: str) -> str:
    return subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def neighbour() -> Iterator[str]:
    """The name of a namespace at the other end of a cable of ours, 198.18.77.0/24 between."""
    name = f"{CABLE}-test"
    ip(f"netns add {name}")
    try:
        ip(f"link add {CABLE} type veth peer name eth0 netns {name}")
        ip(f"address add 198.18.77.1/24 dev {CABLE}")
        ip(f"link set {CABLE} up")
        ip(f"-n {name} address add 198.18.77.2/24 dev eth0")
        ip(f"-n {name} link set eth0 up")
        ip(f"netns exec {name} sysctl -q -w net.ipv4.conf.eth0.arp_accept=1")
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", CABLE], check=False)
        ip(f"netns delete {name}")


async def asked(neighbour: str) -> str:
    """Who the neighbour believes to have our address, after it has tried to reach it (a port that nobody has)."""
    ip(f"-n {neighbour} neigh flush all")
    line = ("netns", "exec", neighbour, "timeout", "0.5", "bash", "-c", f"exec 3<>/dev/tcp/{OURS}/9")
    done = await asyncio.create_subprocess_exec("ip", *line, stderr=subprocess.DEVNULL)
    await done.wait()
    return known(neighbour)


def known(neighbour: str) -> str:
    words = ip(f"-n {neighbour} neigh show {OURS}").split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def own_mac() -> str:
    words = ip(f"link show {CABLE}").split()
    return words[words.index("link/ether") + 1]


def claim(neighbour: str) -> None:
    """The neighbour says that it has our address."""
    line = ("ip", "netns", "exec", neighbour, sys.executable, "-c", CLAIMANT, PACKED.hex())
    subprocess.run(line, check=True)


CLAIMANT = """
import socket, sys
from kijabi.proxy.arp import announcement
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0x0806))
for frame in announcement(bytes.fromhex(sys.argv[1]), link.getsockname()[4]):
    link.send(frame)
"""


async def test_a_link_answers_for_its_addresses_until_another_took_over(neighbour: str) -> None:
    alive = True
    assert interface_of(OURS) == CABLE
    link = Link(CABLE, lambda: alive)
    try:
        assert await asked(neighbour) == "", "nobody has told it to"
        link.addresses = {PACKED}
        assert await asked(neighbour) == own_mac()
        claim(neighbour)
        assert await asked(neighbour) == own_mac(), "it stands up for what it has"
        assert not link.yielded
        alive = False
        assert await asked(neighbour) == own_mac(), "it may be taken for dead, and nobody wants the address"
        claim(neighbour)
        assert await asked(neighbour) == "", "somebody has taken over"
        assert link.yielded == {PACKED}
    finally:
        link.close()
    assert await asked(neighbour) == "", "nothing is left on the interface"


# Says when it listens, then the first two ARP packets that it hears.
LISTENER = """
import socket
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
heard.bind(("eth0", 0x0806))
print("ready", flush=True)
for _ in range(2):
    print(heard.recv(128).hex(), flush=True)
"""


async def test_who_takes_over_says_so_unasked(neighbour: str) -> None:
    line = ("ip", "netns", "exec", neighbour, sys.executable, "-c", LISTENER)
    listener = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
    assert listener.stdout is not None
    link = Link(CABLE, lambda: True)
    try:
        async with asyncio.timeout(20):
            assert await listener.stdout.readline() == b"ready\n"
            link.announce(PACKED)
            frames = [bytes.fromhex((await listener.stdout.readline()).decode()) for _ in range(2)]
    finally:
        link.close()
        await listener.wait()
    assert tuple(frames) == announcement(PACKED, link.mac)


async def test_a_new_address_is_noticed(neighbour: str) -> None:
    changed = asyncio.Event()
    changes = Changes(changed.set)
    try:
        ip(f"address add 198.18.78.1/24 dev {CABLE}")
        async with asyncio.timeout(5):
            await changed.wait()
        assert interface_of("198.18.78.130") == CABLE
    finally:
        changes.close()


async def test_what_is_no_ethernet_is_refused(neighbour: str) -> None:
    with pytest.raises(OSError, match="no Ethernet"):
        Link("lo", lambda: True)
    with pytest.raises(OSError, match=r"."):
        Link("no-such-link", lambda: True)
