"""What the embedded store's file holds after kill -9 and after power loss.

A log would be cut at every byte. LMDB is no log: it writes changed pages in places that the last committed
state does not use, syncs, and then writes one page that names them. So the honest equivalents are: SIGKILL of
a writing process at random points, and for power loss, files in which any part of a batch's pages, down to a
byte within a page, reached the disk and the page that names them did not. That naming page is 4 KiB, of which
LMDB writes about 100 bytes in one sector; that a disk writes a sector whole is assumed, not tested.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from kijabi.base.errors import ConfigError
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.interface import Op
from kijabi.store.journal import Journal
from kijabi.store.timeline import Retention

PAGE = 4096
META_PAGES = 2

WRITER = """
import asyncio, itertools, os, sys
from kijabi.base.errors import ConfigError
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.interface import Op
from kijabi.store.journal import Journal
from kijabi.store.timeline import Retention

async def main(path):
    store = EmbeddedStore.open(path, Retention(events=200))
    numbers = itertools.count(store.revision)
    os.write(1, b"0\\n")

    async def write():
        for number in numbers:
            value = str(number).encode() * (1 + number % 700)
            ops = Op(f"/key/{number % 50}", value if number % 7 else None), Op("/last", value)
            done = await store.txn((), ops)
            os.write(1, b"%d\\n" % done.revision)

    async with asyncio.TaskGroup() as group:
        for _ in range(16):
            group.create_task(write())

asyncio.run(main(sys.argv[1]))
"""


def dump(path: Path) -> tuple[int, dict[str, tuple[bytes, int, int]], list[tuple[int, str]]]:
    """(revision, live entries, history) of the store in a directory."""
    store = EmbeddedStore.open(path)
    timeline = store._timeline
    state = {key: (entry.value, entry.create_revision, entry.revision) for key, entry in timeline.live.items()}
    history = [(event.revision, event.key) for event in timeline.history]
    asyncio.run(store.close())
    return store.revision, state, history


def test_every_acknowledged_write_survives_kill(tmp_path: Path) -> None:
    chance = random.Random(1)
    acknowledged = 1
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.25))
        writer.send_signal(signal.SIGKILL)
        output = writer.stdout.read()
        writer.wait()
        writer.stdout.close()
        for line in output.splitlines():
            acknowledged = max(acknowledged, int(line or b"0"))
        revision, state, history = dump(tmp_path)
        assert revision >= acknowledged > 1
        # A prefix of history: no revision is missing, and the newest write is the present.
        revisions = sorted({number for number, _ in history})
        assert revisions == list(range(revisions[0], revision + 1))
        assert state["/last"][2] == revision
        for key, (_, _, written) in state.items():
            assert written == max((number for number, name in history if name == key), default=written)


class Photographed(Journal):
    """A journal that keeps a copy of the file after each commit."""

    photos: list[bytes]

    def commit(self) -> None:
        super().commit()
        self.photos.append((self.path / "data.mdb").read_bytes())


async def photos(path: Path, rounds: int) -> list[bytes]:
    """The file after each commit of a store at work."""
    chance = random.Random(2)
    journal = Photographed(path)
    journal.photos = []
    store = EmbeddedStore(journal, journal.load(), Retention(events=100), 10_000)
    for _ in range(rounds):
        writes = [
            Op(f"/key/{chance.randrange(60)}", chance.randbytes(chance.choice((0, 20, 900, 3000, 9000))))
            for _ in range(chance.choice((1, 5, 60)))
        ]
        await asyncio.gather(*(store.txn((), (write,)) for write in writes))
        if chance.random() < 0.3:
            await store.compact(chance.randrange(max(1, store.compacted), store.revision + 1))
    await store.close()
    return journal.photos


def test_power_loss_leaves_the_last_committed_state(tmp_path: Path) -> None:
    chance = random.Random(3)
    taken = asyncio.run(photos(tmp_path / "live", 40))
    torn = tmp_path / "torn"
    torn.mkdir()
    for before, after in pairwise(taken):
        (torn / "data.mdb").write_bytes(before)
        expected = dump(torn)
        for _ in range(3):
            (torn / "data.mdb").write_bytes(tear(chance, before, after))
            assert dump(torn) == expected


def tear(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """The file when the power failed while the pages of the next state were on their way: some arrived, one
    in part.
    """
    image = bytearray(before)
    changed = [
        at for at in range(META_PAGES * PAGE, len(after), PAGE) if after[at : at + PAGE] != before[at : at + PAGE]
    ]
    chance.shuffle(changed)
    for at in changed[: chance.randrange(len(changed) + 1)]:
        length = chance.choice((PAGE, PAGE, chance.randrange(PAGE)))
        if len(image) < at + PAGE:
            image.extend(bytes(at + PAGE - len(image)))
        image[at : at + length] = after[at : at + length]
    return bytes(image)


def test_the_tearing_would_find_a_store_that_overwrites(tmp_path: Path) -> None:
    """The check itself: with the naming pages of the next state, a torn file must not pass as the state
    before.
    """
    taken = asyncio.run(photos(tmp_path / "live", 3))
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "data.mdb").write_bytes(taken[1])
    expected = dump(torn)
    (torn / "data.mdb").write_bytes(taken[2])
    assert dump(torn) != expected


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_file_cut_short_is_refused_or_empty(tmp_path: Path, size: int) -> None:
    """Not a crash but a damaged disk: it must not be taken for data."""
    asyncio.run(photos(tmp_path, 2))
    file = tmp_path / "data.mdb"
    file.write_bytes(file.read_bytes()[:size])
    if size == 0:
        revision, state, _ = dump(tmp_path)
        assert (revision, state) == (1, {})
    else:
        with pytest.raises(ConfigError):
            dump(tmp_path)


FILLER = """
import asyncio, os, resource, sys
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.interface import Op, StoreClosed

async def main(path):
    store = EmbeddedStore.open(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))
    number = 1
    try:
        while True:
            number = (await store.txn((), (Op(f"/key/{number}", bytes(5000)),))).revision
    except StoreClosed as error:
        print(number, error)
    await store.close()

asyncio.run(main(sys.argv[1]))
"""


def test_a_disk_without_room_ends_it_with_a_reason(tmp_path: Path) -> None:
    """The system refuses to let the file grow, as a full disk does; what was acknowledged is there afterwards."""
    filler = subprocess.run([sys.executable, "-c", FILLER, str(tmp_path)], capture_output=True, text=True, check=True)
    acknowledged, _, why = filler.stdout.partition(" ")
    assert "cannot write" in why
    revision, state, _ = dump(tmp_path)
    assert revision == int(acknowledged) > 100
    assert len(state) == revision - 1
