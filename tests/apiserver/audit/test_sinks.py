"""What becomes of events: delivered at once or in batches, cut to size, counted when they are lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from kijabi.api.audit.event import Event, ObjectReference
from kijabi.api.authentication.tokenreview import UserInfo
from kijabi.api.meta import MicroTime, Status
from kijabi.apiserver import flags
from kijabi.apiserver.audit import setup, webhook
from kijabi.apiserver.audit.counts import Counts
from kijabi.apiserver.audit.logfile import LogFile, json_line, legacy_line
from kijabi.apiserver.audit.sinks import (
    Batching,
    Blocking,
    Delivery,
    Entry,
    Sink,
    Truncating,
    Undelivered,
    entry,
    fitted,
)
from kijabi.base.errors import ConfigError


def event(name: str = "a", **more: object) -> Entry:
    return entry(Event(auditID=name, level="Request", **more))  # type: ignore[arg-type]


class Place:
    """Where events go: keeps them, or fails, or waits until it is opened."""

    name = "place"

    def __init__(self, *, fails: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.fails = fails
        self.open = asyncio.Event()
        self.open.set()
        self.came = asyncio.Event()
        self.closed = False

    async def deliver(self, entries: Sequence[Entry]) -> None:
        self.came.set()
        await self.open.wait()
        if self.fails:
            raise Undelivered("no room")
        self.batches.append([each.event.auditID for each in entries])

    async def close(self) -> None:
        self.closed = True


def batching(place: Delivery, counts: Counts, size: int = 10, batch: int = 3, longest: float = 0.0) -> Batching:
    return Batching(place, counts, size=size, batch=batch, longest=longest, throttle=None, at_once=1)


async def test_a_request_waits_for_its_event() -> None:
    place, counts = Place(), Counts()
    sink = Blocking(place, counts, strict=False)
    place.open.clear()
    waiting = asyncio.ensure_future(sink.take(event()))
    await place.came.wait()
    assert not waiting.done()
    place.open.set()
    assert await waiting
    assert place.batches == [["a"]]


@pytest.mark.parametrize("strict", [False, True])
async def test_only_a_strict_log_fails_the_request(strict: bool) -> None:
    counts = Counts()
    assert await Blocking(Place(fails=True), counts, strict=strict).take(event()) is not strict
    assert counts.errors == {"place": 1}


async def test_batches_are_full_or_have_waited_long_enough() -> None:
    place, counts = Place(), Counts()
    sink = batching(place, counts, longest=0.01)
    for each in "abcd":
        assert await sink.take(event(each))
    run = asyncio.ensure_future(sink.run())
    async with asyncio.timeout(5):
        while len(place.batches) < 2:
            place.came.clear()
            await place.came.wait()
            await asyncio.sleep(0)
    run.cancel()
    assert place.batches == [["a", "b", "c"], ["d"]]
    assert counts.errors == {}


async def test_a_dead_receiver_costs_events_and_not_time() -> None:
    place, counts = Place(), Counts()
    place.open.clear()
    sink = batching(place, counts, size=3, batch=1)
    run = asyncio.ensure_future(sink.run())
    assert await sink.take(event("first"))
    await place.came.wait()
    for each in range(10):
        assert await sink.take(event(str(each)))
    assert counts.errors["buffered"] >= 6
    run.cancel()
    await asyncio.wait([run])
    place.open.set()
    await sink.close()
    assert ["first"] in place.batches
    assert place.closed


async def test_large_events_lose_their_bodies_or_everything() -> None:
    body = msgspec.Raw(b'"%b"' % (b"x" * 1000))
    whole = event(requestObject=body)
    short = fitted(whole, 600)
    assert short is not None
    assert len(short.line) <= 600
    assert short.event.annotations == {"audit.k8s.io/truncated": "true"}
    assert not bytes(short.event.requestObject)
    assert fitted(whole, 2000) is whole
    assert fitted(event(userAgent="x" * 1000), 600) is None
    place, counts = Place(), Counts()
    sink = Truncating(Blocking(place, counts, strict=True), counts, 600)
    assert await sink.take(event("large", userAgent="x" * 1000))
    assert await sink.take(event("small"))
    assert place.batches == [["small"]]
    assert counts.errors == {"truncate": 1}


class Lines:
    """An output that fails when it is told to."""

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.broken = False
        self.closed = False

    def write(self, lines: Sequence[bytes]) -> None:
        if self.broken:
            raise OSError("disk full")
        self.writes.append(list(lines))

    def close(self) -> None:
        self.closed = True


async def test_events_of_one_moment_share_a_write() -> None:
    lines = Lines()
    log = LogFile(lines, lambda each: each.event.auditID.encode())
    await asyncio.gather(*(log.deliver((event(name),)) for name in "abc"))
    assert lines.writes == [[b"a", b"b", b"c"]]
    lines.broken = True
    with pytest.raises(Undelivered, match="disk full"):
        await log.deliver((event(),))
    lines.broken = False
    await log.deliver((event("d"),))
    assert lines.writes[-1] == [b"d"]
    await log.close()
    assert lines.closed
    with pytest.raises(Undelivered, match="closed"):
        await log.deliver((event(),))


class SlowDisk(Lines):
    """An output that takes until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, lines: Sequence[bytes]) -> None:
        assert self.released.wait(20)
        super().write(lines)


async def test_a_slow_disk_holds_up_only_who_waits_for_it() -> None:
    disk, counts = SlowDisk(), Counts()
    log = LogFile(disk, lambda each: each.event.auditID.encode())
    patient = asyncio.ensure_future(Blocking(log, counts, strict=False).take(event("patient")))
    sink = batching(log, counts, size=2, batch=1)
    run = asyncio.ensure_future(sink.run())
    for name in "abcdef":
        await sink.take(event(name))  # never waits
        await asyncio.sleep(0)
    assert not patient.done()
    assert counts.errors["buffered"] >= 3
    disk.released.set()
    assert await patient
    run.cancel()
    await asyncio.wait([run])
    await sink.close()
    assert disk.writes[0] == [b"patient"]
    assert [line for lines in disk.writes for line in lines][:2] == [b"patient", b"a"]


def test_the_two_formats_of_a_line() -> None:
    made = event(
        "7", stage="ResponseComplete", requestURI='/a?b="c"', verb="get", sourceIPs=("10.0.0.1",), userAgent="t",
        user=UserInfo(username="jane", groups=("a", "b")), responseStatus=Status(code=200),
        objectRef=ObjectReference(namespace="n"), requestReceivedTimestamp=MicroTime("2026-01-02T03:04:05.120000Z"),
    )  # fmt: skip
    assert legacy_line(made).decode() == (
        '2026-01-02T03:04:05.12Z AUDIT: id="7" stage="ResponseComplete" ip="10.0.0.1" method="get" user="jane" '
        'groups="\\"a\\",\\"b\\"" as="<self>" asgroups="<lookup>" user-agent="t" namespace="n" uri="/a?b=\\"c\\"" '
        'response="200"\n'
    )
    line = json_line(made)
    assert line.startswith(b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"7"')
    assert msgspec.json.decode(line)["responseStatus"] == {"metadata": {}, "code": 200}


def test_a_list_of_events_keeps_to_its_size() -> None:
    entries = [event(str(number)) for number in range(3)]
    (whole,) = webhook.bodies(entries, 1 << 20)
    document = msgspec.json.decode(whole)
    assert document["kind"] == "EventList"
    assert document["apiVersion"] == "audit.k8s.io/v1"
    assert [each["auditID"] for each in document["items"]] == ["0", "1", "2"]
    assert "kind" not in document["items"][0]
    assert len(list(webhook.bodies(entries, 1))) == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["audit-log-mode=fast"], 'invalid audit log mode fast, allowed modes are "batch,blocking,blocking-strict"'),
        (["audit-log-format=xml"], 'invalid audit log format xml, allowed formats are "legacy,json"'),
        (["audit-log-maxage=-1"], "--audit-log-maxage -1 can't be a negative number"),
        (["audit-log-version=audit.k8s.io/v1beta1"], "invalid group version, allowed versions are"),
        (
            ["audit-log-mode=batch", "audit-log-batch-buffer-size=0"],
            "invalid audit batch log buffer size 0, must be a positive number",
        ),
        (["audit-log-truncate-max-event-size=0"], "invalid audit truncate log max event size 0, must be a positive"),
        (
            ["audit-log-truncate-max-batch-size=1"],
            r"invalid audit truncate log max batch size 1, must be greater than max event size \(102400\)",
        ),
        (
            ["audit-webhook-config-file=/k", "audit-webhook-batch-throttle-qps=0"],
            "invalid audit batch webhook throttle QPS 0, must be a positive number",
        ),
    ],
)
def test_flags_that_make_no_sense(arguments: list[str], problem: str) -> None:
    given = flags.parse(["audit-log-path=/l", *arguments])
    with pytest.raises(ConfigError, match=problem):
        setup.auditor(given, Counts())


def test_no_policy_no_log(tmp_path: Path) -> None:
    given = flags.parse([f"audit-log-path={tmp_path / 'audit.log'}"])
    assert setup.auditor(given, Counts()) is None
    assert not list(tmp_path.iterdir())


def test_sinks_are_made_as_the_flags_say(tmp_path: Path) -> None:
    given = flags.parse(["audit-log-truncate-enabled", "audit-log-mode=blocking-strict"])
    made: Sink = setup._sink(setup._options(given, "log"), Place(), Counts())
    assert isinstance(made, Truncating)
