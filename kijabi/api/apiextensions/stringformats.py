"""The formats that a custom resource's schema may ask of a string (`format: date-time`), as Kubernetes checks them.

`structural.py` asks which formats count, `valuevalidation.py` whether a text has one. The list and what each means are
of apiextensions.k8s.io/v1 ("format" of JSONSchemaProps); the checks follow the parsers of Go that it names. Unknown
formats are ignored, as the API says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address

from kijabi.api import goregex, gourl

_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"[-+]?((([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+|0)")
_PART = re.compile(r"([0-9]*)\.?[0-9]*(ns|us|µs|μs|ms|s|m|h)")
_LOOSE = re.compile(r"([0-9]+)[\t\n\f\r ]*([A-Za-zµ]+)")
# Units of Scala's durations: exact names, and what the last one of a line may begin.
_UNIT_NAMES = frozenset((
    "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d", "day", "w", "wk",
    "week",
))  # fmt: skip
_UNIT_STARTS = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_HOSTNAME = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}"
    r"[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_HEX = "[0-9a-fA-F]"
_MAC = re.compile(rf"{_HEX}{{2}}(:{_HEX}{{2}})+|{_HEX}{{2}}(-{_HEX}{{2}})+|{_HEX}{{4}}(\.{_HEX}{{4}})+|({_HEX}{{2}})+")
_ATOM = r'[^\x00-\x20\x7f()<>\[\]:;@\\,".]+'
_QUOTED = r'"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\[^\x00-\x08\x0a-\x1f\x7f])+"'
_SPEC = rf"[ \t]*(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@[ \t]*(?:{_ATOM}(?:\.{_ATOM})*|\[([^\x00-\x20\x7f\[\]\\]*)\])"
_COMMENTS = r"[ \t]*(?:\((?:[^()\\]|\\.)*\)[ \t]*)*"
_PHRASE = rf'(?:[ \t]*(?:{_QUOTED}|"")|[ \t]*[^\x00-\x20\x7f()<>\[\]:;@\\,"]+|[ \t]*\((?:[^()\\]|\\.)*\))*'
_EMAIL = rf"^(?:{_SPEC}{_COMMENTS}|{_PHRASE}[ \t]*<{_SPEC}>{_COMMENTS})$"
_CARD = (
    "4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    "|(?:2131|1800|35[0-9]{3})[0-9]{11}"
)
_SHADE = "[\t\n\f\r ]*(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])[\t\n\f\r ]*"
_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def _pattern(pattern: str, limit: int | None = None) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: (limit is None or len(text.encode()) <= limit) and compiled.fullmatch(text) is not None


def date(text: str) -> bool:
    """A full-date of RFC 3339."""
    found = _DATE.fullmatch(text)
    if not found:
        return False
    year, month, day = (int(part) for part in found.groups())
    if not 1 <= month <= 12:
        return False
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= _DAYS[month - 1] + leap


def date_time(text: str) -> bool:
    """A date-time of RFC 3339."""
    parts = text.lower().split("t")
    if len(parts) < 2 or not date(parts[0]):
        return False
    found = _TIME.fullmatch(parts[1])
    return found is not None and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def duration(text: str) -> bool:
    """A duration as Go's time.ParseDuration reads it (`1h30m`), or Scala (`22 ns`, `3 days`)."""
    if _DURATION.fullmatch(text):
        total = sum(int(part[1] or 0) * _UNITS[part[2]] for part in _PART.finditer(text))
        if total < 2**63:
            return True
    known = False
    for number, name in _LOOSE.findall(text):
        if int(number) >= 2**63:
            return False
        unit = name.lower()
        known = known or unit in _UNIT_NAMES or unit.startswith(_UNIT_STARTS)
    return known


def hostname(text: str) -> bool:
    """A host's name (RFC 1034, 1123); letters beyond ASCII will do."""
    if len(text.encode()) > 255 or any(len(part.encode()) > 63 for part in text.split(".")):
        return False
    return goregex.matches(_HOSTNAME, text)


def email(text: str) -> bool:
    """One address as Go's net/mail.ParseAddress reads it: `a@b`, or `Name <a@b>`."""
    found = goregex.compile(_EMAIL).search(text)
    if found is None:
        return False
    return all(_is_ip(literal) for literal in found.groups() if literal is not None)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _parse_ip(text: str) -> bool:
    """An IP address; leading zeros in IPv4 will do."""
    head, colon, last = text.rpartition(":")
    return _is_ip(head + colon + re.sub(r"(?<![0-9])0+(?=[0-9])", "", last) if "." in last else text)


def ipv4(text: str) -> bool:
    """An IP address with a dot in it."""
    return "." in text and _parse_ip(text)


def ipv6(text: str) -> bool:
    """An IP address with a colon in it."""
    return ":" in text and _is_ip(text)


def cidr(text: str) -> bool:
    """A range such as `10.0.0.0/8`."""
    address, slash, length = text.partition("/")
    if not slash or not _parse_ip(address) or not (length.isascii() and length.isdigit()):
        return False
    mapped = ":" in address and IPv6Address(address.partition("%")[0]).ipv4_mapped is not None
    bits = 128 if ":" in address or mapped else 32
    return int(length[:7]) <= bits


def mac(text: str) -> bool:
    """A MAC address of 6, 8 or 20 octets, as Go's net.ParseMAC reads it."""
    return _MAC.fullmatch(text) is not None and len(re.sub("[:.-]", "", text)) in (12, 16, 40)


def isbn10(text: str) -> bool:
    """An ISBN of ten digits, the last of which may be X."""
    plain = re.sub(r"[\t\n\f\r -]+", "", text)
    if not re.fullmatch("[0-9]{9}[0-9X]", plain):
        return False
    digits = [10 if char == "X" else int(char) for char in plain]
    return sum((at + 1) * digit for at, digit in enumerate(digits)) % 11 == 0


def isbn13(text: str) -> bool:
    """An ISBN of thirteen digits."""
    plain = re.sub(r"[\t\n\f\r -]+", "", text)
    if not re.fullmatch("[0-9]{13}", plain):
        return False
    total = sum((1, 3)[at % 2] * int(char) for at, char in enumerate(plain[:12]))
    return int(plain[12]) == (10 - total % 10) % 10


def credit_card(text: str) -> bool:
    """A credit card's number with its check digit (Luhn)."""
    plain = re.sub("[^0-9]+", "", text)
    if not re.fullmatch(_CARD, plain):
        return False
    digits = [int(char) for char in reversed(plain)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def uri(text: str) -> bool:
    """A URI as Go's url.ParseRequestURI reads it."""
    try:
        gourl.parse(text, request=True)
    except gourl.UrlError:
        return False
    return True


def _uuid(third: str, fourth: str = f"{_HEX}{{4}}") -> Callable[[str], bool]:
    return _pattern(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{third}-?{fourth}-?{_HEX}{{12}}")


# By the name without dashes, as formats are compared.
FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _pattern(f"{_HEX}{{24}}"),
    "byte": _pattern("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})"),
    "cidr": cidr,
    "creditcard": credit_card,
    "date": date,
    "datetime": date_time,
    "duration": duration,
    "email": email,
    "hexcolor": _pattern("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "hostname": hostname,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "isbn": lambda text: isbn10(text) or isbn13(text),
    "isbn10": isbn10,
    "isbn13": isbn13,
    "k8slongname": _pattern(rf"{_NAME}(\.{_NAME})*", 253),
    "k8sshortname": _pattern(_NAME, 63),
    "mac": mac,
    "password": lambda _: True,
    "rgbcolor": _pattern(rf"rgb\({_SHADE},{_SHADE},{_SHADE}\)"),
    "ssn": _pattern("(?=.{11}$)[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}"),
    "uri": uri,
    "uuid": _uuid(f"{_HEX}{{4}}"),
    "uuid3": _uuid(f"3{_HEX}{{3}}"),
    "uuid4": _uuid(f"4{_HEX}{{3}}", f"[89abAB]{_HEX}{{3}}"),
    "uuid5": _uuid(f"5{_HEX}{{3}}", f"[89abAB]{_HEX}{{3}}"),
}
_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def supported(name: str, types: Sequence[str]) -> str:
    """The format of a schema node of these types, or nothing if it does not count there."""
    if not name:
        return ""
    kind = types[0] if len(types) == 1 else ""
    if kind in ("", "string"):
        return name if name.replace("-", "") in FORMATS else ""
    return name if name in _NUMBERS.get(kind, ()) else ""


def check(name: str) -> Callable[[str], bool] | None:
    """What decides whether a text has that format; None for formats of numbers."""
    return FORMATS.get(name.replace("-", ""))
