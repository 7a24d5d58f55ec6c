"""Values written as Go writes them, because clients and tests read Kubernetes' messages word for word.

Pure functions. The builders of errors (`api/validation.py`, `api/status.py`, `api/selector.py`,
`api/patch.py`) call them; nothing here knows an API type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from difflib import unified_diff
from functools import cache
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import json

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _plain(value: Any) -> Any:
    """Times and quantities are texts; a zero time is null."""
    if isinstance(value, str):
        return str(value) or None
    raise TypeError(f"cannot encode {type(value).__name__}")


_ACRONYMS = frozenset((
    "api", "aws", "cidr", "csi", "dns", "fc", "fs", "gce", "gid", "gmsa", "grpc", "http", "ip", "iqn", "iscsi", "nfs",
    "os", "pd", "qos", "rbd", "se", "ssl", "tcp", "tls", "ttl", "tty", "uid",
))  # fmt: skip
_GO_NAMES = {
    "cephfs": "CephFS",
    "chapAuthDiscovery": "DiscoveryCHAPAuth",
    "chapAuthSession": "SessionCHAPAuth",
    "cidrs": "CIDRs",
    "diskURI": "DataDiskURI",
    "externalID": "DoNotUseExternalID",
    "lastState": "LastTerminationState",
    "serviceAccount": "DeprecatedServiceAccount",
    "storageos": "StorageOS",
    "wwids": "WWIDs",
}
_ENCODER = json.Encoder(enc_hook=_plain, order="deterministic")


def quote(text: str) -> str:
    """`text` as Go's %q writes it: in double quotes, with Go's escapes for what does not print."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any) -> str:
    """`value` as Go's json.Marshal writes it: compact, map keys sorted, `<`, `>` and `&` escaped."""
    return _escaped(_ENCODER.encode(_go_floats(value)))


def _go_floats(value: Any) -> Any:
    """A JSON value whose floats are written as Go writes them: 2 for 2.0, 1e+21 for 1e21."""
    if isinstance(value, float):
        return msgspec.Raw(_json_float(value).encode())
    if isinstance(value, dict):
        return {key: _go_floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_go_floats(item) for item in value]
    return value


def _json_float(value: float) -> str:
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return f"{Decimal(repr(value)).normalize():f}"
    return number(value).replace("e-0", "e-")


def _escaped(data: bytes) -> str:
    text = data.decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def number(value: float) -> str:
    """A float as Go's %v writes it: the shortest digits, as 1e+06 from a million on and below 0.0001."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else '+'}Inf"
    negative, digits, lowest = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(lowest, int)  # a finite number has an exponent
    exponent = lowest + len(digits) - 1
    if -4 <= exponent < 6:
        return f"{value:.{max(-lowest, 0)}f}"
    text = "".join(map(str, digits))
    point = "." if len(text) > 1 else ""
    return f"{'-' if negative else ''}{text[0]}{point}{text[1:]}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def bad_value(value: Any) -> str:
    """`value` as field errors show it (k8s.io/apimachinery `field.Error.ErrorBody`)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return quote(value) if value or type(value) is str else "null"  # a zero time is null
    return _escaped(json.encode(_internal(value)))


def _internal(value: Any) -> Any:
    """Structs with the names of Go's fields and all of them, for Kubernetes checks types without JSON names."""
    if isinstance(value, msgspec.Struct) and type(value).__module__ != "kijabi.api.meta":
        shown: dict[str, Any] = {}
        for name in _in_order(type(value)):
            item = getattr(value, name)
            if name == "metadata":
                shown.update(json.decode(_ENCODER.encode(item)))
            elif name not in ("apiVersion", "kind") or not hasattr(value, "metadata"):
                shown[go_name(name)] = None if item in ((), {}) else _internal(item)
        return shown
    if isinstance(value, (list, tuple)):
        return [_internal(item) for item in value]
    return msgspec.Raw(_ENCODER.encode(_go_floats(value)))


def _in_order(cls: type[msgspec.Struct]) -> list[str]:
    """The fields as Go declares them: those of an embedded struct come where it stands (see `INLINE`)."""
    names = list(cls.__struct_fields__)
    own = [name for name in names if name in cls.__annotations__]
    before = own[: max(vars(cls).get("INLINE", 0) - 1, 0)]
    return before + [name for name in names if name not in before]


def read_int(text: str | None, bits: int = 64) -> int | None:
    """The number as Go's ParseInt(text, 10, bits) reads it, None if it is none."""
    if text is None or not re.fullmatch(r"[+-]?[0-9]{1,40}", text, re.ASCII):
        return None
    found = int(text)
    return found if -(2 ** (bits - 1)) <= found < 2 ** (bits - 1) else None


def difference(old: Any, new: Any) -> str:
    """What changed, line by line of both in JSON (k8s.io/apimachinery `pkg/util/diff`)."""
    left, right = (_escaped(json.format(json.encode(_internal(value)), indent=1)) for value in (old, new))
    lines = unified_diff([f"{line}\n" for line in left.split("\n")], [f"{line}\n" for line in right.split("\n")])
    return "".join(list(lines)[2:])


@cache
def go_name(name: str) -> str:
    """The name of the Go field of a JSON member: `hostIP` is HostIP, `fsGroup` is FSGroup."""
    if name in _GO_NAMES:
        return _GO_NAMES[name]
    word = "".join(takewhile(str.islower, name))
    return (word.upper() if word in _ACRONYMS else word.capitalize()) + name[len(word) :]


def display(value: Any) -> str:
    """`value`, made of builtins, as Go's %v writes it: `map[a:1 b:[x y]]`, `<nil>`, `true`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{display(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(display(item) for item in value) + "]"
    return str(value)


def precise_duration(seconds: float) -> str:
    """A duration as Go prints it with microsecond precision: `56µs`, `1.204ms`, `1.620066s`."""
    micros = round(seconds * 1_000_000)
    if micros < 1000:
        return f"{micros}µs" if micros else "0s"
    if micros < 1_000_000:
        return f"{micros / 1000:.3f}".rstrip("0").rstrip(".") + "ms"
    minutes, rest = divmod(micros, 60_000_000)
    text = f"{rest / 1_000_000:.6f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"


def duration(seconds: float) -> str:
    """A duration as Go prints it with millisecond precision: `0s`, `153ms`, `1.25s`, `1m3.2s`."""
    return precise_duration(round(seconds * 1000) / 1000)


def aggregate(texts: Iterable[str]) -> str:
    """Several errors in one text, each once: one as it is, more as `[a, b]` (k8s.io/apimachinery `pkg/util/errors`)."""
    found = list(dict.fromkeys(texts))
    return found[0] if len(found) == 1 else f"[{', '.join(found)}]" if found else ""
