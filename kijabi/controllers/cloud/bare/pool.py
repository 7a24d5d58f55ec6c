"""A pool of addresses in ranges: which are free. Pure; filled and emptied by `provider` as claims come and go."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import pairwise

from kijabi.base.errors import ConfigError

MAX_SIZE = 1 << 24


def parse(text: str) -> tuple[int, int]:
    """The first and last address of a range: `10.0.0.5`, `10.0.0.5-10.0.0.9` or `10.0.0.0/28`, whose network and
    broadcast address stay out. ConfigError for anything else.
    """
    try:
        if "/" in text:
            network = ipaddress.IPv4Network(text.strip())
            first, last = int(network.network_address), int(network.broadcast_address)
            return (first + 1, last - 1) if network.prefixlen < 31 else (first, last)
        start, _, end = text.partition("-")
        one = int(ipaddress.IPv4Address(start.strip()))
        return one, int(ipaddress.IPv4Address(end.strip())) if end else one
    except ValueError as error:
        raise ConfigError(f"the load balancer pool {text!r} is no range of IPv4 addresses: {error}") from error


def ranges(texts: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """Ranges in the order given; ConfigError if one ends before it begins, or all are too large or overlap."""
    found = tuple(parse(text) for text in texts)
    for first, last in found:
        if last < first:
            raise ConfigError(f"the load balancer pool ends at {_text(last)}, before its begin at {_text(first)}")
    if sum(last - first + 1 for first, last in found) > MAX_SIZE:
        raise ConfigError(f"the load balancer pool has more than {MAX_SIZE} addresses")
    ordered = sorted(found)
    for before, after in pairwise(ordered):
        if after[0] <= before[1]:
            raise ConfigError(f"ranges of the load balancer pool overlap at {_text(after[0])}")
    return found


def _text(number: int) -> str:
    return str(ipaddress.IPv4Address(number))


class Pool:
    """Addresses that are taken or free; the lowest free one of the first range is next."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self._ranges = ranges(texts)
        self._taken: set[int] = set()
        self._low = [first for first, _ in self._ranges]  # below it, all of the range is taken

    def __str__(self) -> str:
        return ", ".join(self.texts)

    def __contains__(self, address: str) -> bool:
        return self._range(address) is not None

    def overlaps(self, first: int, last: int) -> bool:
        """Whether any address from first to last is in it."""
        return any(first <= end and start <= last for start, end in self._ranges)

    def _range(self, address: str) -> int | None:
        try:
            number = int(ipaddress.IPv4Address(address))
        except ValueError:
            return None
        return next((i for i, (first, last) in enumerate(self._ranges) if first <= number <= last), None)

    def next(self) -> str | None:
        """A free address, None if there is none. It is not taken yet."""
        for index, (_, last) in enumerate(self._ranges):
            while self._low[index] <= last and self._low[index] in self._taken:
                self._low[index] += 1
            if self._low[index] <= last:
                return _text(self._low[index])
        return None

    def take(self, address: str) -> None:
        """Somebody has it; one outside the pool means nothing here."""
        if self._range(address) is not None:
            self._taken.add(int(ipaddress.IPv4Address(address)))

    def give_back(self, address: str) -> None:
        """Nobody has it any more."""
        index = self._range(address)
        if index is not None:
            number = int(ipaddress.IPv4Address(address))
            self._taken.discard(number)
            self._low[index] = min(self._low[index], number)
