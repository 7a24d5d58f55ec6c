"""Addresses and networks as values: `ip('10.0.0.1').isLoopback()`, `cidr('10.0.0.0/8').containsIP(…)`.

Texts are those that Go's net/netip takes, without zones and without IPv4 mapped into IPv6.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type
from kijabi.api.gotext import quote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_BITS = re.compile(r"[0-9]{1,3}")


class Ip:
    """An address."""

    __slots__ = ("address",)
    cel_type: ClassVar[Type] = NAMED["IP"]

    def __init__(self, address: Address) -> None:
        self.address = address

    def cel_size(self) -> int:
        """Its bytes."""
        return self.address.max_prefixlen // 8

    def cel_equals(self, other: Any) -> bool:
        """Whether it is the same address."""
        if not isinstance(other, Ip):
            raise CelError("no such overload")
        return self.address == other.address


class Cidr:
    """A network: an address, which may have bits behind the prefix, and the prefix's length."""

    __slots__ = ("address", "bits")
    cel_type: ClassVar[Type] = NAMED["CIDR"]

    def __init__(self, address: Address, bits: int) -> None:
        self.address = address
        self.bits = bits

    def prefix(self) -> int:
        """The bits of the prefix as a number."""
        return int(self.address) >> (self.address.max_prefixlen - self.bits)

    def cel_size(self) -> int:
        """The bytes that its prefix takes."""
        return -(-self.bits // 8)

    def cel_equals(self, other: Any) -> bool:
        """Whether address and length are the same."""
        if not isinstance(other, Cidr):
            raise CelError("no such overload")
        return self.address == other.address and self.bits == other.bits

    def contains(self, address: Address, bits: int) -> bool:
        """Whether a network with at least as long a prefix is inside."""
        if address.version != self.address.version or bits < self.bits:
            return False
        return int(address) >> (address.max_prefixlen - self.bits) == self.prefix()


def _address(text: str) -> Address:
    """An address as Go reads it. ValueError with Go's text."""
    if "%" in text:
        raise CelError(f"IP address {quote(text)} with zone value is not allowed")
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"ParseAddr({quote(text)}): {_why(text)}") from None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        raise CelError(f"IPv4-mapped IPv6 address {quote(text)} is not allowed")
    return found


def _why(text: str) -> str:
    """What Go says of a text that is no address."""
    for char in text:
        if char == ".":
            return _why_not_four(text)
        if char == ":":
            return _why_not_six(text)
    return "unable to parse IP"


def _why_not_six(text: str) -> str:
    rest, fields, gap = (text[2:], 0, True) if text.startswith("::") else (text, 0, False)
    while fields < 8:
        digits = len(rest) - len(rest.lstrip("0123456789abcdefABCDEF"))
        if digits > 4:
            return f"each group must have 4 or less digits (at {quote(rest)})"
        if not digits:
            return f"each colon-separated field must have at least one digit (at {quote(rest)})"
        if rest[digits : digits + 1] == ".":
            if not gap and fields != 6:
                what = "embedded IPv4 address must replace the final 2 fields of the address"
                return f"{what} (at {quote(rest)})"
            return _why_not_four(rest)
        fields, rest = fields + 1, rest[digits:]
        if not rest:
            break
        if rest[0] != ":":
            return f"unexpected character, want colon (at {quote(rest)})"
        if len(rest) == 1:
            return f"colon must be followed by more characters (at {quote(rest)})"
        rest = rest[1:]
        if rest[0] == ":":
            if gap:
                return f"multiple :: in address (at {quote(rest)})"
            gap, rest = True, rest[1:]
            if not rest:
                break
    if rest:
        return f"trailing garbage after address (at {quote(rest)})"
    return "the :: must expand to at least one field of zeros" if fields == 8 else "address string too short"


def _why_not_four(text: str) -> str:
    parts = text.split(".")
    for index, part in enumerate(parts):
        for at, char in enumerate(part):
            if char not in "0123456789":
                return f"unexpected character (at {quote('.'.join([part[at:], *parts[index + 1 :]]))})"
            if at >= 1 and part[0] == "0":
                return "IPv4 field has octet with leading zero"
            if int(part[: at + 1]) > 255:
                return "IPv4 field has value >255"
        if not part:
            return f"IPv4 field must have at least one digit (at {quote('.' + '.'.join(parts[index + 1 :]))})"
        if index > 3:
            return "IPv4 address too long"
    return "IPv4 address too short"


def parse_ip(text: str) -> Ip:
    """The address that a text means. CelError where it is none."""
    try:
        return Ip(_address(text))
    except ValueError as error:
        raise CelError(f"IP Address {quote(text)} parse error during conversion from string: {error}") from None


def parse_cidr(text: str) -> Cidr:
    """The network that a text means. CelError where it is none."""
    failed = "network address parse error during conversion from string: "
    address, slash, bits = text.rpartition("/")
    try:
        if not slash:
            raise ValueError(f"netip.ParsePrefix({quote(text)}): no '/'")
        if "%" in address:
            raise ValueError(f"netip.ParsePrefix({quote(text)}): IPv6 zones cannot be present in a prefix")
        try:
            found = _address(address)
        except ValueError as error:
            raise ValueError(f"netip.ParsePrefix({quote(text)}): {error}") from None
        if not _BITS.fullmatch(bits) or (len(bits) > 1 and bits[0] == "0"):
            raise ValueError(f"netip.ParsePrefix({quote(text)}): bad bits after slash: {quote(bits)}")
        if int(bits) > found.max_prefixlen:
            raise ValueError(f"netip.ParsePrefix({quote(text)}): prefix length out of range")
    except CelError as error:
        raise CelError(f"{failed}{error.message.replace(quote(address), quote(text))}") from None
    except ValueError as error:
        raise CelError(f"{failed}{failed}{error}") from None
    return Cidr(found, int(bits))


def _is_ip(text: str) -> bool:
    try:
        parse_ip(text)
    except CelError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        parse_cidr(text)
    except CelError:
        return False
    return True


def _contains_ip(network: Cidr, other: Ip | str) -> bool:
    try:
        address = (parse_ip(other) if isinstance(other, str) else other).address
    except CelError:
        raise CelError("no such overload") from None
    return network.contains(address, address.max_prefixlen)


def _contains_cidr(network: Cidr, other: Cidr | str) -> bool:
    inner = parse_cidr(other) if isinstance(other, str) else other
    return network.contains(inner.address, inner.bits)


def _masked(network: Cidr) -> Cidr:
    spare = network.address.max_prefixlen - network.bits
    return Cidr(network.address.__class__(network.prefix() << spare), network.bits)


def _is_global(one: Ip) -> bool:
    address = one.address
    special = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not special and address != ipaddress.IPv4Address("255.255.255.255")


def _link_local_multicast(one: Ip) -> bool:
    if isinstance(one.address, ipaddress.IPv4Address):
        return int(one.address) >> 8 == 0xE00000
    return (int(one.address) >> 112) & 0xFF0F == 0xFF02


LIBRARY = (
    Overload("string_to_ip", "ip(string) -> IP", parse_ip),
    Overload("ip_family", "IP.family() -> int", lambda one: one.address.version),
    Overload("ip_is_canonical", "ip.isCanonical(string) -> bool", lambda text: str(parse_ip(text).address) == text),
    Overload("ip_is_unspecified", "IP.isUnspecified() -> bool", lambda one: one.address.is_unspecified),
    Overload("ip_is_loopback", "IP.isLoopback() -> bool", lambda one: one.address.is_loopback),
    Overload("ip_is_link_local_multicast", "IP.isLinkLocalMulticast() -> bool", _link_local_multicast),
    Overload("ip_is_link_local_unicast", "IP.isLinkLocalUnicast() -> bool", lambda one: one.address.is_link_local),
    Overload("ip_is_global_unicast", "IP.isGlobalUnicast() -> bool", _is_global),
    Overload("is_ip", "isIP(string) -> bool", _is_ip),
    Overload("ip_to_string", "string(IP) -> string", lambda one: str(one.address)),
    Overload("string_to_cidr", "cidr(string) -> CIDR", parse_cidr),
    Overload("cidr_contains_ip_string", "CIDR.containsIP(string) -> bool", _contains_ip),
    Overload("cidr_contains_ip_ip", "CIDR.containsIP(IP) -> bool", _contains_ip),
    Overload("cidr_contains_cidr_string", "CIDR.containsCIDR(string) -> bool", _contains_cidr),
    Overload("cidr_contains_cidr", "CIDR.containsCIDR(CIDR) -> bool", _contains_cidr),
    Overload("cidr_ip", "CIDR.ip() -> IP", lambda one: Ip(one.address)),
    Overload("cidr_prefix_length", "CIDR.prefixLength() -> int", lambda one: one.bits),
    Overload("cidr_masked", "CIDR.masked() -> CIDR", _masked),
    Overload("is_cidr", "isCIDR(string) -> bool", _is_cidr),
    Overload("cidr_to_string", "string(CIDR) -> string", lambda one: f"{one.address}/{one.bits}"),
)
