"""How the events of a watch stand in its stream: JSON a line each, protobuf each behind its length.

Forms make the events of objects with it (`forms.py`, `forms_binary.py`), `reading.py` those that tell of a failure;
`watch.py` takes single events out for clients that read them over a WebSocket. Wire form: k8s.io/apimachinery
`pkg/util/framer`; in protobuf an event is a bare WatchEvent (`pkg/apis/meta/v1`) around an object in its envelope.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kijabi.api import protobuf
from kijabi.api.meta import Status
from kijabi.api.protobuf_write import delimited
from kijabi.apiserver.negotiate import JSON, PROTOBUF

HEADER = 4  # bytes of the length, the most significant first


def json_event(kind: str, body: bytes) -> bytes:
    """The event of an object in JSON."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)


def binary_event(kind: str, body: bytes) -> bytes:
    """The event of an object in protobuf, in its envelope; it stands in the WatchEvent as a RawExtension."""
    event = delimited(1, kind.encode()) + delimited(2, delimited(1, body))
    return len(event).to_bytes(HEADER, "big") + event


def error_event(media: str, status: dict[str, Any]) -> bytes:
    """The event that ends a watch which cannot go on; status in wire form."""
    if media == PROTOBUF:
        return binary_event("ERROR", protobuf.encode_wire(Status, status))
    return json_event("ERROR", msgspec.json.encode(status))


def alone(media: str, event: bytes) -> bytes:
    """An event without what tells it from the next in a stream of bytes."""
    return event[HEADER:] if media == PROTOBUF else event


def content_type(media: str) -> str:
    """What a watch in this form is called; JSON has no name of its own for it."""
    return media if media == JSON else f"{media};stream=watch"
