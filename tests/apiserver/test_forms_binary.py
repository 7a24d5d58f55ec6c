"""Messages are kept for whoever asks next: the newest of each object, for as long as it is there."""

from __future__ import annotations

from kijabi.api import catalog, codec, protobuf
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.forms_binary import BinaryWhole, Kept
from kijabi.apiserver.watchcache import Item


def item(name: str, revision: int, size: int = 10) -> Item:
    meta = ObjectMeta(name=name, namespace="default", resourceVersion=str(revision))
    obj = ConfigMap(metadata=meta, data={"k": "v" * size})
    return Item(f"default/{name}", "default", name, obj, codec.encode(obj), revision)


def form() -> BinaryWhole:
    return BinaryWhole(catalog.by_type(ConfigMap), None)


def version(message: bytes) -> str:
    return protobuf.decode(ConfigMap, message).metadata.resourceVersion


def test_a_message_is_made_once() -> None:
    whole, one = form(), item("a", 7)
    first = whole.message(one, 7)
    assert whole.message(one, 7) is first
    assert version(whole.message(item("a", 8), 8)) == "8"
    old = whole.message(one, 7)  # somebody lists the past
    assert version(old) == "7"
    assert version(whole.message(item("a", 8), 8)) == "8"


def test_what_has_gone_is_forgotten() -> None:
    whole, one = form(), item("a", 7)
    whole.message(one, 7)
    assert version(whole.message(one, 9)) == "9"  # the revision of its deletion
    assert whole._kept.get("default/a", 7) is None


def test_an_object_that_is_nowhere_has_no_version_and_is_not_kept() -> None:
    whole = form()
    assert version(whole.message(item("a", 0), 0)) == ""
    assert whole._kept.get("default/a", 0) is None


def test_no_more_is_kept_than_there_is_room_for() -> None:
    kept = Kept(limit=10)
    kept.put("a", 1, b"x" * 6)
    kept.put("b", 2, b"x" * 6)
    assert (kept.get("a", 1), kept.get("b", 2)) == (b"x" * 6, None)
    kept.put("a", 3, b"x" * 4)
    kept.put("b", 4, b"x" * 6)
    assert (kept.get("a", 3), kept.get("b", 4)) == (b"x" * 4, b"x" * 6)
