"""Messages that are kept for the next client: the newest of each object, within a bound."""

from __future__ import annotations

import asyncio

from kijabi.apiserver.forms_binary import KEEP_SECONDS, Kept
from kijabi.testing.simloop import SimLoop


def test_the_newest_message_of_an_object_is_kept() -> None:
    kept = Kept()
    kept.put("default/a", 5, b"five")
    assert kept.get("default/a", 5) == b"five"
    assert kept.get("default/a", 4) is None
    kept.put("default/a", 4, b"four")
    assert kept.get("default/a", 5) == b"five"
    kept.put("default/a", 6, b"six")
    assert (kept.get("default/a", 5), kept.get("default/a", 6)) == (None, b"six")


def test_a_list_longer_than_fits_finds_what_fits() -> None:
    kept = Kept(100)
    for _ in range(3):
        found = [kept.get(str(number), 1) for number in range(30)]
        for number in range(30):
            kept.put(str(number), 1, b"x" * 10)
    assert found.count(b"x" * 10) == 10


def test_what_is_kept_is_renewed() -> None:
    loop = SimLoop(1)
    loop.run_until_complete(_renewed())
    loop.close()


async def _renewed() -> None:
    kept = Kept(100)
    for number in range(20):
        kept.put(str(number), 1, b"x" * 10)
    await asyncio.sleep(KEEP_SECONDS + 1)
    kept.put("new", 1, b"y")
    assert kept.get("new", 1) == b"y"
    assert kept.get("0", 1) is None
